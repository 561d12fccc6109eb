//! The Lambda `plan`.

use super::{CaughtError, NoOutput, StackJob};
use crate::environment::LockVerdict;
use crate::ids::{JobId, RunId, StackName};
use crate::plan::Verdict;
use crate::run::ApprovalDecision;
use serde::{Deserialize, Serialize};

/// The input of `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum PlanInput {
    /// Queues the run for its environment. The task token is answered when the run holds the
    /// environment.
    Acquire(Acquire),
    /// Selects the stacks to plan next, and creates their jobs.
    Next(SelectStacks),
    /// Judges the plan of a job, or reads the end of a validation.
    Judge(Judge),
    /// Requests an approval. `sluicegate approve` or `sluicegate reject` answers the task token.
    RequestApproval(RequestApproval),
}

/// The output of `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PlanOutput {
    /// Of `next`.
    Next(SelectStacksOutput),
    /// Of `judge`.
    Judge(JudgeOutput),
    /// Of `acquire` and `request-approval`: the task token returns the answer later.
    Token(NoOutput),
}

/// The input of `acquire`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acquire {
    /// The run.
    pub run: RunId,
    /// The task token. Its output is a [`LockAnswer`].
    pub token: String,
}

/// The task token's output that ends the wait for an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockAnswer {
    /// How the wait ended.
    pub verdict: LockVerdict,
}

/// The input of `next`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectStacks {
    /// The run.
    pub run: RunId,
    /// The stacks that failed in the wave before. Their errors are raised here, when no other stack
    /// is being planned or applied.
    #[serde(default)]
    pub failures: Vec<StackFailure>,
}

/// A stack that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFailure {
    /// The stack.
    pub stack: StackName,
    /// Its error.
    pub error: CaughtError,
}

/// The output of `next`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum SelectStacksOutput {
    /// Plan these stacks at the same time.
    Plan {
        /// One plan job for each stack, and the validation jobs of stacks that are planned later.
        jobs: Vec<StackJob>,
    },
    /// No stack is left to plan.
    Done,
}

/// The input of `judge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    /// The run.
    pub run: RunId,
    /// The stack.
    pub stack: StackName,
    /// The plan job, or the validation job.
    pub job: JobId,
    /// Set when Batch reports that the job failed.
    #[serde(default)]
    pub error: Option<CaughtError>,
}

/// The output of `judge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum JudgeOutput {
    /// As [`Verdict::NoChanges`].
    NoChanges {
        /// The stack.
        stack: StackName,
    },
    /// As [`Verdict::Auto`].
    Auto {
        /// The stack.
        stack: StackName,
    },
    /// As [`Verdict::NeedsApproval`].
    NeedsApproval {
        /// The stack.
        stack: StackName,
    },
    /// The stack's configuration is valid. It is planned when the stacks that it needs are applied.
    Validated {
        /// The stack.
        stack: StackName,
    },
    /// The job never started. This one replaces it.
    StartAgain(StackJob),
}

impl JudgeOutput {
    /// Returns the output for a verdict on the stack's plan.
    #[must_use]
    pub fn of(stack: StackName, verdict: Verdict) -> Self {
        match verdict {
            Verdict::NoChanges => Self::NoChanges { stack },
            Verdict::Auto => Self::Auto { stack },
            Verdict::NeedsApproval => Self::NeedsApproval { stack },
        }
    }
}

/// The input of `request-approval`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestApproval {
    /// The run.
    pub run: RunId,
    /// The stack.
    pub stack: StackName,
    /// The task token. Its output is an [`ApprovalAnswer`].
    pub token: String,
}

/// The task token's output that ends the wait for an approval. No state reads it: `apply start`
/// reads the decision from the run's record. It shows the decision in the execution's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalAnswer {
    /// The person's decision.
    pub decision: ApprovalDecision,
}
