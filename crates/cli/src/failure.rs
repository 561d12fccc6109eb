//! What a command ends with when it does not succeed.

use domain::error::{ErrorName, StepError};
use serde_json::{Value, json};

/// Why a command failed: what happened, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code: 1 for what a person can mend, 255 for a defect.
    pub code: u8,
    /// An error's name, where it has one.
    pub name: Option<ErrorName>,
    /// What happened and where; empty when the command's own output said so already.
    pub what: String,
    /// What to do next.
    pub next: String,
}

/// What a command answers.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure that a person can mend.
    #[must_use]
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            code: 1,
            name: None,
            what: what.into(),
            next: next.into(),
        }
    }

    /// The answer is no, and the output says why.
    #[must_use]
    pub fn said() -> Self {
        Self::new("", "")
    }

    /// A defect.
    #[must_use]
    pub fn internal(what: impl Into<String>) -> Self {
        Self {
            code: 255,
            name: Some(ErrorName::Internal),
            what: what.into(),
            next: ErrorName::Internal.hint().to_owned(),
        }
    }

    /// The failure as text; empty when there is nothing to say.
    #[must_use]
    pub fn to_text(&self) -> String {
        match (self.what.is_empty(), self.next.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!("error: {}\n", self.what),
            (false, false) => format!("error: {}\n next: {}\n", self.what, self.next),
        }
    }

    /// The failure as JSON.
    #[must_use]
    pub fn to_json(&self) -> Option<Value> {
        let name = self.name.map(ErrorName::as_str);
        (!self.what.is_empty())
            .then(|| json!({"error": name, "message": self.what, "next": self.next}))
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
        Self {
            code: if error.name == ErrorName::Internal {
                255
            } else {
                1
            },
            name: Some(error.name),
            what: error.message,
            next: next.to_owned(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // A reader that went away, such as `head`, is no failure worth words.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::said();
        }
        Self::new(format!("write the output: {error}"), "")
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format!("write JSON: {error}"))
    }
}
