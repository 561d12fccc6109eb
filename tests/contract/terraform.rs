//! Terraform names what the code reads, and gives the state machine what it asks for.

use crate::crates::STEPS;
use crate::{after, deliver, text};
use domain::config::{MAX_STACKS, MAX_WAVES};
use domain::run::REPLANS;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tests::asl::{FILE, Resource};

const MODULE: &str = "terraform/modules/sluicegate";

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The `.tf` files of a directory, in one text.
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

/// A block's inside: from the first `open` bracket after `start` to the one that closes it.
fn block<'t>(text: &'t str, start: &str, open: char, close: char) -> &'t str {
    let rest = text
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start:?}"))
        .1;
    let rest = &rest[rest.find(open).unwrap() + 1..];
    let mut depth = 1;
    for (at, c) in rest.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return &rest[..at];
            }
        }
    }
    panic!("{start:?} does not end");
}

/// The keys of an HCL object's lines `key = value`.
fn keys(object: &str) -> BTreeSet<String> {
    object
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, _)| key.trim())
        .filter(|key| !key.is_empty() && key.chars().all(|c| is_word(c) || c == '-'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_placeholder_gets_a_value_and_every_value_has_a_placeholder() {
    let asked: BTreeSet<String> = after(&text(FILE), "${", |c| c != '}')
        .into_iter()
        .map(str::to_owned)
        .collect();
    let machine = module("terraform/modules/state-machine");
    let merge = block(&machine, "placeholders = merge", '(', ')');
    assert!(
        merge.contains("for name, arn in var.function_arns : \"${name}_arn\" => arn"),
        "functions are named `<name>_arn`"
    );
    let plain = block(merge.split_once("},").unwrap().1, "", '{', '}');
    let delivery = module(MODULE);
    let functions = block(&delivery, "function_arns = ", '{', '}');
    let given: BTreeSet<String> = keys(plain)
        .into_iter()
        .chain(
            keys(functions)
                .into_iter()
                .map(|name| format!("{name}_arn")),
        )
        .collect();
    assert_eq!(asked, given);
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
fn every_step_is_a_lambda_in_terraform() {
    let dir = tests::root().join(MODULE);
    for step in STEPS {
        let name = step.replace('-', "_");
        let path = format!("{MODULE}/lambda_{name}.tf");
        let text = text(&path);
        assert!(text.contains(&format!("module \"{name}\"")), "{path}");
        assert!(
            text.contains(&format!("/{step}.zip")),
            "{path} takes {step}.zip"
        );
    }
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|file| file.starts_with("lambda_"))
        .count();
    assert_eq!(files, STEPS.len());
}

#[test]
fn the_local_run_builds_every_step() {
    let up = text("crates/local/src/world/up.rs");
    let functions = block(&up, "pub const FUNCTIONS: [&str; 8] =", '[', ']');
    let built: BTreeSet<&str> = after(functions, "\"", |c| c != '"')
        .into_iter()
        .step_by(2)
        .collect();
    assert_eq!(built, BTreeSet::from(STEPS));
}

/// The variables that Terraform sets for each Lambda.
fn variables() -> BTreeMap<&'static str, BTreeSet<String>> {
    let needs = text(&format!("{MODULE}/needs.tf"));
    let log = keys(block(&needs, "env_log = ", '{', '}'));
    let step: BTreeSet<String> = keys(block(&needs, "env_step = merge(local.env_log, ", '{', '}'));
    STEPS
        .into_iter()
        .map(|name| {
            let file = format!("{MODULE}/lambda_{}.tf", name.replace('-', "_"));
            let text = text(&file);
            let environment = text.split_once("environment = ").unwrap().1;
            let environment = environment.split_once("policy_json").unwrap().0;
            let mut variables: BTreeSet<String> = after(environment, "SLUICEGATE_", is_word)
                .into_iter()
                .map(|rest| format!("SLUICEGATE_{rest}"))
                .collect();
            variables.extend(log.clone());
            if environment.contains("local.env_step") {
                variables.extend(step.clone());
            }
            (name, variables)
        })
        .collect()
}

/// The values of `domain::env_vars` constants that a text names as `env_vars::NAME`.
fn named(text: &str) -> BTreeSet<String> {
    let declared = text_of_env();
    after(text, "env_vars::", is_word)
        .into_iter()
        .filter_map(|name| declared.get(name).cloned())
        .collect()
}

/// Constant to variable, from crates/core/domain/src/env_vars.rs.
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
            domain::step::build_variable::TAGS,
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
fn lambdas_read_what_terraform_sets() {
    let set: BTreeSet<String> = variables().into_values().flatten().collect();
    let read: BTreeSet<String> = crate::crates::sources("runtime")
        .iter()
        .flat_map(|(_, source)| named(source))
        .collect();
    assert_eq!(
        read, set,
        "left: what crates/lambdas/runtime reads, right: what Terraform sets"
    );
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
    // What the image or `var.runner.environment` may set.
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
    let spec = text("terraform/modules/build/buildspec.yml");
    let read: BTreeSet<String> = after(&spec, "SLUICEGATE_", is_word)
        .into_iter()
        .map(|rest| format!("SLUICEGATE_{rest}"))
        .collect();
    let sent: BTreeSet<String> = text("crates/core/domain/src/step.rs")
        .lines()
        .filter_map(|line| line.trim().split_once("&str = \"SLUICEGATE_"))
        .map(|(_, rest)| format!("SLUICEGATE_{}", rest.trim_end_matches("\";")))
        .collect();
    assert!(read.is_subset(&sent), "{read:?} {sent:?}");
}

fn number(text: &str, before: &str) -> u32 {
    after(text, before, |c: char| c.is_ascii_digit() || c == '_')
        .first()
        .unwrap_or_else(|| panic!("no number after {before:?}"))
        .replace('_', "")
        .parse()
        .unwrap()
}

/// Whoever is inside gives up first: a function before its state, terraform before its job, the
/// job before its state. Else nobody could say what was going on.
#[test]
fn the_inner_deadline_comes_first() {
    let needs = text(&format!("{MODULE}/needs.tf"));
    let defaults = block(&needs, "lambda_defaults = ", '{', '}');
    for (name, task) in deliver().tasks() {
        if task.resource != Resource::Lambda {
            continue;
        }
        let function = task.function().unwrap().replace('_', "-");
        let row = defaults
            .lines()
            .find(|line| line.trim().starts_with(&format!("{function} ")))
            .unwrap();
        let own = number(row, "timeout_seconds = ");
        assert!(own < task.timeout_seconds, "{name}: {function} has {own} s");
    }
    let sizes = text("terraform/modules/jobs/variables.tf");
    let sizes = block(&sizes, "default = ", '{', '}');
    let tasks: BTreeMap<String, u32> = deliver()
        .tasks()
        .into_iter()
        .map(|(name, task)| (name, task.timeout_seconds))
        .collect();
    for (verb, state, attempts, terraform) in [
        ("plan", "RunPlan", 2, domain::job::PLAN_SECONDS),
        ("apply", "RunApply", 1, domain::job::APPLY_SECONDS),
    ] {
        let row = sizes
            .lines()
            .find(|line| line.trim().starts_with(verb))
            .unwrap();
        let job = number(row, "timeout_seconds = ");
        assert!(
            terraform + domain::job::RESULT_SECONDS + 60 <= job,
            "{verb}: terraform has {terraform} s of the job's {job} s, and a second start waits longer"
        );
        assert!(
            job * attempts < tasks[state],
            "{state} has {} s for {attempts} x {job} s, and a wait in the queue",
            tasks[state]
        );
    }
}

/// How many stacks of a wave are planned or applied at once.
const AT_ONCE: usize = 10;

#[test]
fn so_many_stacks_go_at_once() {
    let definition = text(FILE);
    let limits = after(&definition, "\"MaxConcurrency\": ", |c| c.is_ascii_digit());
    assert_eq!(limits, [AT_ONCE.to_string().as_str(); 3]);
}

/// A build ends, or leaves its queue, before its state gives it up. A run waits for its environment
/// longer than the run before it may take: a person who answers late for each of the stacks that
/// come one after another (in a row, or since only so many go at once), each planned anew once, and
/// the way back. And all that is less than the
/// execution's own deadline.
#[test]
fn a_wait_is_longer_than_what_it_waits_for() {
    let tasks: BTreeMap<String, u32> = deliver()
        .tasks()
        .into_iter()
        .map(|(name, task)| (name, task.timeout_seconds))
        .collect();
    let variables = text("terraform/modules/build/variables.tf");
    let minutes = |name: &str| {
        let variable = block(&variables, &format!("variable \"{name}\" "), '{', '}');
        number(variable, "default     = ")
    };
    let build = 60 * (minutes("timeout_minutes") + minutes("queued_timeout_minutes"));
    assert!(build < tasks["RunBuild"], "a build may take {build} s");
    let back = tasks["RunPlan"] + tasks["RunApply"];
    let wave = back + tasks["AwaitApproval"];
    let batches = MAX_WAVES + MAX_STACKS / AT_ONCE - 1;
    let waves = u32::try_from(batches).unwrap() * (1 + REPLANS);
    let delivery = tasks["RunBuild"] + waves * (wave + back);
    let lock = tasks["AcquireLock"];
    assert!(delivery < lock, "a delivery may take {delivery} s");
    let definition: serde_json::Value = serde_json::from_str(&text(FILE)).unwrap();
    let whole = definition["TimeoutSeconds"].as_u64().unwrap();
    assert!(
        u64::from(lock + delivery) < whole,
        "a run may take {lock} s and {delivery} s"
    );
}

/// The life cycle of images spares those that were deployed.
#[test]
fn the_tag_of_a_deployed_image_is_the_one_that_the_life_cycle_spares() {
    let registry = text("terraform/modules/registry/main.tf");
    let prefixes = block(&registry, "tagPrefixList = ", '[', ']');
    let prefix = prefixes.trim_matches(|c: char| !c.is_ascii_alphabetic() && c != '-');
    let commit = domain::ids::CommitId::parse(&"1".repeat(40)).unwrap();
    let tag = domain::keys::deployed_tag(&commit);
    assert!(
        !prefix.is_empty() && tag.starts_with(prefix),
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
