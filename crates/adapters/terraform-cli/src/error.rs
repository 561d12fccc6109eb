//! How a terraform command can end badly.

use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, LockInfo};
use crate::version::{MINIMUM, Version};

/// What went wrong with one terraform command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binary could not be started at all.
    #[error(
        "could not start terraform at {binary}: {source}; check that the path names an executable for this machine"
    )]
    Start {
        /// The path that was tried.
        binary: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The binary is older than this driver can work with.
    #[error(
        "terraform {found} is too old: {MINIMUM} or newer is needed (S3 state lock files); put a newer one into the runner's image"
    )]
    TooOld {
        /// What `terraform version` answered.
        found: Version,
    },
    /// The state moved since the plan was made: plan again.
    #[error("the saved plan is stale: the state was changed after the plan was made; plan again")]
    StalePlan {
        /// Terraform's own words.
        diagnostics: Vec<Diagnostic>,
    },
    /// Somebody else holds the state lock.
    #[error("the state is locked by {} since {} (lock id {}, {}); wait for it, or unlock with that id once it is known to be dead", .lock.who, .lock.created, .lock.id, .lock.operation)]
    StateLocked {
        /// Who holds it.
        lock: Box<LockInfo>,
    },
    /// The command was stopped from outside.
    #[error("terraform {} was interrupted{}", .0.command, if .0.killed { " and had to be killed" } else { "" })]
    Interrupted(Interruption),
    /// Terraform itself reported a failure.
    #[error("{0}")]
    Failed(Failure),
    /// Terraform's answer was not what this driver knows.
    #[error(
        "terraform {command} answered something unexpected: {what}; is this terraform newer than the runner?"
    )]
    Unreadable {
        /// The command, or `plan file`.
        command: &'static str,
        /// What was wrong.
        what: String,
    },
    /// A file of ours could not be read or written, or a pipe broke.
    #[error("could not {what} ({path}): {source}")]
    Io {
        /// The deed.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// A command that was stopped by a signal.
#[derive(Clone, Debug)]
pub struct Interruption {
    /// `plan`, `apply` and so on.
    pub command: &'static str,
    /// True when the stop was asked for through [`crate::Cancel`]; false when somebody else
    /// (the kernel short of memory, an operator) killed the process.
    pub asked: bool,
    /// True when the budget ran out and the whole process group got SIGKILL, or when a signal
    /// ended the process: locks, resources and state may then be out of step.
    pub killed: bool,
    /// What terraform still said.
    pub diagnostics: Vec<Diagnostic>,
}

/// A command that ended by itself with a failure.
#[derive(Clone, Debug)]
pub struct Failure {
    /// `plan`, `apply` and so on.
    pub command: &'static str,
    /// The exit code.
    pub code: i32,
    /// Errors and warnings; where terraform printed text only, one diagnostic made of it.
    pub diagnostics: Vec<Diagnostic>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut errors = self.diagnostics.iter().filter(|found| found.is_error());
        match errors.next() {
            Some(first) => write!(f, "terraform {} failed: {first}", self.command)?,
            None => write!(
                f,
                "terraform {} failed with exit code {}",
                self.command, self.code
            )?,
        }
        match errors.count() {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

impl Error {
    /// The diagnostics that came with it; empty where terraform said nothing.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::StalePlan { diagnostics } => diagnostics,
            Self::Interrupted(interruption) => &interruption.diagnostics,
            Self::Failed(failure) => &failure.diagnostics,
            Self::Start { .. }
            | Self::TooOld { .. }
            | Self::StateLocked { .. }
            | Self::Unreadable { .. }
            | Self::Io { .. } => &[],
        }
    }
}
