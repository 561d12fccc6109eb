//! How a run ended.

use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Something changed, and it was verified.
    Applied,
    /// Nothing had to change.
    NoOp,
    /// A newer commit took its place.
    Superseded,
    /// The commit was not fit to be delivered, and nothing was touched.
    Rejected,
    /// It failed before it changed anything, or there was nothing to go back to.
    Failed,
    /// It failed, and the last good commit runs again.
    RolledBack,
    /// It failed, and a person has to act.
    NeedsOperator,
}

impl Outcome {
    /// The word as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NoOp => "no-op",
            Self::Superseded => "superseded",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::NeedsOperator => "needs-operator",
        }
    }

    /// Whether the execution ends SUCCEEDED.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Applied | Self::NoOp | Self::Superseded)
    }
}
