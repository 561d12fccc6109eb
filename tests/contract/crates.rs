//! Dependency rules between crates, and operations reserved for one crate.

use crate::text;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use domain::step::Step;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(tests::root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .unwrap()
}

fn folder(package: &Package) -> String {
    let manifest = package.manifest_path.parent().unwrap();
    manifest.file_name().unwrap().to_owned()
}

/// Returns the directory of a crate, which may be in a subfolder of `crates/`.
pub(crate) fn crate_dir(name: &str) -> PathBuf {
    crate_dirs()
        .into_iter()
        .find(|dir| dir.ends_with(name))
        .unwrap_or_else(|| panic!("no crate is called {name}"))
}

/// Returns the directories of all crates below `crates/`.
pub(crate) fn crate_dirs() -> Vec<PathBuf> {
    let crates = tests::root().join("crates");
    metadata()
        .workspace_packages()
        .into_iter()
        .map(|package| {
            package
                .manifest_path
                .parent()
                .unwrap()
                .as_std_path()
                .to_owned()
        })
        .filter(|dir| dir.starts_with(&crates))
        .collect()
}

/// The folders of `crates/`, and the folders and crates that the crates of each may depend on.
const FOLDERS: [(&str, &[&str]); 6] = [
    ("core", &["core"]),
    ("adapters", &["core"]),
    ("lambdas", &["core", "lambdas/runtime"]),
    ("runner", &["core", "adapters"]),
    ("cli", &["core", "adapters"]),
    ("local", &["core", "local"]),
];

/// The crates that may depend on adapters although their folder may not.
const NAME_ADAPTERS: [&str; 2] = ["lambdas/runtime", "lambdas/webhook"];

/// A crate below `crates/`.
struct Member {
    /// Its directory, from `crates/`.
    dir: String,
    package: Package,
}

impl Member {
    /// Returns the first part of the directory.
    fn folder(&self) -> &str {
        self.dir.split('/').next().unwrap()
    }

    /// Returns the crates below `crates/` that this one depends on, without development dependencies.
    fn depends_on<'m>(&self, members: &'m [Self]) -> Vec<&'m Self> {
        let named = |member: &&Self| {
            self.package.dependencies.iter().any(|dependency| {
                dependency.kind == DependencyKind::Normal && dependency.name == *member.package.name
            })
        };
        members.iter().filter(named).collect()
    }
}

/// Returns the crates below `crates/` in the order of the table: by folder, the Lambdas in the order of a
/// delivery.
fn members() -> Vec<Member> {
    let crates = tests::root().join("crates");
    let mut members: Vec<Member> = metadata()
        .workspace_packages()
        .into_iter()
        .filter_map(|package| {
            let dir = package.manifest_path.parent().unwrap();
            let dir = dir.as_std_path().strip_prefix(&crates).ok()?;
            Some(Member {
                dir: dir.to_str().unwrap().to_owned(),
                package: package.clone(),
            })
        })
        .collect();
    members.sort_by_key(|member| {
        let place = FOLDERS
            .iter()
            .position(|(name, _)| *name == member.folder());
        let name = folder(&member.package);
        let step = Step::ALL.iter().position(|step| step.as_str() == name);
        (place, step, name)
    });
    members
}

/// Returns the table of crates for crates/README.md. The description is that of the crate's Cargo.toml.
pub(crate) fn table() -> String {
    let members = members();
    let mut table = String::from("| Crate | What it is | Depends on |\n| --- | --- | --- |\n");
    for member in &members {
        let named: Vec<String> = member
            .depends_on(&members)
            .into_iter()
            .map(|named| format!("`{}`", folder(&named.package)))
            .collect();
        let name = folder(&member.package);
        let description = member.package.description.as_deref().unwrap_or_default();
        let row = format!("| [`{name}`]({}) | {description} |", member.dir);
        let end = if named.is_empty() { "|" } else { " |" };
        table += &format!("{row} {}{end}\n", named.join(", "));
    }
    table
}

/// Returns the Rust sources of a crate by path, without its tests and fakes.
pub(crate) fn sources(name: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<(String, String)>) {
        let mut entries: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            let file = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if file != "fakes" && file != "tests" {
                    walk(&path, found);
                }
            } else if path.extension().is_some_and(|ext| ext == "rs")
                && !path
                    .file_stem()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .ends_with("tests")
            {
                let source = std::fs::read_to_string(&path).unwrap();
                let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let path = path.strip_prefix(tests::root()).unwrap();
                found.push((path.to_str().unwrap().to_owned(), code.to_owned()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&crate_dir(name).join("src"), &mut found);
    found
}

fn all_sources() -> Vec<(String, String, String)> {
    let members = metadata()
        .workspace_packages()
        .into_iter()
        .map(folder)
        .collect::<Vec<_>>();
    members
        .into_iter()
        .filter(|name| name != "tests" && name != "story")
        .flat_map(|name| {
            sources(&name)
                .into_iter()
                .map(move |(path, source)| (name.clone(), path, source))
        })
        .collect()
}

/// Returns source code without comments.
fn code(source: &str) -> String {
    source
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_crate_depends_only_on_what_its_folder_may_depend_on() {
    let members = members();
    for member in &members {
        let (_, allowed) = FOLDERS
            .iter()
            .find(|(name, _)| *name == member.folder())
            .unwrap_or_else(|| panic!("{} is in no folder of crates/README.md", member.dir));
        for named in member.depends_on(&members) {
            let may_name = allowed.contains(&named.folder())
                || allowed.contains(&named.dir.as_str())
                || NAME_ADAPTERS.contains(&member.dir.as_str()) && named.folder() == "adapters";
            assert!(may_name, "{} may not depend on {}", member.dir, named.dir);
        }
    }
}

#[test]
fn a_package_is_named_after_its_folder() {
    for package in metadata().workspace_packages() {
        assert_eq!(
            package.name.to_string(),
            format!("sluicegate-{}", folder(package))
        );
        assert_eq!(
            package.publish.as_deref(),
            Some(&[][..]),
            "{}",
            package.name
        );
    }
}

/// Libraries that only one crate may name, so that all other code can be tested without them.
#[test]
fn the_outside_is_behind_one_crate_each() {
    let owners = |library: &str| match library {
        _ if library.starts_with("aws-sdk-") || library.starts_with("aws-smithy-") => Some("aws"),
        "aws-config" | "aws-credential-types" => Some("aws"),
        "lambda_runtime" | "aws_lambda_events" => Some("runtime"),
        "git2" => Some("forge, tests"),
        "axum" | "hyper" | "hyper-util" => Some("fakes"),
        "nix" => Some("terraform-cli, fakes, run"),
        _ => None,
    };
    for package in metadata().workspace_packages() {
        let name = folder(package);
        for dependency in &package.dependencies {
            if let Some(owner) = owners(&dependency.name) {
                assert!(
                    owner.split(", ").any(|owner| owner == name),
                    "{name} names {}, which is {owner}'s",
                    dependency.name
                );
            }
        }
    }
}

#[test]
fn only_terraform_cli_and_the_local_run_start_processes() {
    for (name, path, source) in all_sources() {
        let starts = code(&source).contains("Command::new");
        assert!(
            !starts || ["terraform-cli", "fakes", "run"].contains(&name.as_str()),
            "{path} starts a process"
        );
    }
}

#[test]
fn only_config_modules_read_the_environment() {
    for (_, path, source) in all_sources() {
        let code = code(&source);
        let reads = ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("]
            .iter()
            .any(|call| code.contains(call));
        let is_config = path.ends_with("/config.rs") || path.ends_with("/settings.rs");
        assert!(!reads || is_config, "{path} reads the environment");
    }
}

#[test]
fn the_domain_touches_nothing_and_never_waits() {
    for (path, source) in sources("domain") {
        let code = code(&source);
        for word in [
            "async ",
            ".await",
            "tokio",
            "std::fs",
            "std::env",
            "std::net",
            "std::process",
            "::now(",
        ] {
            assert!(!code.contains(word), "{path} holds {word:?}");
        }
    }
}

#[test]
fn a_step_is_wired_in_a_main_of_one_glance() {
    for step in Step::ALL.map(Step::as_str) {
        let main = text(&format!("crates/lambdas/{step}/src/main.rs"));
        assert!(
            main.lines().count() <= 20,
            "crates/lambdas/{step}/src/main.rs"
        );
    }
}

#[test]
fn each_step_builds_one_lambda_of_its_name() {
    let bins: BTreeMap<String, Vec<String>> = metadata()
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let bins = package.targets.iter().filter(|target| target.is_bin());
            (
                folder(package),
                bins.map(|target| target.name.clone()).collect(),
            )
        })
        .collect();
    for step in Step::ALL.map(Step::as_str) {
        assert_eq!(bins[step], [step]);
    }
    assert_eq!(bins["runner"], ["runner"]);
    assert_eq!(bins["cli"], ["sluicegate"]);
}
