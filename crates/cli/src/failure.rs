//! The failure of a command.

use domain::error::{ErrorName, StepError};
use serde_json::json;

/// The kind of a failure. Its name does not change with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An error that the pipeline defines too.
    Pipeline(ErrorName),
    /// An argument does not have the expected form.
    ArgumentInvalid,
    /// The directory is not a clone, or has no audit branch.
    CloneUnreadable,
    /// The directory to check cannot be read.
    SourceUnreadable,
    /// The run has no such stack.
    StackNotFound,
    /// The repository has no such environment.
    EnvironmentNotFound,
    /// What is to be removed or replaced may still be in use.
    StillInUse,
    /// The state is not locked.
    LockNotFound,
    /// The state has no such version.
    VersionNotFound,
    /// No approval is pending, or the plan was decided otherwise.
    NotWaiting,
    /// The repository has no audit entry.
    AuditNotFound,
    /// An entry of the audit cannot be read.
    AuditUnreadable,
    /// The audit was changed after it was written.
    AuditChanged,
    /// The output cannot be written.
    OutputFailed,
    /// The result is negative, and the output of the command says why.
    AlreadyReported,
}

impl Kind {
    /// Returns the name that text and JSON output show.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pipeline(name) => name.as_str(),
            Self::ArgumentInvalid => "ArgumentInvalid",
            Self::CloneUnreadable => "CloneUnreadable",
            Self::SourceUnreadable => "SourceUnreadable",
            Self::StackNotFound => "StackNotFound",
            Self::EnvironmentNotFound => "EnvironmentNotFound",
            Self::StillInUse => "StillInUse",
            Self::LockNotFound => "LockNotFound",
            Self::VersionNotFound => "VersionNotFound",
            Self::NotWaiting => "NotWaiting",
            Self::AuditNotFound => "AuditNotFound",
            Self::AuditUnreadable => "AuditUnreadable",
            Self::AuditChanged => "AuditChanged",
            Self::OutputFailed => "OutputFailed",
            Self::AlreadyReported => "AlreadyReported",
        }
    }

    /// Returns the exit code: 255 for a defect, 1 for everything else.
    #[must_use]
    pub fn exit(self) -> u8 {
        match self {
            Self::Pipeline(ErrorName::Internal) => 255,
            _ => 1,
        }
    }
}

/// The next step after a wrong run id.
pub(crate) const LIST_RUNS: &str = "`sluicegate runs` lists the runs.";

/// The reason why a command failed, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub kind: Kind,
    /// What happened, and where; empty if the output of the command says so already.
    pub what: String,
    /// What to do next.
    pub next: String,
}

/// The result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Creates a failure.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            next: next.into(),
        }
    }

    /// Creates the failure of a command whose output says why the result is negative.
    #[must_use]
    pub fn already_reported() -> Self {
        Self::new(Kind::AlreadyReported, "", "")
    }

    /// Creates the failure for a defect of Sluicegate.
    #[must_use]
    pub fn internal(what: impl Into<String>) -> Self {
        StepError::new(ErrorName::Internal, what.into()).into()
    }

    /// Returns the failure as one line of JSON, or as text; empty if there is nothing to print.
    #[must_use]
    pub fn to_output(&self, as_json: bool) -> String {
        let (kind, what, next) = (self.kind.as_str(), &self.what, &self.next);
        if what.is_empty() {
            String::new()
        } else if as_json {
            format!(
                "{}\n",
                json!({"error": kind, "message": what, "next": next})
            )
        } else {
            format!("error[{kind}]: {what}\n next: {next}\n")
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        // The hints of these errors are about the pipeline; at a terminal, the cause is a different
        // one.
        let next = match error.name {
            ErrorName::SettingsInvalid => {
                "Set AWS_REGION, and use credentials of the pipeline's account.".to_owned()
            }
            ErrorName::RunNotFound => LIST_RUNS.to_owned(),
            ErrorName::AwsDenied => {
                "Use credentials that may read the pipeline's table and buckets.".to_owned()
            }
            _ => error.next_step_without_run(),
        };
        Self::new(Kind::Pipeline(error.name), error.message, next)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // A closed pipe, such as that of `head`, needs no message.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::already_reported();
        }
        Self::new(
            Kind::OutputFailed,
            format!("write the output: {error}"),
            "Look at where it goes: the disk may be full.",
        )
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format!("write JSON: {error}"))
    }
}
