use super::Transition;
use domain::error::{ErrorName, StepError};
use domain::ids::{
    BranchRef, CommitId, EnvironmentName, ImageDigest, RepositoryName, RunId, StackName,
};
use domain::plan::{LegKind, Verdict};
use domain::run::{Build, Outcome, Rollback, Run};
use serde::{Deserialize, Serialize};

/// The version of [`StatusData`] that this code writes and reads.
pub const STATUS_SCHEMA: u32 = 1;

/// The longest error message in a status message, in bytes.
pub const MESSAGE_LIMIT: usize = 2048;

/// A transition's stable name.
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
    /// [`Transition::Restored`].
    Restored,
    /// [`Transition::Finished`].
    Finished,
}

impl TransitionKind {
    /// The word as it is written.
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
            Self::Restored => "restored",
            Self::Finished => "finished",
        }
    }
}

impl Transition {
    /// The transition's stable name.
    #[must_use]
    pub fn kind(&self) -> TransitionKind {
        match self {
            Self::Claimed => TransitionKind::Claimed,
            Self::Sealed => TransitionKind::Sealed,
            Self::BuildStarted => TransitionKind::BuildStarted,
            Self::ImageReady => TransitionKind::ImageReady,
            Self::BuildFailed => TransitionKind::BuildFailed,
            Self::LockWaiting => TransitionKind::LockWaiting,
            Self::LockHeld => TransitionKind::LockHeld,
            Self::Superseded => TransitionKind::Superseded,
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
            Self::Restored => TransitionKind::Restored,
            Self::Finished(..) => TransitionKind::Finished,
        }
    }

    /// The stack that it is about, and which of its jobs.
    #[must_use]
    pub fn stack(&self) -> (Option<&StackName>, Option<u32>) {
        match self {
            Self::PlanStarted(_, stack, attempt)
            | Self::PlanFinished(_, stack, attempt, _)
            | Self::PlanFailed(_, stack, attempt, _)
            | Self::ApprovalRequested(stack, attempt)
            | Self::ApprovalGranted(stack, attempt)
            | Self::ApprovalDenied(stack, attempt, _)
            | Self::ApplyStarted(_, stack, attempt)
            | Self::ApplyFinished(_, stack, attempt)
            | Self::ApplyFailed(_, stack, attempt, _) => (Some(stack), Some(*attempt)),
            _ => (None, None),
        }
    }

    /// What went wrong in it; none where the run itself says so.
    #[must_use]
    pub fn error(&self) -> Option<&StepError> {
        match self {
            Self::PlanFailed(.., error)
            | Self::ApprovalDenied(.., error)
            | Self::ApplyFailed(.., error)
            | Self::DeployFailed(_, error) => Some(error),
            _ => None,
        }
    }

    /// Which way the run went; `run` says it for transitions that happen on one way only.
    #[must_use]
    pub fn mode(&self, run: &Run) -> LegKind {
        match self {
            Self::PlanStarted(mode, ..)
            | Self::PlanFinished(mode, ..)
            | Self::PlanFailed(mode, ..)
            | Self::ApplyStarted(mode, ..)
            | Self::ApplyFinished(mode, ..)
            | Self::ApplyFailed(mode, ..)
            | Self::DeployStarted(mode)
            | Self::DeployHealthy(mode)
            | Self::DeployFailed(mode, _) => *mode,
            Self::RollbackStarted | Self::Restored => LegKind::Rollback,
            _ => run.mode,
        }
    }
}

/// What every status message carries as `customData`: ids, words, and at most two error messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusData {
    /// [`STATUS_SCHEMA`]. A reader of this version takes fields that it does not know for later
    /// additions.
    pub schema: u32,
    /// The run.
    pub run: RunId,
    /// The repository.
    pub repository: RepositoryName,
    /// The branch.
    pub branch: BranchRef,
    /// The commit that was pushed.
    pub commit: CommitId,
    /// The environment; none until the configuration was read.
    pub environment: Option<EnvironmentName>,
    /// What happened.
    pub transition: TransitionKind,
    /// Which way the run goes.
    pub mode: LegKind,
    /// The stack, where it is about one.
    pub stack: Option<StackName>,
    /// Which job of the stack, from 1, where it is about one.
    pub attempt: Option<u32>,
    /// The judgement of a plan.
    pub verdict: Option<Verdict>,
    /// The image, once it is in the registry.
    pub image: Option<ImageDigest>,
    /// The end of the run.
    pub outcome: Option<Outcome>,
    /// What went wrong in this transition; else the run's first error.
    pub error: Option<StatusError>,
    /// What came of the way back.
    pub rollback: Option<StatusRollback>,
}

/// An error in a status message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusError {
    /// Its stable name.
    pub name: ErrorName,
    /// What happened, for a person; at most [`MESSAGE_LIMIT`] bytes, no control characters but
    /// line ends.
    pub message: String,
    /// What a person does next.
    pub hint: String,
}

/// What came of the way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRollback {
    /// `not-needed`, `no-last-good`, `restored`, `refused` or `failed`.
    pub result: String,
    /// Why it was refused or failed.
    pub error: Option<StatusError>,
}

impl StatusData {
    /// What a transition of a run means to a program.
    #[must_use]
    pub fn new(run: &Run, transition: &Transition) -> Self {
        let (stack, attempt) = transition.stack();
        let verdict = match transition {
            Transition::PlanFinished(.., verdict) => Some(*verdict),
            _ => None,
        };
        let outcome = match transition {
            Transition::Finished(outcome) => Some(*outcome),
            _ => None,
        };
        let image = match &run.build {
            Build::Ready { digest, .. } => Some(digest.clone()),
            Build::None | Build::Started { .. } | Build::Failed => None,
        };
        Self {
            schema: STATUS_SCHEMA,
            run: run.id.clone(),
            repository: run.trigger.repository.clone(),
            branch: run.trigger.branch.clone(),
            commit: run.trigger.commit.clone(),
            environment: run.config.as_ref().map(|config| config.environment.clone()),
            transition: transition.kind(),
            mode: transition.mode(run),
            stack: stack.cloned(),
            attempt,
            verdict,
            image,
            outcome,
            error: transition
                .error()
                .or(run.failure.as_ref().map(|failure| &failure.error))
                .map(StatusError::of),
            rollback: run.rollback.as_ref().map(StatusRollback::of),
        }
    }
}

impl StatusError {
    fn of(error: &StepError) -> Self {
        Self {
            name: error.name,
            message: shown(&error.message, MESSAGE_LIMIT),
            hint: error.name.hint().to_owned(),
        }
    }
}

impl StatusRollback {
    fn of(rollback: &Rollback) -> Self {
        let (result, error) = match rollback {
            Rollback::NotNeeded => ("not-needed", None),
            Rollback::NoLastGood => ("no-last-good", None),
            Rollback::Restored => ("restored", None),
            Rollback::Refused { error } => ("refused", Some(error)),
            Rollback::Failed { error } => ("failed", Some(error)),
        };
        Self {
            result: result.to_owned(),
            error: error.map(StatusError::of),
        }
    }
}

/// A text that is safe to show: no control characters but line ends, at most `limit` bytes.
fn shown(text: &str, limit: usize) -> String {
    const CUT: &str = "…";
    let mut shown = String::new();
    for c in text.chars().filter(|c| *c == '\n' || !c.is_control()) {
        if shown.len() + c.len_utf8() + CUT.len() > limit {
            shown.push_str(CUT);
            break;
        }
        shown.push(c);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_shown_text_is_short_and_plain(text in "(?s).{0,3000}") {
            let shown = shown(&text, MESSAGE_LIMIT);
            prop_assert!(shown.len() <= MESSAGE_LIMIT);
            prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
