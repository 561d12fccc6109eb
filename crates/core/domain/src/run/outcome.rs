//! How a run ended.

use crate::error::{ErrorName, StepError};
use crate::run::{Change, Lock, RollbackOutcome, Run, StackState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Something changed, and it was verified.
    Applied,
    /// Nothing had to change.
    NoOp,
    /// A newer commit took its place.
    Superseded,
    /// The commit was not fit to be delivered, and nothing was touched.
    Rejected,
    /// It failed before it changed anything, or there was nothing to go back to.
    Failed,
    /// It failed, and the last good commit runs again.
    RolledBack,
    /// It failed, and a person has to act.
    NeedsOperator,
}

impl Outcome {
    /// The stable spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NoOp => "no-op",
            Self::Superseded => "superseded",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::NeedsOperator => "needs-operator",
        }
    }

    /// Whether the execution ends SUCCEEDED.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Applied | Self::NoOp | Self::Superseded)
    }
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// The lowest number that the audit entry can have in its chain: where a retry looks for it.
    pub audit_from: u64,
    /// The audit entry's number in its chain; none until it was written.
    pub audit_seq: Option<u64>,
}

impl Run {
    /// How the run ends, from all that was written down.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if let Some(end) = &self.end {
            return end.outcome;
        }
        let Some(failure) = &self.failure else {
            return match self.lock {
                Lock::Superseded { .. } => Outcome::Superseded,
                _ if self.changed_anything() => Outcome::Applied,
                _ => Outcome::NoOp,
            };
        };
        match self.rollback_outcome() {
            Some(RollbackOutcome::RolledBack) => Outcome::RolledBack,
            Some(
                RollbackOutcome::RollbackRefused
                | RollbackOutcome::RollbackFailed
                | RollbackOutcome::RollbackUnfinished,
            ) => Outcome::NeedsOperator,
            // The rollback was not begun, or has not ended: a person has to look.
            None if self.has_side_effects() => Outcome::NeedsOperator,
            _ if failure.error.name.rejects() && !self.has_side_effects() => Outcome::Rejected,
            Some(RollbackOutcome::NotNeeded | RollbackOutcome::NoLastGood) | None => {
                Outcome::Failed
            }
        }
    }

    fn changed_anything(&self) -> bool {
        let applied = |state: &StackState| matches!(state, StackState::Applied { .. });
        !self.forward.rollouts.is_empty()
            || self.forward.stacks.iter().any(|one| applied(one.state()))
    }

    /// Ends the run, with its first error if it has none yet. From here on nothing changes it but
    /// [`Self::audited`].
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended).
    pub fn close(
        &mut self,
        error: Option<StepError>,
        audit_from: u64,
        now: Timestamp,
    ) -> Change<Outcome> {
        self.open()?;
        if let Some(error) = error {
            self.fail(error, now);
        }
        let outcome = self.outcome();
        self.end = Some(End {
            outcome,
            at: now,
            audit_from,
            audit_seq: None,
        });
        Ok(outcome)
    }

    /// Completes the end with the number of the audit entry. A repeated call changes nothing.
    ///
    /// # Errors
    /// `Internal` when the run has not ended, or has another entry.
    pub fn audited(&mut self, seq: u64) -> Change {
        let known = self.end.as_ref().map(|end| end.audit_seq);
        let what = match known {
            None => "has not ended, so it has no audit entry".to_owned(),
            Some(Some(known)) if known != seq => {
                format!("has audit entry {known} and cannot have entry {seq} too")
            }
            Some(_) => {
                if let Some(end) = &mut self.end {
                    end.audit_seq = Some(seq);
                }
                return Ok(());
            }
        };
        Err(self.refused(ErrorName::Internal, &what).into())
    }
}
