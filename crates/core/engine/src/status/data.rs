use super::Transition;
use domain::error::{ErrorName, StepError};
use domain::event::TriggerKind;
use domain::ids::{
    BranchRef, CommitId, EnvironmentName, RepositoryKey, RepositoryName, RunId, StackName,
};
use domain::plan::{LegKind, Reasons, Verdict};
use domain::release::Artifact;
use domain::run::{Outcome, RollbackOutcome, Run};
use domain::text;
use serde::{Deserialize, Serialize};

/// The version of [`StatusData`] that this code writes and reads.
pub const STATUS_SCHEMA: u32 = 2;

/// The maximum length of an error's message in a status message, in bytes.
pub const MESSAGE_LIMIT: usize = 2048;

/// The stable name of a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransitionKind {
    /// [`Transition::Claimed`].
    Claimed,
    /// [`Transition::Sealed`].
    Sealed,
    /// [`Transition::BuildStarted`].
    BuildStarted,
    /// [`Transition::ImageReady`].
    ImageReady,
    /// [`Transition::BuildFailed`].
    BuildFailed,
    /// [`Transition::LockWaiting`].
    LockWaiting,
    /// [`Transition::LockHeld`].
    LockHeld,
    /// [`Transition::Superseded`].
    Superseded,
    /// [`Transition::StackSkipped`].
    StackSkipped,
    /// [`Transition::ValidationStarted`].
    ValidationStarted,
    /// [`Transition::ValidationFinished`].
    ValidationFinished,
    /// [`Transition::ValidationFailed`].
    ValidationFailed,
    /// [`Transition::PlanStarted`].
    PlanStarted,
    /// [`Transition::PlanFinished`].
    PlanFinished,
    /// [`Transition::PlanFailed`].
    PlanFailed,
    /// [`Transition::ApprovalRequested`].
    ApprovalRequested,
    /// [`Transition::ApprovalGranted`].
    ApprovalGranted,
    /// [`Transition::ApprovalDenied`].
    ApprovalDenied,
    /// [`Transition::ApplyStarted`].
    ApplyStarted,
    /// [`Transition::ApplyFinished`].
    ApplyFinished,
    /// [`Transition::ApplyFailed`].
    ApplyFailed,
    /// [`Transition::DeployStarted`].
    DeployStarted,
    /// [`Transition::DeployHealthy`].
    DeployHealthy,
    /// [`Transition::DeployFailed`].
    DeployFailed,
    /// [`Transition::Promoted`].
    Promoted,
    /// [`Transition::RollbackStarted`].
    RollbackStarted,
    /// [`Transition::RolledBack`].
    RolledBack,
    /// [`Transition::Finished`].
    Finished,
}

impl TransitionKind {
    /// Returns the name as status messages write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Sealed => "sealed",
            Self::BuildStarted => "build-started",
            Self::ImageReady => "image-ready",
            Self::BuildFailed => "build-failed",
            Self::LockWaiting => "lock-waiting",
            Self::LockHeld => "lock-held",
            Self::Superseded => "superseded",
            Self::StackSkipped => "stack-skipped",
            Self::ValidationStarted => "validation-started",
            Self::ValidationFinished => "validation-finished",
            Self::ValidationFailed => "validation-failed",
            Self::PlanStarted => "plan-started",
            Self::PlanFinished => "plan-finished",
            Self::PlanFailed => "plan-failed",
            Self::ApprovalRequested => "approval-requested",
            Self::ApprovalGranted => "approval-granted",
            Self::ApprovalDenied => "approval-denied",
            Self::ApplyStarted => "apply-started",
            Self::ApplyFinished => "apply-finished",
            Self::ApplyFailed => "apply-failed",
            Self::DeployStarted => "deploy-started",
            Self::DeployHealthy => "deploy-healthy",
            Self::DeployFailed => "deploy-failed",
            Self::Promoted => "promoted",
            Self::RollbackStarted => "rollback-started",
            Self::RolledBack => "rolled-back",
            Self::Finished => "finished",
        }
    }
}

impl Transition {
    /// Returns the transition's stable name.
    #[must_use]
    pub fn kind(&self) -> TransitionKind {
        match self {
            Self::Claimed => TransitionKind::Claimed,
            Self::Sealed => TransitionKind::Sealed,
            Self::BuildStarted => TransitionKind::BuildStarted,
            Self::ImageReady => TransitionKind::ImageReady,
            Self::BuildFailed => TransitionKind::BuildFailed,
            Self::LockWaiting(_) => TransitionKind::LockWaiting,
            Self::LockHeld => TransitionKind::LockHeld,
            Self::Superseded => TransitionKind::Superseded,
            Self::StackSkipped(..) => TransitionKind::StackSkipped,
            Self::ValidationStarted(..) => TransitionKind::ValidationStarted,
            Self::ValidationFinished(..) => TransitionKind::ValidationFinished,
            Self::ValidationFailed(..) => TransitionKind::ValidationFailed,
            Self::PlanStarted(..) => TransitionKind::PlanStarted,
            Self::PlanFinished(..) => TransitionKind::PlanFinished,
            Self::PlanFailed(..) => TransitionKind::PlanFailed,
            Self::ApprovalRequested(..) => TransitionKind::ApprovalRequested,
            Self::ApprovalGranted(..) => TransitionKind::ApprovalGranted,
            Self::ApprovalDenied(..) => TransitionKind::ApprovalDenied,
            Self::ApplyStarted(..) => TransitionKind::ApplyStarted,
            Self::ApplyFinished(..) => TransitionKind::ApplyFinished,
            Self::ApplyFailed(..) => TransitionKind::ApplyFailed,
            Self::DeployStarted(..) => TransitionKind::DeployStarted,
            Self::DeployHealthy(..) => TransitionKind::DeployHealthy,
            Self::DeployFailed(..) => TransitionKind::DeployFailed,
            Self::Promoted => TransitionKind::Promoted,
            Self::RollbackStarted => TransitionKind::RollbackStarted,
            Self::RolledBack => TransitionKind::RolledBack,
            Self::Finished(..) => TransitionKind::Finished,
        }
    }

    /// Returns the stack that the transition concerns, and the number of its job.
    #[must_use]
    pub fn stack(&self) -> (Option<&StackName>, Option<u32>) {
        match self {
            Self::ValidationStarted(stack, attempt)
            | Self::ValidationFinished(stack, attempt)
            | Self::ValidationFailed(stack, attempt, _)
            | Self::PlanStarted(_, stack, attempt)
            | Self::PlanFinished(_, stack, attempt, _)
            | Self::PlanFailed(_, stack, attempt, _)
            | Self::ApprovalRequested(stack, attempt)
            | Self::ApprovalGranted(stack, attempt)
            | Self::ApprovalDenied(stack, attempt, _)
            | Self::ApplyStarted(_, stack, attempt)
            | Self::ApplyFinished(_, stack, attempt)
            | Self::ApplyFailed(_, stack, attempt, _) => (Some(stack), Some(*attempt)),
            Self::StackSkipped(stack, _) => (Some(stack), None),
            _ => (None, None),
        }
    }

    /// Returns the transition's own error, or none if the run has the error.
    #[must_use]
    pub fn error(&self) -> Option<&StepError> {
        match self {
            Self::ValidationFailed(.., error)
            | Self::PlanFailed(.., error)
            | Self::ApprovalDenied(.., error)
            | Self::ApplyFailed(.., error)
            | Self::DeployFailed(_, error) => Some(error),
            _ => None,
        }
    }

    /// Returns the leg that the transition happened on. `run` supplies it where the transition does
    /// not.
    #[must_use]
    pub fn leg(&self, run: &Run) -> LegKind {
        match self {
            Self::ValidationStarted(..)
            | Self::ValidationFinished(..)
            | Self::ValidationFailed(..) => LegKind::Forward,
            Self::PlanStarted(leg, ..)
            | Self::PlanFinished(leg, ..)
            | Self::PlanFailed(leg, ..)
            | Self::ApplyStarted(leg, ..)
            | Self::ApplyFinished(leg, ..)
            | Self::ApplyFailed(leg, ..)
            | Self::DeployStarted(leg)
            | Self::DeployHealthy(leg)
            | Self::DeployFailed(leg, _) => *leg,
            Self::RollbackStarted | Self::RolledBack => LegKind::Rollback,
            _ => run.leg().kind(),
        }
    }
}

/// The `customData` of every status message: ids, fixed terms, addresses, and at most two errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusData {
    /// [`STATUS_SCHEMA`]. Readers ignore unknown fields, which are later additions.
    pub schema: u32,
    /// The run.
    pub run: RunId,
    /// The repository's key, which survives a rename.
    pub repository_key: RepositoryKey,
    /// The repository's name.
    pub repository: RepositoryName,
    /// What started the run.
    pub trigger: TriggerKind,
    /// The branch.
    pub branch: BranchRef,
    /// The commit that was pushed.
    pub commit: CommitId,
    /// The environment. None until the configuration is read.
    pub environment: Option<EnvironmentName>,
    /// The transition.
    pub transition: TransitionKind,
    /// The leg that the transition happened on.
    pub leg: LegKind,
    /// The stack, if the transition concerns one.
    pub stack: Option<StackName>,
    /// The number of the stack's job, from 1, if the transition concerns one.
    pub attempt: Option<u32>,
    /// The last good commit, if the stack was skipped because it is the same there.
    pub same_as: Option<CommitId>,
    /// The verdict on a plan.
    pub verdict: Option<Verdict>,
    /// Why the plan needs an approval, if the transition is its verdict or the request.
    pub reasons: Option<Reasons>,
    /// The number of warnings on the current leg, failed `check` blocks included. Their texts are
    /// in the run's record.
    pub warnings: u32,
    /// The run's artifact, once it is in its registry.
    pub artifact: Option<Artifact>,
    /// The run's outcome, once it has ended.
    pub outcome: Option<Outcome>,
    /// The transition's own error, or else the run's first error.
    pub error: Option<StatusError>,
    /// How the rollback ended.
    pub rollback: Option<RollbackOutcome>,
    /// Why the rollback was refused or failed.
    pub rollback_error: Option<StatusError>,
}

/// An error in a status message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusError {
    /// The error's stable name.
    pub name: ErrorName,
    /// What happened, for a person. At most [`MESSAGE_LIMIT`] bytes, without control characters
    /// except line breaks.
    pub message: String,
    /// What a person does next.
    pub hint: String,
}

impl StatusData {
    /// Returns the data for a transition of a run.
    #[must_use]
    pub fn new(run: &Run, transition: &Transition) -> Self {
        let (stack, attempt) = transition.stack();
        let verdict = match transition {
            Transition::PlanFinished(.., verdict) => Some(*verdict),
            _ => None,
        };
        let same_as = match transition {
            Transition::StackSkipped(_, same_as) => Some(same_as.clone()),
            _ => None,
        };
        let outcome = match transition {
            Transition::Finished(outcome) => Some(*outcome),
            _ => None,
        };
        let reasons = match transition {
            Transition::PlanFinished(.., Verdict::NeedsApproval)
            | Transition::ApprovalRequested(..) => {
                let stack = stack.and_then(|stack| run.stack(stack).ok());
                let plan = stack.and_then(|stack| stack.plan());
                plan.map(|plan| plan.reasons.clone())
            }
            _ => None,
        };
        let trigger = run.trigger();
        Self {
            schema: STATUS_SCHEMA,
            run: run.id().clone(),
            repository_key: trigger.repository_key(),
            repository: trigger.repository().full_name.clone(),
            trigger: trigger.kind(),
            branch: trigger.branch().clone(),
            commit: trigger.commit().clone(),
            environment: run.environment().cloned(),
            transition: transition.kind(),
            leg: transition.leg(run),
            stack: stack.cloned(),
            attempt,
            same_as,
            verdict,
            reasons,
            warnings: run.warnings(),
            artifact: run.artifact().cloned(),
            outcome,
            error: transition
                .error()
                .or(run.failure().map(|failure| &failure.error))
                .map(|error| StatusError::of(error, run, stack)),
            rollback: run.rollback_outcome(),
            rollback_error: run
                .rollback_error()
                .map(|error| StatusError::of(error, run, stack)),
        }
    }
}

impl StatusError {
    fn of(error: &StepError, run: &Run, stack: Option<&StackName>) -> Self {
        Self {
            name: error.name,
            message: text::cut(&error.message, MESSAGE_LIMIT),
            hint: error.next_step(run.id(), stack.or(run.failed_stack())),
        }
    }
}
