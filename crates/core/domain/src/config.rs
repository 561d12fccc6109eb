//! The configuration of a repository: `sluicegate.yaml`.

mod deploy;
mod enrolled;
mod policies;
mod removed;
mod when_changed;

pub use deploy::*;
pub use policies::{Policies, Protected};
pub use removed::Removed;
pub use when_changed::{PathGlob, WhenChanged};

use crate::environment::QueueRule;
use crate::ids::{EnvironmentName, IdError, StackName};
use crate::plan::ApprovalRule;
use crate::source_rules::PATH_LIMIT;
use deploy::RawDeploy;
use policies::RawPolicies;
use removed::RawRemoved;
use serde::{Deserialize, Serialize};
use serde_saphyr::{Location, Spanned};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use when_changed::RawWhenChanged;

/// The path of the configuration in a repository.
pub const CONFIG_FILE: &str = "sluicegate.yaml";

/// The longest test command, in bytes. Three records keep it.
const TEST_LIMIT: usize = 4 * 1024;

/// The maximum size of the configuration, in bytes.
pub const CONFIG_LIMIT: usize = 32 * 1024;

/// The maximum size of the configuration as JSON, with each alias resolved. A run's record keeps its
/// stacks up to four times.
pub const RECORDED_LIMIT: usize = 16 * 1024;

/// The maximum number of stacks. A run's record keeps data for each on both legs, in 400 KB.
pub const MAX_STACKS: usize = 45;

/// The maximum length of a chain of stacks that need one another. Each may wait for an approval,
/// and the state machine's time limits allow for this many.
pub const MAX_WAVES: usize = 10;

/// A validated configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The environment that the watched branch is delivered to.
    pub environment: EnvironmentName,
    /// What happens to runs that wait for the environment.
    pub queue: QueueRule,
    /// When a plan needs an approval.
    pub approval: ApprovalRule,
    /// What a plan may remove without an approval.
    pub policies: Policies,
    /// The Terraform stacks, each after the stacks that it needs.
    pub stacks: Vec<Stack>,
    /// What happens to the resources of stacks that are no longer among `stacks`.
    pub removed: BTreeMap<StackName, Removed>,
    /// How the image is built. None if the repository builds no image.
    pub build: Option<Build>,
    /// Where the image runs. None if nothing is deployed.
    pub deploy: Option<Deploy>,
}

/// A stack: a Terraform root module with one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// The stack's name.
    pub name: StackName,
    /// The stack's directory, relative to the repository's root, with `/` as the separator.
    pub dir: String,
    /// The stack's first name, which its state goes by. None if it was never renamed.
    pub renamed_from: Option<StackName>,
    /// The stacks whose outputs this stack takes as variables.
    pub needs: Vec<StackName>,
    /// When the stack is planned.
    pub when_changed: WhenChanged,
}

/// How the image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The build context, relative to the repository's root. Empty for the root.
    pub context: String,
    /// The path of the Dockerfile, relative to the context.
    pub dockerfile: String,
    /// The test command. A shell runs it in the context, in another copy than the image's.
    pub test: String,
}

/// An error in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// A stable code: `CF` and three digits.
    pub code: &'static str,
    /// Line and column, both from 1. None where they are not known.
    pub at: Option<(u64, u64)>,
    /// The path of the key, such as `stacks[1].needs[0]`.
    pub key: String,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CONFIG_FILE)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {} ", self.code)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

// The file as written. Names carry their location, so that every error can point to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: Spanned<serde_json::Value>,
    environment: Spanned<String>,
    #[serde(default)]
    queue: QueueRule,
    #[serde(default)]
    approval: ApprovalRule,
    policies: Option<RawPolicies>,
    #[serde(default)]
    stacks: Vec<RawStack>,
    #[serde(default)]
    removed: RawRemoved,
    build: Option<RawBuild>,
    deploy: Option<RawDeploy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStack {
    name: Spanned<String>,
    dir: Spanned<String>,
    renamed_from: Option<Spanned<String>>,
    #[serde(default)]
    needs: Vec<Spanned<String>>,
    when_changed: Option<Spanned<RawWhenChanged>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBuild {
    #[serde(default)]
    context: Option<Spanned<String>>,
    #[serde(default)]
    dockerfile: Option<Spanned<String>>,
    test: Spanned<String>,
}

/// An invalid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Every error that was found.
    pub errors: Vec<ConfigError>,
    /// The stacks whose names and directories are valid.
    pub stacks: Vec<Stack>,
    /// The build, if its paths are valid.
    pub build: Option<Build>,
}

impl From<ConfigError> for Invalid {
    fn from(error: ConfigError) -> Self {
        Self {
            errors: vec![error],
            stacks: Vec::new(),
            build: None,
        }
    }
}

/// Parses and validates a configuration.
///
/// # Errors
/// Returns every error that was found. If the file is not YAML or has the wrong structure, the
/// other checks do not run.
pub fn parse(bytes: &[u8]) -> Result<Config, Invalid> {
    let whole = |code: &'static str, message: String| {
        Err(Invalid::from(ConfigError {
            code,
            at: None,
            key: String::new(),
            message,
        }))
    };
    if bytes.len() > CONFIG_LIMIT {
        let message = format!(
            "the file has {} bytes, at most {CONFIG_LIMIT} are read",
            bytes.len()
        );
        return whole("CF002", message);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            return whole(
                "CF004",
                format!("byte {} is not UTF-8", error.valid_up_to()),
            );
        }
    };
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return whole(
            "CF004",
            "the file is empty; expected at least `version: 1`".into(),
        );
    }
    match serde_saphyr::from_str::<Raw>(text) {
        Ok(raw) => {
            let config = Checker::default().check(raw)?;
            let size = serde_json::to_vec(&config).map_or(usize::MAX, |bytes| bytes.len());
            if size > RECORDED_LIMIT {
                let message = format!(
                    "it has {size} bytes as JSON; at most {RECORDED_LIMIT} are taken: shorten names, paths and lists"
                );
                return whole("CF002", message);
            }
            Ok(config)
        }
        Err(error) => {
            let error = error.without_snippet();
            let at = error.location().map(|at| (at.line(), at.column()));
            let text = error.to_string();
            let message = text.lines().next().unwrap_or_default();
            // The message already starts with the location.
            let message = match message.rsplit_once(" at line ") {
                Some((message, place)) if place.starts_with(|c: char| c.is_ascii_digit()) => {
                    message
                }
                _ => message,
            };
            // The rest of the message is for callers of the YAML library.
            let message = message
                .split_once(", set DuplicateKeyPolicy")
                .map_or(message, |(message, _)| message);
            let code = if message.contains("unknown field") {
                "CF010"
            } else if message.contains("duplicate") {
                "CF011"
            } else {
                "CF005"
            };
            Err(Invalid::from(ConfigError {
                code,
                at,
                key: String::new(),
                message: message.to_owned(),
            }))
        }
    }
}

#[derive(Default)]
struct Checker {
    errors: Vec<ConfigError>,
}

impl Checker {
    fn check(mut self, raw: Raw) -> Result<Config, Invalid> {
        if raw.version.value != serde_json::json!(1) {
            let message = format!("found {}, expected the number 1", raw.version.value);
            self.error("CF012", raw.version.referenced, "version", message);
        }
        let environment = self.id(
            "CF026",
            "environment",
            &raw.environment,
            EnvironmentName::parse,
        );
        let stacks = self.stacks(&raw.stacks);
        let removed = self.removed(&raw.removed, &stacks);
        let policies = raw.policies.as_ref();
        let policies = policies.map_or_else(Policies::default, |raw| self.policies(raw));
        let names: BTreeSet<&str> = raw
            .stacks
            .iter()
            .map(|stack| stack.name.value.as_str())
            .collect();
        let build = raw.build.map(|build| self.build(build));
        let deploy = raw.deploy.and_then(|deploy| self.deploy(&deploy, &names));
        if let (Some(_), None) = (&deploy, &build) {
            let message = "a deployment needs an image: add `build:`".to_owned();
            self.errors.push(ConfigError {
                code: "CF027",
                at: None,
                key: "deploy".into(),
                message,
            });
        }
        // Errors are in the order of the file. Errors without a location are last.
        self.errors
            .sort_by_key(|error| error.at.unwrap_or((u64::MAX, 0)));
        match (environment, self.errors.is_empty()) {
            (Some(environment), true) => Ok(Config {
                environment,
                queue: raw.queue,
                approval: raw.approval,
                policies,
                stacks,
                removed,
                build,
                deploy,
            }),
            _ => Err(Invalid {
                errors: self.errors,
                stacks: stacks
                    .into_iter()
                    .filter(|stack| check_path(&stack.dir).is_ok())
                    .collect(),
                build: build.filter(|build| {
                    check_path(&build.dockerfile).is_ok()
                        && (build.context.is_empty() || check_path(&build.context).is_ok())
                }),
            }),
        }
    }

    fn error(&mut self, code: &'static str, at: Location, key: &str, message: impl Into<String>) {
        let at = Some((at.line(), at.column()));
        self.errors.push(ConfigError {
            code,
            at,
            key: key.into(),
            message: message.into(),
        });
    }

    fn id<T>(
        &mut self,
        code: &'static str,
        key: &str,
        text: &Spanned<String>,
        parse: impl Fn(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        match parse(&text.value) {
            Ok(id) => Some(id),
            Err(error) => {
                self.error(code, text.referenced, key, error.to_string());
                None
            }
        }
    }

    fn path(&mut self, key: &str, text: &Spanned<String>) -> String {
        if let Err(why) = check_path(&text.value) {
            let message = format!(
                "{:?} {why}; expected a path inside the repository",
                text.value
            );
            self.error("CF020", text.referenced, key, message);
        }
        text.value.trim_end_matches('/').to_owned()
    }

    fn url_path(&mut self, key: &str, text: &Spanned<String>) -> String {
        let good = text.value.starts_with('/')
            && !text.value.starts_with("//")
            && text.value.chars().all(|c| c.is_ascii_graphic());
        if !good {
            let message = format!(
                "{:?} is not a path; expected `/` and printable ASCII",
                text.value
            );
            self.error("CF051", text.referenced, key, message);
        }
        text.value.clone()
    }

    fn stacks(&mut self, raw: &[RawStack]) -> Vec<Stack> {
        let mut dirs: BTreeMap<String, &str> = BTreeMap::new();
        let mut lines: BTreeMap<&str, u64> = BTreeMap::new();
        let mut stacks = Vec::new();
        for (i, stack) in raw.iter().enumerate() {
            let name = self.id(
                "CF026",
                &format!("stacks[{i}].name"),
                &stack.name,
                StackName::parse,
            );
            let dir = self.path(&format!("stacks[{i}].dir"), &stack.dir);
            let line = stack.name.referenced.line();
            if let Some(first) = lines.insert(&stack.name.value, line) {
                let message = format!(
                    "duplicate stack {:?} (lines {first} and {line})",
                    stack.name.value
                );
                self.error(
                    "CF011",
                    stack.name.referenced,
                    &format!("stacks[{i}].name"),
                    message,
                );
            }
            if let Some(other) = dirs.insert(dir.clone(), &stack.name.value) {
                let message = format!(
                    "stacks {other:?} and {:?} have the same directory {dir:?}",
                    stack.name.value
                );
                self.error(
                    "CF025",
                    stack.dir.referenced,
                    &format!("stacks[{i}].dir"),
                    message,
                );
            }
            let mut needs = Vec::new();
            for (n, need) in stack.needs.iter().enumerate() {
                let key = format!("stacks[{i}].needs[{n}]");
                if !raw.iter().any(|other| other.name.value == need.value) {
                    let message = format!("no stack is called {:?}", need.value);
                    self.error("CF030", need.referenced, &key, message);
                } else if let Some(name) = self.id("CF030", &key, need, StackName::parse) {
                    needs.push(name);
                }
            }
            let when_changed = self.when_changed(i, stack.when_changed.as_ref());
            let renamed_from = self.renamed_from(i, stack, raw);
            if let Some(name) = name {
                stacks.push(Stack {
                    name,
                    dir,
                    renamed_from,
                    needs,
                    when_changed,
                });
            }
            if i == MAX_STACKS {
                let message = format!("more than {MAX_STACKS} stacks; split the repository");
                self.error("CF032", stack.name.referenced, "stacks", message);
            }
        }
        match in_order(&stacks) {
            Ok(ordered) => {
                if let Some(deep) = too_deep(&ordered)
                    && let Some(stack) = raw.iter().find(|one| one.name.value == deep.as_str())
                {
                    let message = format!(
                        "stack {deep} comes after {MAX_WAVES} others that need one another; expected {MAX_WAVES} stacks in a row at most"
                    );
                    self.error("CF033", stack.name.referenced, "stacks", message);
                }
                ordered
            }
            Err(cycle) => {
                if let Some(first) = raw
                    .iter()
                    .find(|stack| cycle.starts_with(&stack.name.value))
                {
                    let message = format!("cycle: {cycle}");
                    self.error("CF031", first.name.referenced, "stacks", message);
                }
                stacks
            }
        }
    }

    fn build(&mut self, raw: RawBuild) -> Build {
        let context = match &raw.context {
            Some(context) if context.value != "." => self.path("build.context", context),
            _ => String::new(),
        };
        let dockerfile = match &raw.dockerfile {
            Some(file) => self.path("build.dockerfile", file),
            None => "Dockerfile".to_owned(),
        };
        if raw.test.value.trim().is_empty() {
            let message = "is empty; expected the command that tests the application";
            self.error("CF028", raw.test.referenced, "build.test", message);
        } else if raw.test.value.len() > TEST_LIMIT {
            let message = format!(
                "has {} bytes, expected at most {TEST_LIMIT}; put the commands into a script of the repository",
                raw.test.value.len()
            );
            self.error("CF028", raw.test.referenced, "build.test", message);
        }
        Build {
            context,
            dockerfile,
            test: raw.test.value,
        }
    }
}

/// Checks that a path stays inside the repository. Examines only the text of the path.
///
/// # Errors
/// Returns what is wrong, phrased to follow the path in a sentence.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        Err("is empty")
    } else if path.len() > PATH_LIMIT {
        Err("is longer than 255 bytes")
    } else if path.starts_with('/') || path.starts_with('~') {
        Err("is absolute")
    } else if path.contains('\\') || path.contains(':') || path.chars().any(char::is_control) {
        Err("has a backslash, a colon or a control character")
    } else if path.starts_with('-') {
        Err("starts with a hyphen")
    } else if path
        .trim_end_matches('/')
        .split('/')
        .any(|part| matches!(part, "" | "." | ".."))
    {
        Err("has an empty, `.` or `..` part")
    } else if path.split('/').any(|part| part == ".git") {
        Err("is in `.git`")
    } else {
        Ok(())
    }
}

/// Returns the stacks in an order in which each comes after the stacks that it needs.
///
/// # Errors
/// Returns a cycle, as `a -> b -> a`.
fn in_order(stacks: &[Stack]) -> Result<Vec<Stack>, String> {
    let mut ordered: Vec<Stack> = Vec::with_capacity(stacks.len());
    let mut rest: Vec<&Stack> = stacks.iter().collect();
    while !rest.is_empty() {
        let ready = |stack: &&Stack| {
            stack
                .needs
                .iter()
                .all(|need| ordered.iter().any(|done| &done.name == need))
        };
        let (now, later): (Vec<_>, Vec<_>) = rest.iter().copied().partition(ready);
        if now.is_empty() {
            return Err(cycle(&rest));
        }
        ordered.extend(now.into_iter().cloned());
        rest = later;
    }
    Ok(ordered)
}

/// Returns the first stack at the end of a chain of more than [`MAX_WAVES`] stacks. `ordered` must
/// have each stack after those that it needs.
fn too_deep(ordered: &[Stack]) -> Option<&StackName> {
    let depths = depths(ordered);
    let mut names = ordered.iter().map(|stack| &stack.name);
    names.find(|name| depths.get(name) > Some(&MAX_WAVES))
}

/// Returns the length of the longest chain of stacks that need one another. `ordered` must have each
/// stack after those that it needs.
pub(crate) fn waves<'a>(ordered: impl IntoIterator<Item = &'a Stack>) -> usize {
    depths(ordered).into_values().max().unwrap_or(0)
}

fn depths<'a>(ordered: impl IntoIterator<Item = &'a Stack>) -> BTreeMap<&'a StackName, usize> {
    let mut depths: BTreeMap<&StackName, usize> = BTreeMap::new();
    for stack in ordered {
        let below = stack.needs.iter().filter_map(|need| depths.get(need));
        let depth = below.max().unwrap_or(&0) + 1;
        depths.insert(&stack.name, depth);
    }
    depths
}

/// Returns a cycle among stacks that cannot be ordered, as `a -> b -> a`.
fn cycle(rest: &[&Stack]) -> String {
    let mut path: Vec<&StackName> = Vec::new();
    let mut next = rest.first().copied();
    while let Some(stack) = next {
        let seen = path.iter().position(|name| *name == &stack.name);
        path.push(&stack.name);
        if let Some(start) = seen {
            path.drain(..start);
            break;
        }
        next = stack
            .needs
            .iter()
            .find_map(|need| rest.iter().copied().find(|other| &other.name == need));
    }
    path.iter()
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join(" -> ")
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
