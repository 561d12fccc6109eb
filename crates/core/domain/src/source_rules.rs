//! The rules for the files of a delivered repository.
//!
//! Three programs run them, and so agree about a source tree: `validate` on the fetched commit, the runner on the unpacked
//! archive, and `sluicegate config check` on a working tree. [`check`] reads a description of the tree and returns every problem
//! at once. README.md lists the codes.

mod forbidden;
pub mod hcl;
mod links;
mod paths;
mod problem;
mod removed;
mod stacks;
mod tree;

pub use paths::{check_sizes, fault, is_reserved, refused_path};
pub use problem::{Code, Problem, Problems, Rule};
pub use tree::{FileKind, SourceFile};

use crate::config::{self, CONFIG_FILE, Config, PathGlob, WhenChanged};
use crate::environment::LastGood;
use crate::ids::StackName;
use hcl::Facts;
use std::fmt;
use tree::Tree;

/// The longest path, in bytes. File systems limit a name to 255 bytes; the limit on a whole path leaves room for a directory that
/// a tool puts in front of it.
pub const PATH_LIMIT: usize = 255;

/// The most files and directories.
pub const ENTRY_LIMIT: usize = 20_000;

/// The largest file, in bytes.
pub const FILE_LIMIT: u64 = 128 * 1024 * 1024;

/// The most bytes of all files together.
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
/// Returns every problem. If the configuration is missing or invalid, the rules for stacks and the build do not run.
pub fn check(files: &[SourceFile]) -> Result<Config, Problems> {
    Examined::new(files).result()
}

/// A tree that was checked by itself, and may be compared with the last good commit.
#[derive(Debug, Clone)]
pub struct Examined {
    config: Option<Config>,
    problems: Vec<Problem>,
}

impl Examined {
    /// Checks a tree. The order of `files` has no effect.
    #[must_use]
    pub fn new(files: &[SourceFile]) -> Self {
        let tree = Tree::new(files);
        let mut problems = Vec::new();
        paths::check(files, &mut problems);
        links::check(&tree, &mut problems);
        forbidden::check(&tree, &mut problems);
        let config = read_config(&tree, &mut problems);
        if let Some(config) = &config {
            stacks::check(&tree, config, &mut problems);
        }
        Self { config, problems }
    }

    /// Returns the configuration, or none if it is missing or invalid.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
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
pub fn unmatched_globs(files: &[SourceFile], config: &Config) -> Vec<UnmatchedGlob> {
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
pub fn facts(files: &[SourceFile], dir: &str) -> Facts {
    stacks::facts(&Tree::new(files), dir)
}

fn read_config(tree: &Tree<'_>, problems: &mut Vec<Problem>) -> Option<Config> {
    let file = tree.file(CONFIG_FILE).filter(|file| file.is_regular());
    let Some(file) = file else {
        problems.push(no_config());
        return None;
    };
    // A file over the size limit is not read, and has a problem already.
    let text = file.text()?;
    match config::parse(text) {
        Ok(config) => Some(config),
        Err(errors) => {
            problems.extend(errors.into_iter().map(Problem::from));
            None
        }
    }
}

fn no_config() -> Problem {
    Problem::new(Rule::NoConfig, CONFIG_FILE, "is missing")
        .expected("a file in the root of the repository that says how to deliver it")
        .fix(format!(
            "add {CONFIG_FILE}; the smallest one is `version: 1` and `environment: production`"
        ))
}

#[cfg(test)]
mod tests;
