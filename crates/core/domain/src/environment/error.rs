//! The causes for which a run cannot have its environment, or has lost it.

use crate::error::{ErrorName, NamedError};
use crate::ids::{CommitId, EnvironmentName, RunId};
use jiff::Timestamp;

/// Why a run cannot have its environment, or has lost it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum EnvironmentError {
    #[error("environment {environment} is frozen: {reason}")]
    Frozen {
        environment: EnvironmentName,
        reason: String,
    },
    #[error("run {run} rolled commit {commit} back in environment {environment} at {at}")]
    CommitIsBad {
        environment: EnvironmentName,
        commit: CommitId,
        run: RunId,
        at: Timestamp,
    },
    #[error("run {run} does not hold environment {environment}: it ended at {at}")]
    RunEnded {
        environment: EnvironmentName,
        run: RunId,
        at: Timestamp,
    },
    #[error(
        "run {run} does not hold environment {environment}: run {holder} has held it since {since}"
    )]
    HeldByOther {
        environment: EnvironmentName,
        run: RunId,
        holder: RunId,
        since: Timestamp,
    },
    #[error("environment {environment} is in use: run {holder} has held it since {since}")]
    InUse {
        environment: EnvironmentName,
        holder: RunId,
        since: Timestamp,
    },
    #[error("run {run} does not hold environment {environment}: no run holds it")]
    NotHeld {
        environment: EnvironmentName,
        run: RunId,
    },
    #[error(
        "run {run} does not hold environment {environment}: it acquired the environment under \
         fence {recorded}, and the fence is {current} now"
    )]
    OtherFence {
        environment: EnvironmentName,
        run: RunId,
        recorded: u64,
        current: u64,
    },
}

impl NamedError for EnvironmentError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Frozen { .. } => ErrorName::EnvironmentFrozen,
            Self::CommitIsBad { .. } => ErrorName::CommitIsBad,
            Self::RunEnded { .. }
            | Self::HeldByOther { .. }
            | Self::InUse { .. }
            | Self::NotHeld { .. }
            | Self::OtherFence { .. } => ErrorName::LockLost,
        }
    }
}
