//! The causes for which a run is not changed.

use super::ApprovalDecision;
use crate::error::{ErrorName, NamedError};
use crate::ids::{JobId, RunId, StackName};
use jiff::Timestamp;
use std::fmt;

/// Why a run was not changed, or cannot return what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum RunError {
    #[error("run {run} ended at {at}, so it cannot change")]
    Ended { run: RunId, at: Timestamp },
    #[error("run {run} was not accepted yet")]
    NotAccepted { run: RunId },
    #[error("run {run} has no sealed source yet")]
    NotSealed { run: RunId },
    #[error("run {run} has no digest of its build context")]
    NoBuildTree { run: RunId },
    #[error("run {run} has no stack {stack} on its current leg")]
    NoStack { run: RunId, stack: StackName },
    #[error("stack {stack} of run {run} is planned already")]
    PlannedAlready { run: RunId, stack: StackName },
    #[error("stack {stack} cannot be skipped: it was planned")]
    CannotSkip { stack: StackName },
    #[error("stack {stack} does not wait for {event} of job {job}")]
    OtherJob {
        stack: StackName,
        event: JobEvent,
        job: JobId,
    },
    #[error("the plan of stack {stack} was used by job {job}")]
    PlanConsumed { stack: StackName, job: JobId },
    #[error("stack {stack} has no pending approval")]
    NoApproval { stack: StackName },
    #[error("the plan of stack {stack} was already {decision} by {by} at {at}")]
    DecidedBefore {
        stack: StackName,
        decision: ApprovalDecision,
        by: String,
        at: Timestamp,
    },
    #[error("the plan of stack {stack} was rejected by {by} at {at}")]
    Rejected {
        stack: StackName,
        by: String,
        at: Timestamp,
    },
    #[error(
        "the plan of stack {stack} was not approved in time, since {since}; it was not applied"
    )]
    NotApprovedInTime { stack: StackName, since: Timestamp },
    #[error("the plan of stack {stack} needs approval, and no approval was requested")]
    ApprovalNotRequested { stack: StackName },
    #[error("run {run} has no image to deploy")]
    NoArtifact { run: RunId },
    #[error("run {run} began its rollback while its rollout was prepared")]
    LegChanged { run: RunId },
    #[error("run {run} cannot be promoted: not all of it is verified")]
    NotVerified { run: RunId },
    #[error("run {run} has no rollback to end")]
    NoRollback { run: RunId },
    #[error("run {run} has not ended, so it has no audit entry")]
    NotEnded { run: RunId },
    #[error("run {run} has audit entry {known} and cannot have entry {seq} too")]
    OtherEntry { run: RunId, known: u64, seq: u64 },
}

impl NamedError for RunError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Ended { .. } => ErrorName::LockLost,
            Self::NotAccepted { .. }
            | Self::NotSealed { .. }
            | Self::NoBuildTree { .. }
            | Self::NotEnded { .. }
            | Self::OtherEntry { .. } => ErrorName::Internal,
            Self::NoStack { .. }
            | Self::PlannedAlready { .. }
            | Self::CannotSkip { .. }
            | Self::OtherJob { .. }
            | Self::NoApproval { .. }
            | Self::DecidedBefore { .. }
            | Self::LegChanged { .. }
            | Self::NotVerified { .. }
            | Self::NoRollback { .. } => ErrorName::ContractViolation,
            Self::PlanConsumed { .. } => ErrorName::PlanConsumed,
            Self::Rejected { .. }
            | Self::NotApprovedInTime { .. }
            | Self::ApprovalNotRequested { .. } => ErrorName::ApprovalRejected,
            Self::NoArtifact { .. } => ErrorName::ImageMissing,
        }
    }
}

/// What a job reports to its stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEvent {
    /// A validation job found the configuration valid.
    Validation,
    /// A plan job made a plan.
    Plan,
    /// An apply job is about to start.
    Apply,
    /// An apply job succeeded.
    Applied,
    /// An apply job found its plan stale.
    StalePlan,
}

impl fmt::Display for JobEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validation => "a validation",
            Self::Plan => "a plan",
            Self::Apply => "an apply",
            Self::Applied => "the end of an apply",
            Self::StalePlan => "a stale plan",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use crate::error::StepError;

    #[test]
    fn every_cause_has_its_name_and_text() {
        let run = || RunId::parse("shop-01010101-9f8e7d").unwrap();
        let stack = || StackName::parse("data").unwrap();
        let job = || JobId::seal("apply", &stack(), 2, b"{}");
        let by = || "mona".to_owned();
        let at = Timestamp::UNIX_EPOCH;
        let job_event = |event| RunError::OtherJob {
            stack: stack(),
            event,
            job: job(),
        };
        let errors = [
            RunError::Ended { run: run(), at },
            RunError::NotAccepted { run: run() },
            RunError::NotSealed { run: run() },
            RunError::NoBuildTree { run: run() },
            RunError::NoStack {
                run: run(),
                stack: stack(),
            },
            RunError::PlannedAlready {
                run: run(),
                stack: stack(),
            },
            RunError::CannotSkip { stack: stack() },
            job_event(JobEvent::Validation),
            job_event(JobEvent::Plan),
            job_event(JobEvent::Apply),
            job_event(JobEvent::Applied),
            job_event(JobEvent::StalePlan),
            RunError::PlanConsumed {
                stack: stack(),
                job: job(),
            },
            RunError::NoApproval { stack: stack() },
            RunError::DecidedBefore {
                stack: stack(),
                decision: ApprovalDecision::Approved,
                by: by(),
                at,
            },
            RunError::Rejected {
                stack: stack(),
                by: by(),
                at,
            },
            RunError::NotApprovedInTime {
                stack: stack(),
                since: at,
            },
            RunError::ApprovalNotRequested { stack: stack() },
            RunError::NoArtifact { run: run() },
            RunError::LegChanged { run: run() },
            RunError::NotVerified { run: run() },
            RunError::NoRollback { run: run() },
            RunError::NotEnded { run: run() },
            RunError::OtherEntry {
                run: run(),
                known: 1,
                seq: 2,
            },
        ];
        let texts = errors.map(|error| StepError::from(error).to_string());
        insta::assert_snapshot!(texts.join("\n"));
    }
}
