//! What a command ends with when it does not succeed.

use domain::error::{ErrorName, StepError};
use serde_json::json;

/// What kind of failure it was: a name that stays the same when its words change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An error that the pipeline knows too.
    Pipeline(ErrorName),
    /// An argument is not of the form that is expected.
    ArgumentInvalid,
    /// The folder is no clone, or has no audit branch.
    CloneUnreadable,
    /// The configuration cannot be read.
    ConfigUnreadable,
    /// The run has no such stack.
    StackNotFound,
    /// The repository has no such environment.
    EnvironmentNotFound,
    /// Nobody waits for this answer, or another one was given.
    NotWaiting,
    /// An entry of the audit cannot be read.
    AuditUnreadable,
    /// The audit is not what was written.
    AuditChanged,
    /// The output cannot be written.
    OutputFailed,
    /// The answer is no, and the command's own output said why.
    Said,
}

impl Kind {
    /// The name as text and JSON show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pipeline(name) => name.as_str(),
            Self::ArgumentInvalid => "ArgumentInvalid",
            Self::CloneUnreadable => "CloneUnreadable",
            Self::ConfigUnreadable => "ConfigUnreadable",
            Self::StackNotFound => "StackNotFound",
            Self::EnvironmentNotFound => "EnvironmentNotFound",
            Self::NotWaiting => "NotWaiting",
            Self::AuditUnreadable => "AuditUnreadable",
            Self::AuditChanged => "AuditChanged",
            Self::OutputFailed => "OutputFailed",
            Self::Said => "Said",
        }
    }

    /// The exit code: 1 for what a person can mend, 255 for a defect.
    #[must_use]
    pub fn exit(self) -> u8 {
        match self {
            Self::Pipeline(ErrorName::Internal) => 255,
            _ => 1,
        }
    }
}

/// Why a command failed: what happened, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind it is of.
    pub kind: Kind,
    /// What happened and where; empty when the command's own output said so already.
    pub what: String,
    /// What to do next.
    pub next: String,
}

/// What a command answers.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure of a kind.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            next: next.into(),
        }
    }

    /// The answer is no, and the output says why.
    #[must_use]
    pub fn said() -> Self {
        Self::new(Kind::Said, "", "")
    }

    /// A defect.
    #[must_use]
    pub fn internal(what: impl Into<String>) -> Self {
        let name = ErrorName::Internal;
        Self::new(Kind::Pipeline(name), what, name.hint())
    }

    /// What is said about it: a line of JSON, or text; empty when there is nothing to say.
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
        // Hints are for the pipeline's reader; these mean something else at a terminal.
        let next = match error.name {
            ErrorName::SettingsInvalid => {
                "Set AWS_REGION, and use credentials of the pipeline's account."
            }
            ErrorName::RunNotFound => "`sluicegate runs` lists the runs.",
            ErrorName::AwsDenied => {
                "Use credentials that may read the pipeline's table and buckets."
            }
            name => name.hint(),
        };
        Self::new(Kind::Pipeline(error.name), error.message, next)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // A reader that went away, such as `head`, is no failure worth words.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::said();
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
