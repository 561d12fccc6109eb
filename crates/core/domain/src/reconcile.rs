//! What is left of a run whose execution does nothing more, and whether the run can be ended.
//!
//! A run can be ended from outside only if it is certain that it has stopped: its execution ended or does not exist,
//! and none of its Batch jobs can still change anything.

use crate::error::{ErrorName, NamedError};
use crate::ids::JobId;
use crate::run::{Leg, Run, StackState};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How long an execution may be unknown to Step Functions after its run was claimed.
/// `DescribeExecution` is eventually consistent.
pub const UNKNOWN_FOR: SignedDuration = SignedDuration::from_mins(15);

/// The status of an execution of the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionState {
    /// Running, or waiting to be redriven.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It exceeded its time limit.
    TimedOut,
    /// An operator stopped it.
    Aborted,
}

/// Why a run that has no end cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum StopCause {
    #[error("execution {execution} was stopped")]
    Stopped { execution: String },
    #[error("execution {execution} took longer than it may")]
    TimedOut { execution: String },
    #[error("execution {execution} ended and could not record its end")]
    EndNotRecorded { execution: String },
    #[error("execution {execution} does not exist any more")]
    Gone { execution: String },
}

impl StopCause {
    /// Returns how the run of an execution stopped; none while the execution runs. `state` is none if
    /// Step Functions does not know the execution.
    #[must_use]
    pub fn of(execution: &str, state: Option<ExecutionState>) -> Option<Self> {
        let execution = execution.to_owned();
        match state {
            Some(ExecutionState::Running) => None,
            Some(ExecutionState::Aborted) => Some(Self::Stopped { execution }),
            Some(ExecutionState::TimedOut) => Some(Self::TimedOut { execution }),
            Some(ExecutionState::Failed | ExecutionState::Succeeded) => {
                Some(Self::EndNotRecorded { execution })
            }
            None => Some(Self::Gone { execution }),
        }
    }
}

impl NamedError for StopCause {
    fn name(&self) -> ErrorName {
        match self {
            Self::Stopped { .. } | Self::TimedOut { .. } | Self::Gone { .. } => {
                ErrorName::Interrupted
            }
            Self::EndNotRecorded { .. } => ErrorName::Internal,
        }
    }
}

/// What shows that a run may still change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activity {
    /// Its execution runs.
    Execution {
        /// The execution's ARN.
        execution: String,
    },
    /// Step Functions does not know its execution, which may have just started.
    NewExecution {
        /// The execution's ARN.
        execution: String,
        /// When the run was claimed.
        since: Timestamp,
    },
    /// Batch jobs have not ended.
    Jobs {
        /// The names of the jobs.
        jobs: Vec<JobId>,
    },
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Execution { execution } => write!(f, "execution {execution} is running"),
            Self::NewExecution { execution, since } => write!(
                f,
                "Step Functions does not know execution {execution} yet, which claimed the run at \
                 {since}"
            ),
            Self::Jobs { jobs } => {
                let names: Vec<&str> = jobs.iter().map(JobId::as_str).collect();
                write!(f, "these Batch jobs have not ended: {}", names.join(", "))
            }
        }
    }
}

/// Whether a run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It has its end.
    Ended,
    /// It may still change something.
    Active(Activity),
    /// It has no end, and nothing works on it any more.
    Stopped(StopCause),
}

/// Decides whether a run goes on, from its execution and those of its jobs that have not ended.
#[must_use]
pub fn examine(
    run: &Run,
    state: Option<ExecutionState>,
    open: &[JobId],
    now: Timestamp,
) -> Condition {
    if run.is_ended() {
        return Condition::Ended;
    }
    let execution = run.execution();
    let young = now.duration_since(run.started_at()) < UNKNOWN_FOR;
    if state.is_none() && young {
        return Condition::Active(Activity::NewExecution {
            execution: execution.to_owned(),
            since: run.started_at(),
        });
    }
    match StopCause::of(execution, state) {
        None => Condition::Active(Activity::Execution {
            execution: execution.to_owned(),
        }),
        Some(_) if !open.is_empty() => Condition::Active(Activity::Jobs {
            jobs: open.to_vec(),
        }),
        Some(cause) => Condition::Stopped(cause),
    }
}

/// Returns the jobs that a run waits for, by its record. Batch may have more of the same name.
pub fn awaited_jobs(run: &Run) -> impl Iterator<Item = &JobId> {
    run.legs()
        .flat_map(Leg::stacks)
        .filter_map(|stack| match stack.state() {
            StackState::Validating { job }
            | StackState::Planning { job }
            | StackState::Applying { job, .. } => Some(job),
            _ => None,
        })
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
