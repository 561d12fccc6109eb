//! The end of a run.

use crate::error::StepError;
use crate::run::{Change, Lock, RollbackOutcome, Run, RunError, StackState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Something changed and was verified.
    Applied,
    /// Nothing had to change.
    NoOp,
    /// A newer commit superseded the run.
    Superseded,
    /// The commit was not fit for delivery, and nothing was changed.
    Rejected,
    /// The run failed before it changed anything, or had no last good commit to roll back to.
    Failed,
    /// The run failed, and the last good commit runs again.
    RolledBack,
    /// The run failed, and a person has to act.
    NeedsOperator,
}

impl Outcome {
    /// Returns the outcome as it is written in JSON.
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

    /// Returns the outcome in brief.
    #[must_use]
    pub fn conclusion(self) -> Conclusion {
        match self {
            Self::Applied | Self::NoOp => Conclusion::Success,
            Self::Superseded => Conclusion::Cancelled,
            Self::Rejected | Self::Failed | Self::RolledBack => Conclusion::Failure,
            Self::NeedsOperator => Conclusion::Error,
        }
    }

    /// Returns whether the execution ends with SUCCEEDED.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(
            self.conclusion(),
            Conclusion::Success | Conclusion::Cancelled
        )
    }
}

/// The outcome of a run in brief, as CDEvents and forges distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// The commit was delivered.
    Success,
    /// A newer commit is delivered instead.
    Cancelled,
    /// The commit was not delivered.
    Failure,
    /// A person has to act.
    Error,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The run's outcome.
    pub outcome: Outcome,
    /// When the run ended.
    pub at: Timestamp,
    /// When the end was announced. None until then.
    pub announced_at: Option<Timestamp>,
    /// The lowest number that the audit entry can have in its chain. A retry starts its search
    /// there.
    pub audit_from: u64,
    /// The audit entry's number in its chain. None until the entry is written.
    pub audit_seq: Option<u64>,
}

impl Run {
    /// Returns how the run ended, or how it would end with its present record.
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
            // The rollback was not started or has not ended. A person has to check the environment.
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

    /// Ends the run, and records `error` if the run has no error yet. After that, only the functions
    /// of its announcement and of its audit entry change the run.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has already ended.
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
            announced_at: None,
            audit_from,
            audit_seq: None,
        });
        Ok(outcome)
    }

    /// Returns whether the run has ended and has its audit entry. Nothing is left to do for it.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.audit_seq.is_some())
    }

    /// Records that the end was announced. A repeated call keeps the first time.
    ///
    /// # Errors
    /// Fails with `Internal` when the run has not ended.
    pub fn end_announced(&mut self, now: Timestamp) -> Change {
        let run = self.id.clone();
        let Some(end) = &mut self.end else {
            return Err(RunError::NotEnded { run });
        };
        end.announced_at.get_or_insert(now);
        Ok(())
    }

    /// Lowers the number at which the search for the audit entry starts. It must be written before
    /// the entry, so that a retry finds the entry. A higher number changes nothing.
    ///
    /// # Errors
    /// Fails with `Internal` when the run has not ended.
    pub fn audit_searched_from(&mut self, from: u64) -> Change {
        let run = self.id.clone();
        let Some(end) = &mut self.end else {
            return Err(RunError::NotEnded { run });
        };
        end.audit_from = end.audit_from.min(from);
        Ok(())
    }

    /// Records the number of the audit entry. A repeated call changes nothing.
    ///
    /// # Errors
    /// Fails with `Internal` when the run has not ended, or has another entry.
    pub fn audited(&mut self, seq: u64) -> Change {
        let run = self.id.clone();
        let Some(end) = &mut self.end else {
            return Err(RunError::NotEnded { run });
        };
        match end.audit_seq {
            Some(known) if known != seq => Err(RunError::OtherEntry { run, known, seq }),
            _ => {
                end.audit_seq = Some(seq);
                Ok(())
            }
        }
    }
}
