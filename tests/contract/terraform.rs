//! Checks that Terraform provides what the code reads and what the state machine needs.

use crate::{after, text};
use domain::config::{MAX_STACKS, MAX_WAVES};
use domain::event;
use domain::ids::{ForgeId, RepositoryKey};
use domain::run::REPLANS;
use domain::step::Step;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tests::STATE_MACHINE as FILE;
use workflow::limits::{self, Limits};

/// One file for each Lambda, with its name. Terraform reads the same files.
const STEPS: &str = "terraform/modules/sluicegate/steps";

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Returns the concatenated `.tf` files of a directory.
fn module(dir: &str) -> String {
    let mut paths: Vec<_> = std::fs::read_dir(tests::root().join(dir))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "tf"))
        .collect();
    paths.sort();
    let texts: Vec<String> = paths
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    texts.join("\n")
}

/// The settings of a Lambda.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    description: String,
    callers: BTreeSet<Caller>,
    timeout_seconds: u32,
    environment: BTreeSet<String>,
    permissions: BTreeSet<String>,
    memory_mb: usize,
    // Terraform checks the sizes.
    #[serde(rename = "reserved_concurrency")]
    _reserved_concurrency: i32,
    #[serde(rename = "ephemeral_storage_mb")]
    _ephemeral_storage_mb: u32,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Caller {
    EventRule,
    FunctionUrl,
    Schedule,
    StateMachine,
}

fn steps() -> BTreeMap<String, Settings> {
    std::fs::read_dir(tests::root().join(STEPS))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let settings = serde_json::from_slice(&std::fs::read(&path).unwrap());
            let settings = settings.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.file_stem().unwrap().to_str().unwrap();
            (name.to_owned(), settings)
        })
        .collect()
}

fn limits() -> Limits {
    Limits::of(&workflow::deliver::deliver().unwrap())
}

#[test]
fn the_definition_is_json_before_and_after_its_placeholders_are_filled() {
    let text = text(FILE);
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    assert!(
        !text.contains("%{"),
        "templatefile would take it for a directive"
    );
    for placeholder in after(&text, "${", |c| c != '}') {
        assert!(
            placeholder.chars().all(is_word),
            "{placeholder}: only a name"
        );
    }
}

#[test]
fn each_step_has_settings_and_a_crate() {
    let listed: BTreeSet<String> = steps().into_keys().collect();
    let known: BTreeSet<String> = Step::ALL.map(|step| step.as_str().to_owned()).into();
    assert_eq!(listed, known, "left: {STEPS}, right: domain::step::Step");
    let lambdas = tests::root().join("crates/lambdas");
    let crates: BTreeSet<String> = crate::crates::crate_dirs()
        .iter()
        .filter_map(|dir| dir.strip_prefix(&lambdas).ok()?.to_str())
        .filter(|name| *name != "runtime")
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, crates, "left: {STEPS}, right: crates/lambdas");
}

#[test]
fn the_state_machine_calls_the_steps_that_it_may_call() {
    let called: BTreeSet<String> = limits().functions.keys().map(|&name| name.into()).collect();
    let callable: BTreeSet<String> = steps()
        .into_iter()
        .filter(|(_, step)| step.callers.contains(&Caller::StateMachine))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(called, callable);
}

#[test]
fn every_step_says_what_it_does_and_who_calls_it() {
    for (name, step) in steps() {
        assert!(step.description.ends_with('.'), "{name}");
        assert!(
            !step.callers.is_empty() && !step.permissions.is_empty(),
            "{name}"
        );
    }
}

/// Returns the variables that each method of the wiring reads, directly or through other methods.
fn read_by_wiring() -> BTreeMap<String, BTreeSet<String>> {
    let sources = crate::crates::sources("runtime");
    let methods: Vec<(&str, &str)> = sources
        .iter()
        .flat_map(|(_, source)| source.split("fn ").skip(1))
        .filter_map(|method| method.split_once("(&self"))
        .filter(|(name, _)| name.chars().all(is_word))
        .collect();
    let mut read: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, body) in &methods {
        read.entry((*name).to_owned())
            .or_default()
            .extend(named(body));
    }
    // Repeat, because a method may call another that calls a third.
    for _ in &methods {
        for (name, body) in &methods {
            let called: BTreeSet<String> = after(body, "self.", is_word)
                .into_iter()
                .filter_map(|method| read.get(method).cloned())
                .flatten()
                .collect();
            read.entry((*name).to_owned()).or_default().extend(called);
        }
    }
    read
}

#[test]
fn a_step_gets_the_variables_that_it_reads() {
    let wiring = read_by_wiring();
    assert!(wiring.values().any(|variables| !variables.is_empty()));
    for (name, step) in steps() {
        let main = text(&format!("crates/lambdas/{name}/src/main.rs"));
        let read: BTreeSet<String> = after(&main, ".", is_word)
            .into_iter()
            .filter_map(|method| wiring.get(method))
            .flatten()
            .cloned()
            .collect();
        assert_eq!(
            read, step.environment,
            "{name}; left: what main.rs reads, right: what {STEPS} sets"
        );
    }
}

/// Returns the values of `domain::env_vars` constants that a text references as `env_vars::NAME`.
fn named(text: &str) -> BTreeSet<String> {
    let declared = text_of_env();
    after(text, "env_vars::", is_word)
        .into_iter()
        .filter_map(|name| declared.get(name).cloned())
        .collect()
}

/// Returns the constants of crates/core/domain/src/env_vars.rs with the variables that they name.
fn text_of_env() -> BTreeMap<String, String> {
    text("crates/core/domain/src/env_vars.rs")
        .lines()
        .filter_map(|line| line.trim().split_once(" = \""))
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches("\";").to_owned()))
        .collect()
}

#[test]
fn terraform_sets_no_variable_that_the_contract_does_not_know() {
    let known: BTreeSet<String> = domain::env_vars::ALL
        .iter()
        .copied()
        .chain([
            domain::step::build_variable::RUN,
            domain::step::build_variable::COMMIT,
            domain::step::build_variable::CONTEXT,
            domain::step::build_variable::DOCKERFILE,
            domain::step::build_variable::TEST,
            domain::step::build_variable::IMAGE,
            domain::step::build_variable::TAG,
        ])
        .map(str::to_owned)
        .collect();
    let mut dirs: Vec<String> = vec!["terraform/roots/aws".into(), "terraform/roots/local".into()];
    for entry in std::fs::read_dir(tests::root().join("terraform/modules")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        dirs.push(format!("terraform/modules/{name}"));
    }
    for dir in dirs.iter().filter(|dir| tests::root().join(dir).exists()) {
        for rest in after(&module(dir), "SLUICEGATE_", is_word) {
            let name = format!("SLUICEGATE_{rest}");
            assert!(known.contains(&name), "{dir} names {name}");
        }
    }
}

#[test]
fn jobs_read_what_their_definition_sets() {
    let jobs = module("terraform/modules/jobs");
    let set: BTreeSet<String> = after(&jobs, "SLUICEGATE_", is_word)
        .into_iter()
        .map(|rest| format!("SLUICEGATE_{rest}"))
        .collect();
    let read: BTreeSet<String> = crate::crates::sources("runner")
        .iter()
        .flat_map(|(_, source)| named(source))
        .collect();
    // Variables that the image or `var.runner.environment` may set.
    let optional: BTreeSet<String> = [
        domain::env_vars::LOG,
        domain::env_vars::TERRAFORM,
        domain::env_vars::PROVIDER_MIRROR,
    ]
    .map(str::to_owned)
    .into();
    assert!(set.is_subset(&read), "jobs get {set:?}, but read {read:?}");
    let needed: BTreeSet<String> = read.difference(&optional).cloned().collect();
    assert!(
        needed.is_subset(&set),
        "jobs need {needed:?}, but get {set:?}"
    );
}

#[test]
fn a_build_reads_what_the_step_sends() {
    let specs = domain::build::BuildKind::ALL
        .map(|kind| text(&format!("terraform/modules/build/{kind}.yml")))
        .concat();
    let read: BTreeSet<String> = after(&specs, "SLUICEGATE_", is_word)
        .into_iter()
        .map(|rest| format!("SLUICEGATE_{rest}"))
        .collect();
    let sent: BTreeSet<String> = text("crates/core/domain/src/step/build_trigger.rs")
        .lines()
        .filter_map(|line| line.trim().split_once("&str = \"SLUICEGATE_"))
        .map(|(_, rest)| format!("SLUICEGATE_{}", rest.trim_end_matches("\";")))
        .collect();
    assert_eq!(read, sent);
}

/// The command of a test can read the credentials of its build. Terraform's own tests check the policies
/// of the roles (`modules/build/tests` and `modules/sluicegate/tests`).
#[test]
fn a_test_is_given_nothing_that_leads_to_an_image() {
    let module = module("terraform/modules/build");
    let (_, projects) = module.split_once("  projects = {").unwrap();
    let (test, image) = projects.split_once("    image = {").unwrap();
    assert!(test.contains("statements  = []"), "{test}");
    assert!(test.contains("privileged  = false"), "{test}");
    assert!(image.contains("var.registry_arn"));
    let spec = |name: &str| {
        let text = text(&format!("terraform/modules/build/{name}.yml"));
        let lines = text.lines().filter(|line| !line.trim().starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    };
    for word in ["docker", "aws ", "SLUICEGATE_IMAGE", "SLUICEGATE_TAG"] {
        assert!(!spec("test").contains(word), "test.yml has {word}");
    }
    for word in ["SLUICEGATE_TEST", "eval", "bash -c", "source \"$"] {
        assert!(!spec("image").contains(word), "image.yml has {word}");
    }
}

/// The inner limit expires first, so that the step or the runner can still report the error. Terraform
/// checks the same for values that an operator sets (`modules/sluicegate/variables.tf` and
/// `modules/jobs/variables.tf`, from `statemachine/limits.json`).
#[test]
fn the_inner_deadline_comes_first() {
    let limits = limits();
    for (name, step) in steps() {
        let own = step.timeout_seconds;
        if let Some(&wait) = limits.functions.get(name.as_str()) {
            assert!(own < wait, "{name} has {own} s of {wait} s");
        }
    }
    // modules/jobs/variables.tf reserves 120 s of a job's time for everything except terraform.
    const { assert!(domain::job::RESULT_SECONDS + 60 <= 120) };
}

/// The function holds a plan's JSON in memory, and the changes in it.
#[test]
fn the_largest_plan_fits_into_the_memory_of_the_function_that_judges_it() {
    let largest = domain::plan::MAX_PLAN_JSON / (1024 * 1024);
    let memory = steps()[Step::Plan.as_str()].memory_mb;
    assert!(6 * largest <= memory, "{largest} MiB in {memory} MiB");
}

/// A run waits for its environment longer than the run before it may take: a late approval for each
/// of the stacks that follow one another (because of a dependency or the concurrency limit), each with
/// all its plans, and the rollback. The total is shorter than the execution's own limit.
#[test]
fn a_wait_is_longer_than_what_it_waits_for() {
    let at_once = usize::try_from(limits::STACKS_AT_ONCE).unwrap();
    let back = limits::PLAN_JOB + limits::APPLY_JOB;
    let wave = back + limits::APPROVAL;
    let batches = MAX_WAVES + MAX_STACKS / at_once - 1;
    let waves = u32::try_from(batches).unwrap() * (1 + REPLANS);
    let delivery = limits::BUILD + waves * (wave + back);
    let lock = limits::ENVIRONMENT;
    assert!(delivery < lock, "a delivery may take {delivery} s");
    assert!(
        lock + delivery < limits::EXECUTION,
        "a run may take {lock} s and {delivery} s"
    );
}

/// An enrolled repository's key and event source are those that the code reads.
#[test]
fn an_enrolment_accepts_the_forges_that_the_code_knows() {
    let variables = text("terraform/modules/repository/variables.tf");
    let condition = "contains([";
    let end = "], var.forge)";
    let (before, _) = variables.split_once(end).expect(end);
    let (_, list) = before.rsplit_once(condition).expect(condition);
    let accepted: Vec<&str> = list
        .split(", ")
        .map(|name| name.trim_matches('"'))
        .collect();
    let known: Vec<&str> = ForgeId::ALL.iter().map(|forge| forge.as_str()).collect();
    assert_eq!(accepted, known, "left: Terraform, right: ForgeId");

    let module = module("terraform/modules/repository");
    let key = RepositoryKey::github(42).to_string();
    assert_eq!(key, format!("{}-42", ForgeId::Github));
    assert!(module.contains("\"${var.forge}-${var.id}\""));
    assert_eq!(event::source(ForgeId::Github), "github.com");
    let events = text("terraform/modules/events/main.tf");
    assert!(events.contains("[\"github.com\", \"gitlab.com\"]"));
}

/// The lifecycle policy keeps images that were deployed.
#[test]
fn the_tag_of_a_deployed_image_is_the_one_that_the_life_cycle_spares() {
    let registry = text("terraform/modules/registry/main.tf");
    let prefix = after(&registry, "tagPrefixList = [\"", |c| c != '"').concat();
    let digest = format!("sha256:{}", "1".repeat(64));
    let digest = domain::ids::ImageDigest::parse(&digest).unwrap();
    let tag = domain::keys::deployed_tag(&digest);
    assert!(
        !prefix.is_empty() && tag.starts_with(&prefix),
        "{tag} {prefix:?}"
    );
}

#[test]
fn a_module_holds_the_same_files_as_every_other() {
    for entry in std::fs::read_dir(tests::root().join("terraform/modules")).unwrap() {
        let path = entry.unwrap().path();
        for file in ["main.tf", "variables.tf", "outputs.tf", "versions.tf"] {
            assert!(
                Path::new(&path).join(file).exists(),
                "{} has no {file}",
                path.display()
            );
        }
    }
}
