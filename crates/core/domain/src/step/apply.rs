//! The Lambda `apply`.

use super::{CaughtError, StackJob};
use crate::ids::{JobId, RunId, StackName};
use serde::{Deserialize, Serialize};

/// The input of `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum ApplyInput {
    /// Uses the sealed plan, and creates the apply job.
    Start(StartApply),
    /// Reads the apply job's result.
    Finish(FinishApply),
}

/// The output of `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ApplyOutput {
    /// Of `start`: the apply job.
    Start(StackJob),
    /// Of `finish`.
    Finish(FinishApplyOutput),
}

/// The input of `start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartApply {
    /// The run.
    pub run: RunId,
    /// The stack.
    pub stack: StackName,
}

/// The input of `finish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishApply {
    /// The run.
    pub run: RunId,
    /// The stack.
    pub stack: StackName,
    /// The apply job.
    pub job: JobId,
    /// Set when Batch reports that the job failed.
    #[serde(default)]
    pub error: Option<CaughtError>,
}

/// The output of `finish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum FinishApplyOutput {
    /// The apply ended. The next selection of stacks reads from the run's record whether the stack is
    /// applied, or is planned again because its plan was stale.
    Ended {
        /// The stack.
        stack: StackName,
    },
    /// The job never started. This one replaces it.
    StartAgain(StackJob),
}
