//! The rules for the files of a delivered repository.
//!
//! Three programs run them, and so agree about a source tree: `validate` on the fetched commit, the runner on the unpacked
//! archive, and `sluicegate config check` on a working tree. [`check`] reads a description of the tree and returns every problem
//! at once. README.md lists the codes.

mod forbidden;
pub mod hcl;
mod left_out;
mod links;
mod paths;
mod problem;
mod reach;
mod removed;
mod stacks;
mod tree;

pub(crate) use forbidden::is_forbidden_name;
pub use left_out::LeftOut;
pub use paths::{check_tree, fault, is_reserved, refused_path};
pub use problem::{Code, Problem, Problems, Rule};
pub use tree::{FileKind, SourceFile};

pub use crate::config::CONFIG_FILE;
use crate::config::{self, Config, ConfigError, Invalid, PathGlob, WhenChanged};
use crate::enrolment::EnrolledEnvironment;
use crate::environment::LastGood;
use crate::ids::StackName;
use hcl::Facts;
use reach::Reach;
use std::collections::BTreeSet;
use std::fmt;
use tree::Tree;

/// The longest path, in bytes. File systems limit a name to 255 bytes; the limit on a whole path leaves room for a directory that
/// a tool puts in front of it.
pub const PATH_LIMIT: usize = 255;

/// The most files and directories that stacks and the build can read.
pub const ENTRY_LIMIT: usize = 20_000;

/// The most files and directories of a commit.
pub const TREE_LIMIT: usize = 200_000;

/// The largest file, in bytes.
pub const FILE_LIMIT: u64 = 128 * 1024 * 1024;

/// The most bytes of the files together that stacks and the build can read.
pub const TOTAL_LIMIT: u64 = 200 * 1024 * 1024;

/// The longest target of a symbolic link, in bytes.
pub const TARGET_LIMIT: u64 = 4096;

/// The override file that the runner writes into the directory of a stack.
pub const OVERRIDE_FILE: &str = "sluicegate_backend_override.tf.json";

/// The override file that marks variables as sensitive. The runner writes it into the directory of a stack.
pub const MARKS_FILE: &str = "sluicegate_sensitive_override.tf.json";

/// The variable file that the runner passes to Terraform.
pub const VARIABLES_FILE: &str = "sluicegate.tfvars.json";

/// The file that the runner writes into the directory of a stack for a rollback.
pub const ROLLBACK_FILE: &str = "sluicegate_rollback.tf.json";

/// Terraform's dependency lock file.
pub const LOCK_FILE: &str = ".terraform.lock.hcl";

/// The first bytes of a Git LFS pointer.
pub const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Checks a tree: its configuration, and its files under that configuration. The order of `files` has no effect.
///
/// # Errors
/// Returns every problem. If the configuration is not YAML, the rules for stacks and the build do not run.
pub fn check(files: &[SourceFile<'_>]) -> Result<Config, Problems> {
    Examined::new(files).result()
}

/// A tree that was checked by itself, and may be compared with the last good commit.
#[derive(Debug, Clone)]
pub struct Examined {
    config: Option<Config>,
    /// Line and column of the value of `environment`, if it begins a line.
    environment_at: Option<(u64, u64)>,
    problems: Vec<Problem>,
    reached: BTreeSet<String>,
    left_out: LeftOut,
}

impl Examined {
    /// Checks a tree. The order of `files` has no effect.
    #[must_use]
    pub fn new(files: &[SourceFile<'_>]) -> Self {
        let tree = Tree::new(files);
        let mut problems = Vec::new();
        let config = read_config(&tree, &mut problems);
        let (stacks, build) = match &config {
            Ok(config) => (config.stacks.as_slice(), config.build.as_ref()),
            Err(invalid) => (invalid.stacks.as_slice(), invalid.build.as_ref()),
        };
        let reach = Reach::of(&tree, stacks, build);
        paths::check(files, &reach, &mut problems);
        links::check(&tree, &reach, &mut problems);
        forbidden::check(&tree, &reach, &mut problems);
        stacks::check(&tree, stacks, build, &reach, &mut problems);
        Self {
            left_out: LeftOut::of(&tree, &reach),
            reached: reach.paths().map(str::to_owned).collect(),
            config: config.ok(),
            environment_at: environment_at(&tree),
            problems,
        }
    }

    /// Returns the files that the sealed archive leaves out.
    #[must_use]
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Returns the paths of the files that a stack or the build can read.
    #[must_use]
    pub fn reached(&self) -> &BTreeSet<String> {
        &self.reached
    }

    /// Returns the configuration, or none if it is missing or invalid.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Tightens the configuration as the enrolment says. The configuration can ask for more approvals
    /// than the enrolment and protect more, and never for less. Its environment must be that of the branch.
    #[must_use]
    pub fn within(mut self, enrolled: &EnrolledEnvironment) -> Self {
        let Some(config) = &mut self.config else {
            return self;
        };
        if config.environment != enrolled.name {
            let found = ConfigError {
                code: "CF050",
                at: self.environment_at,
                key: "environment".to_owned(),
                message: format!(
                    "found {}, but this branch is delivered to {}, as the repository's enrolment says; \
                     write `environment: {}`, or have the branch enrolled for {}",
                    config.environment, enrolled.name, enrolled.name, config.environment
                ),
            };
            self.problems.push(Problem::from(found));
        }
        config.tighten(enrolled.approval, &enrolled.protect);
        self
    }

    /// Compares the stacks with those of the last good commit.
    #[must_use]
    pub fn compared(mut self, good: &LastGood) -> Self {
        if let Some(config) = &self.config {
            removed::check(config, good, &mut self.problems);
        }
        self
    }

    /// Returns the configuration.
    ///
    /// # Errors
    /// Returns every problem.
    pub fn result(self) -> Result<Config, Problems> {
        match (self.config, Problems::new(self.problems)) {
            (Some(config), None) => Ok(config),
            (_, Some(problems)) => Err(problems),
            (None, None) => Err(Problems::from(no_config())),
        }
    }
}

/// Compares the stacks of a configuration with those of the last good commit.
///
/// # Errors
/// Returns a problem for each stack that the configuration says nothing about.
pub fn compare(config: &Config, good: &LastGood) -> Result<(), Problems> {
    let mut problems = Vec::new();
    removed::check(config, good, &mut problems);
    match Problems::new(problems) {
        None => Ok(()),
        Some(problems) => Err(problems),
    }
}

/// A glob of `when_changed` that matches no file. The commit is delivered: the files may come later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmatchedGlob {
    /// The stack.
    pub stack: StackName,
    /// The glob.
    pub glob: PathGlob,
}

impl fmt::Display for UnmatchedGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stack, glob) = (&self.stack, self.glob.to_string());
        write!(f, "stack {stack}: no file matches {glob:?} in when_changed")
    }
}

/// Returns the globs of `when_changed` that match no file.
#[must_use]
pub fn unmatched_globs(files: &[SourceFile<'_>], config: &Config) -> Vec<UnmatchedGlob> {
    let mut found = Vec::new();
    for stack in &config.stacks {
        let WhenChanged::Files(globs) = &stack.when_changed else {
            continue;
        };
        let unmatched = globs
            .iter()
            .filter(|glob| !files.iter().any(|file| glob.matches(&file.path)));
        found.extend(unmatched.map(|glob| UnmatchedGlob {
            stack: stack.name.clone(),
            glob: glob.clone(),
        }));
    }
    found
}

/// Returns what the Terraform files directly in a directory declare.
#[must_use]
pub fn facts(files: &[SourceFile<'_>], dir: &str) -> Facts {
    stacks::facts(&Tree::new(files), dir)
}

/// Returns the configuration, or what can be read of it.
fn read_config(tree: &Tree<'_>, problems: &mut Vec<Problem>) -> Result<Config, Invalid> {
    let nothing = Invalid {
        errors: Vec::new(),
        stacks: Vec::new(),
        build: None,
    };
    let file = tree.file(CONFIG_FILE).filter(|file| file.is_regular());
    let Some(file) = file else {
        problems.push(no_config());
        return Err(nothing);
    };
    // A file over the size limit is not read, and has a problem already.
    let Some(text) = file.text() else {
        return Err(nothing);
    };
    config::parse(text).map_err(|mut invalid| {
        problems.extend(invalid.errors.drain(..).map(Problem::from));
        invalid
    })
}

/// Returns where the configuration names the environment.
fn environment_at(tree: &Tree<'_>) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(tree.file(CONFIG_FILE)?.text()?).ok()?;
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(rest) = text.strip_prefix("environment:") {
            let column = text.len() - rest.trim_start().len() + 1;
            return Some((line, u64::try_from(column).ok()?));
        }
    }
    None
}

fn no_config() -> Problem {
    Problem::new(Rule::NoConfig, CONFIG_FILE, "is missing")
        .expected("a file in the root of the repository that says how to deliver it")
        .fix(format!(
            "add {CONFIG_FILE}; the smallest one is `version: 1` and `environment: production`"
        ))
}

#[cfg(test)]
mod reach_tests;
#[cfg(test)]
mod tests;
