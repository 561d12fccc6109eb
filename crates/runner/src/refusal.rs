//! The refusal of an archive.

use domain::error::{ErrorName, StepError};

/// Something in the archive that cannot be unpacked safely: what, where, what was expected,
/// and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?}: {what}; expected {expected}; next: {next}")]
pub struct Refusal {
    path: String,
    what: String,
    expected: String,
    next: String,
}

impl Refusal {
    /// Creates a refusal. `path` is relative to the root of the repository.
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
}

impl From<Refusal> for StepError {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorName::SourceRefused, refusal.to_string())
    }
}
