//! Status messages: a CDEvent in CloudEvents JSON at every transition of a run.
//!
//! [`message`] writes one, [`parse`] reads it back. What a program should look at is
//! [`StatusData`], the event's `customData`: it is the same for every type of event.

mod cdevent;
mod data;

pub use cdevent::{MessageError, ParseError, Received, StatusMessage, message, parse};
pub use data::{MESSAGE_LIMIT, STATUS_SCHEMA, StatusData, StatusError, TransitionKind};

use domain::error::StepError;
use domain::ids::{RunId, StackName};
use domain::plan::{LegKind, Verdict};
use domain::run::Outcome;

/// What happened to a run. Each transition happens at most once for a run, mode, stack and
/// attempt, which is what the message's id is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The run was claimed.
    Claimed,
    /// The source was fetched, checked and sealed.
    Sealed,
    /// CodeBuild was asked for an image.
    BuildStarted,
    /// The image is in the registry.
    ImageReady,
    /// The tests or the build failed.
    BuildFailed,
    /// The run waits for its environment, which this other run holds.
    LockWaiting(RunId),
    /// The run owns its environment.
    LockHeld,
    /// A newer commit took its place.
    Superseded,
    /// A plan job was made.
    PlanStarted(LegKind, StackName, u32),
    /// A plan was judged.
    PlanFinished(LegKind, StackName, u32, Verdict),
    /// A plan could not be made, or may not be applied.
    PlanFailed(LegKind, StackName, u32, StepError),
    /// A person is asked.
    ApprovalRequested(StackName, u32),
    /// A person agreed.
    ApprovalGranted(StackName, u32),
    /// A person refused, or nobody answered in time.
    ApprovalDenied(StackName, u32, StepError),
    /// An apply job was made.
    ApplyStarted(LegKind, StackName, u32),
    /// An apply succeeded.
    ApplyFinished(LegKind, StackName, u32),
    /// An apply failed, or its plan was stale.
    ApplyFailed(LegKind, StackName, u32, StepError),
    /// A rollout started.
    DeployStarted(LegKind),
    /// The address answers with the commit.
    DeployHealthy(LegKind),
    /// The rollout failed, or the address does not answer with the commit in time.
    DeployFailed(LegKind, StepError),
    /// *Last good* moved to this commit.
    Promoted,
    /// The rollback began.
    RollbackStarted,
    /// The last good commit runs again.
    RolledBack,
    /// The run is over.
    Finished(Outcome),
}
