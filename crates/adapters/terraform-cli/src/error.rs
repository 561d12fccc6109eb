//! The errors of a Terraform command.

use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, LockInfo};
use crate::version::{MINIMUM, Version};
use domain::plan::NotJudged;

/// The error of one Terraform command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binary could not be started.
    #[error(
        "could not start terraform at {binary}: {source}; check that the path names an executable for this machine"
    )]
    Start {
        /// The path that was tried.
        binary: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The binary is older than [`crate::MINIMUM`].
    #[error(
        "terraform {found} is too old: {MINIMUM} or newer is needed (S3 state lock files); put a newer one into the runner's image"
    )]
    TooOld {
        /// The version that `terraform version` reported.
        found: Version,
    },
    /// The state changed after the plan was made. The stack must be planned again.
    #[error("the saved plan is stale: the state was changed after the plan was made; plan again")]
    StalePlan {
        /// The diagnostics of Terraform.
        diagnostics: Vec<Diagnostic>,
    },
    /// Another process holds the state lock.
    #[error("the state {} is locked by {} since {} (lock id {}, {})", .lock.path, .lock.who, .lock.created, .lock.id, .lock.operation)]
    StateLocked {
        /// The holder of the lock.
        lock: Box<LockInfo>,
    },
    /// The command was interrupted from outside.
    #[error("terraform {} was interrupted{}", .0.command, if .0.killed { " and had to be killed" } else { "" })]
    Interrupted(Interruption),
    /// Terraform reported a failure.
    #[error("{0}")]
    Failed(Failure),
    /// The plan as JSON is not one that is judged.
    #[error("terraform show: the plan as JSON cannot be judged: {0}")]
    Plan(#[from] NotJudged),
    /// The output of Terraform is larger than what is read of it.
    #[error("terraform printed more than {limit} bytes, the most that are read")]
    TooLong {
        /// The most bytes that are read.
        limit: usize,
    },
    /// The output of Terraform does not have the expected form.
    #[error(
        "terraform {command} answered something unexpected: {what}; is this terraform newer than the runner?"
    )]
    Unreadable {
        /// The command, or `plan file`.
        command: &'static str,
        /// What was unexpected.
        what: String,
    },
    /// A file of the driver could not be read or written, or a pipe broke.
    #[error("could not {what} ({path}): {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// A command that was stopped by a signal.
#[derive(Clone, Debug)]
pub struct Interruption {
    /// `plan`, `apply` and so on.
    pub command: &'static str,
    /// True if the stop was requested through [`crate::Cancel`]; false if something else, such as
    /// the out-of-memory killer or an operator, killed the process.
    pub asked: bool,
    /// True if the grace period ended and the process group got a SIGKILL, or if a signal ended the
    /// process. Locks, resources and state may then be inconsistent.
    pub killed: bool,
    /// The diagnostics that Terraform printed before it ended.
    pub diagnostics: Vec<Diagnostic>,
}

/// A command that ended by itself with a failure.
#[derive(Clone, Debug)]
pub struct Failure {
    /// `plan`, `apply` and so on.
    pub command: &'static str,
    /// The exit code.
    pub code: i32,
    /// Errors and warnings. If Terraform printed only text, one diagnostic with this text.
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
    /// Returns the diagnostics of the error; empty if Terraform printed none.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::StalePlan { diagnostics } => diagnostics,
            Self::Interrupted(interruption) => &interruption.diagnostics,
            Self::Failed(failure) => &failure.diagnostics,
            Self::Start { .. }
            | Self::TooOld { .. }
            | Self::StateLocked { .. }
            | Self::Plan(_)
            | Self::TooLong { .. }
            | Self::Unreadable { .. }
            | Self::Io { .. } => &[],
        }
    }
}
