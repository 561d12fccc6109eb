//! Why a repository is not run.

use domain::error::{ErrorName, StepError};

/// Something in the repository that the pipeline does not run: what, where, what was expected,
/// what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?}: {what}; expected {expected}; next: {next}")]
pub struct Refusal {
    path: String,
    what: String,
    expected: String,
    next: String,
}

impl Refusal {
    /// All four parts; `path` is relative to the repository's root.
    pub fn new(
        path: impl Into<String>,
        what: impl Into<String>,
        expected: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            what: what.into(),
            expected: expected.into(),
            next: next.into(),
        }
    }

    /// Where.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl From<Refusal> for StepError {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorName::SourceRefused, refusal.to_string())
    }
}
