//! Status messages: a CDEvent in CloudEvents JSON at every transition of a run.
//!
//! [`message`] writes a message. Programs should read [`StatusData`], the event's `customData`, which is
//! the same for every type of event.

mod cdevent;
mod data;
#[cfg(feature = "fakes")]
mod received;

pub use cdevent::{MessageError, StatusMessage, message};
pub use data::{MESSAGE_LIMIT, STATUS_SCHEMA, StatusData, StatusError, TransitionKind};
#[cfg(feature = "fakes")]
pub use received::{ParseError, Received, parse};

use domain::error::StepError;
use domain::ids::{CommitId, RunId, StackName};
use domain::plan::{LegKind, Verdict};
use domain::run::Outcome;

/// A transition of a run. Each happens at most once for a run, leg, stack and job, and the id of
/// the message is derived from these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The run was claimed.
    Claimed,
    /// The source was fetched, checked and sealed.
    Sealed,
    /// A build of the image was requested from CodeBuild.
    BuildStarted,
    /// The image is in the registry.
    ImageReady,
    /// The tests or the build failed.
    BuildFailed,
    /// The run waits for its environment, which this other run holds.
    LockWaiting(RunId),
    /// The run holds its environment.
    LockHeld,
    /// A newer commit superseded the run.
    Superseded,
    /// A stack was not planned, because it is the same as in this last good commit.
    StackSkipped(StackName, CommitId),
    /// A validation job was made, for a stack that is planned later.
    ValidationStarted(StackName, u32),
    /// A stack's configuration is valid.
    ValidationFinished(StackName, u32),
    /// A stack's configuration is not valid, or could not be validated.
    ValidationFailed(StackName, u32, StepError),
    /// A plan job was made.
    PlanStarted(LegKind, StackName, u32),
    /// A plan was judged.
    PlanFinished(LegKind, StackName, u32, Verdict),
    /// A plan could not be made, or may not be applied.
    PlanFailed(LegKind, StackName, u32, StepError),
    /// An approval was requested.
    ApprovalRequested(StackName, u32),
    /// A person approved the plan.
    ApprovalGranted(StackName, u32),
    /// A person rejected the plan, or did not approve it in time.
    ApprovalDenied(StackName, u32, StepError),
    /// An apply job was made.
    ApplyStarted(LegKind, StackName, u32),
    /// An apply succeeded.
    ApplyFinished(LegKind, StackName, u32),
    /// An apply failed, or its plan was stale.
    ApplyFailed(LegKind, StackName, u32, StepError),
    /// A rollout started.
    DeployStarted(LegKind),
    /// The service is healthy at its URL, with the right commit.
    DeployHealthy(LegKind),
    /// The rollout failed, or the service was not healthy in time.
    DeployFailed(LegKind, StepError),
    /// *Last good* moved to this commit.
    Promoted,
    /// The rollback started.
    RollbackStarted,
    /// The last good commit runs again.
    RolledBack,
    /// The run ended.
    Finished(Outcome),
}
