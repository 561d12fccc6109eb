//! The Lambda `rollback`.

use super::CaughtError;
use crate::ids::RunId;
use crate::run::ErrorDecision;
use serde::{Deserialize, Serialize};

/// The input of `rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum RollbackInput {
    /// Decides what to do about an error.
    Decide(DecideRollback),
}

/// The input of `decide`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideRollback {
    /// The run.
    pub run: RunId,
    /// The error.
    pub error: CaughtError,
    /// When the state machine entered the state that asks: `$states.context.State.EnteredTime`. A
    /// retry of the state has the same time. A second error has another time.
    pub entered_at: jiff::Timestamp,
}

/// The output of `decide`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideRollbackOutput {
    /// The decision.
    pub verdict: ErrorDecision,
}
