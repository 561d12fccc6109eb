//! The Lambda `record`.

use super::{CaughtError, NoOutput};
use crate::event::Trigger;
use crate::ids::RunId;
use crate::reconcile::ExecutionState;
use serde::{Deserialize, Serialize};

/// The input of `record`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum RecordInput {
    /// Moves *last good*, or after a rollback marks the commit as bad.
    Promote(Promote),
    /// Releases the environment and writes the audit entry.
    Record(RecordRun),
    /// Ends a run whose execution stopped before the state Record. An EventBridge rule sends this.
    ExecutionEnded(ExecutionEnded),
}

/// The output of `record`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RecordOutput {
    /// Of `promote`.
    Promote(NoOutput),
    /// Of `record`, and of `execution-ended`, where only a person reads it.
    Record(RecordRunOutput),
}

/// The input of `promote`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// The run.
    pub run: RunId,
}

/// The input of `record`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordRun {
    /// What started the execution. The run's id is derived from it.
    pub event: Box<Trigger>,
    /// The execution's ARN.
    pub execution: String,
    /// The error that the state machine caught, if any. A run that already has an error keeps its
    /// own.
    #[serde(default)]
    pub error: Option<CaughtError>,
}

/// The output of `record` and of `execution-ended`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRunOutput {
    /// How the execution ends.
    pub verdict: RecordVerdict,
    /// The name of the first error, or the run's outcome if it did not fail.
    pub error: String,
    /// What happened and what to do next, for a person.
    pub cause: String,
}

/// The final status of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordVerdict {
    /// The execution ends with SUCCEEDED.
    Succeeded,
    /// The execution ends with FAILED.
    Failed,
}

/// The input of `execution-ended`. It does not contain the run, because events of an encrypted
/// state machine have no input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionEnded {
    /// The execution's ARN.
    pub execution: String,
    /// The execution's status.
    pub status: ExecutionState,
}
