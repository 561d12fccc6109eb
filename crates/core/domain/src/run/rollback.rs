//! Decisions on errors, and the outcome of a rollback.

use crate::config::Stack;
use crate::environment::LastGood;
use crate::error::{ErrorName, StepError};
use crate::plan::{LegKind, PlanKind, Resources};
use crate::run::{Change, Failure, Leg, Run, RunError, StackRun, StackState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorDecision {
    /// Record the end of the run.
    Record,
    /// Roll back to the last good commit.
    RollBack,
}

/// What caused the error of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The commit. It is not applied again automatically.
    Commit,
    /// Something else, such as a lost job. The same commit may succeed.
    Other,
}

/// An error, and the decision on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandledError {
    /// When the state machine entered the state that asked for the decision. A retry of the state
    /// has the same time. A later error has another time.
    pub entered_at: Timestamp,
    /// What was decided.
    pub decision: ErrorDecision,
}

/// How the rollback of a run ended. The run, the audit, status messages and the command line use
/// the same spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackOutcome {
    /// The run had not changed anything.
    NotNeeded,
    /// The environment has no last good commit.
    NoLastGood,
    /// The last good commit runs again.
    RolledBack,
    /// The rollback would have done more than undo the run. A person decides.
    RollbackRefused,
    /// The rollback failed, and the environment is frozen.
    RollbackFailed,
    /// The run ended before its rollback did.
    RollbackUnfinished,
}

impl RollbackOutcome {
    /// Returns the outcome as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotNeeded => "not-needed",
            Self::NoLastGood => "no-last-good",
            Self::RolledBack => "rolled-back",
            Self::RollbackRefused => "rollback-refused",
            Self::RollbackFailed => "rollback-failed",
            Self::RollbackUnfinished => "rollback-unfinished",
        }
    }
}

impl fmt::Display for RollbackOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The end of a run's rollback, or why the run had none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackEnd {
    outcome: RollbackOutcome,
    /// Why the rollback was refused or failed.
    error: Option<StepError>,
    at: Timestamp,
}

impl Run {
    /// Returns how the rollback ended, or none if nothing failed or the rollback has not ended.
    #[must_use]
    pub fn rollback_outcome(&self) -> Option<RollbackOutcome> {
        match &self.rollback_end {
            Some(end) => Some(end.outcome),
            None if self.rollback.is_some() && self.is_ended() => {
                Some(RollbackOutcome::RollbackUnfinished)
            }
            None => None,
        }
    }

    /// Returns why the rollback was refused or failed.
    #[must_use]
    pub fn rollback_error(&self) -> Option<&StepError> {
        self.rollback_end.as_ref()?.error.as_ref()
    }

    /// Returns when the rollback ended.
    #[must_use]
    pub fn rollback_ended_at(&self) -> Option<Timestamp> {
        self.rollback_end.as_ref().map(|end| end.at)
    }

    /// Returns what caused the run's error.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match &self.failure {
            Some(failure) if failure.error.name.is_of_commit() => Blame::Commit,
            _ => Blame::Other,
        }
    }

    /// Returns the errors that were decided on, the oldest first.
    #[must_use]
    pub fn handled_errors(&self) -> &[HandledError] {
        &self.handled
    }

    /// Decides what to do about an error, once for each time that the state machine enters the
    /// state that asks. A retry of the state gets the same decision and changes nothing.
    ///
    /// The first error of a run with side effects starts its rollback. An error during the rollback
    /// ends the rollback. An error after the promotion changes nothing.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
    pub fn handle_error(
        &mut self,
        entered_at: Timestamp,
        error: StepError,
        last_good: Option<&LastGood>,
        now: Timestamp,
    ) -> Change<ErrorDecision> {
        self.open()?;
        let mut handled = self.handled.iter();
        if let Some(known) = handled.find(|known| known.entered_at == entered_at) {
            return Ok(known.decision);
        }
        let decision = self.decide(error, last_good, now);
        self.handled.push(HandledError {
            entered_at,
            decision,
        });
        Ok(decision)
    }

    fn decide(
        &mut self,
        error: StepError,
        last_good: Option<&LastGood>,
        now: Timestamp,
    ) -> ErrorDecision {
        if self.leg().kind() == LegKind::Rollback {
            let stacks = self.leg().stacks();
            let outcome = match error.name {
                // Refused before the rollback changed anything. Otherwise the environment is between two commits.
                ErrorName::PlanRefused if !stacks.iter().any(StackRun::has_side_effects) => {
                    RollbackOutcome::RollbackRefused
                }
                _ => RollbackOutcome::RollbackFailed,
            };
            self.end_rollback(outcome, Some(error), now);
            return ErrorDecision::Record;
        }
        // The environment's record decides. The run's own record may be older.
        if last_good.is_some_and(|good| good.run == self.id) {
            self.promoted_at.get_or_insert(now);
        }
        if self.promoted_at.is_some() {
            return ErrorDecision::Record;
        }
        self.fail(error, now);
        // A plan made from a state that lacks what exists would make it again, or leave it behind.
        if let Some(stack) = self.unwritten_stack() {
            let error = StepError::new(ErrorName::StateUnwritten, unwritten(stack));
            self.end_rollback(RollbackOutcome::RollbackFailed, Some(error), now);
            return ErrorDecision::Record;
        }
        if !self.has_side_effects() {
            self.end_rollback(RollbackOutcome::NotNeeded, None, now);
            return ErrorDecision::Record;
        }
        let Some(target) = last_good else {
            self.end_rollback(RollbackOutcome::NoLastGood, None, now);
            return ErrorDecision::Record;
        };
        self.rollback_end = None;
        self.rollback = Some(Leg::rollback(&self.forward, target, now));
        ErrorDecision::RollBack
    }

    /// Returns the first stack whose state could not be written, of either leg.
    #[must_use]
    pub fn unwritten_stack(&self) -> Option<&StackRun> {
        let mut stacks = self.legs().flat_map(Leg::stacks);
        stacks.find(|stack| stack.is_unwritten())
    }

    /// Records the first error. Later errors do not replace it. A promoted run has reached its
    /// goal, so a reply that is lost afterwards does not make it a failure.
    pub(super) fn fail(&mut self, error: StepError, now: Timestamp) {
        if self.failure.is_none() && self.promoted_at.is_none() {
            self.failure = Some(Failure { error, at: now });
        }
    }

    pub(super) fn end_rollback(
        &mut self,
        outcome: RollbackOutcome,
        error: Option<StepError>,
        now: Timestamp,
    ) {
        self.rollback_end.get_or_insert(RollbackEnd {
            outcome,
            error,
            at: now,
        });
    }

    /// Records that the rollback was carried out and verified. An outcome that is already known is
    /// kept.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended, and with
    /// `ContractViolation` when the run has no rollback.
    pub fn rolled_back(&mut self, now: Timestamp) -> Change {
        self.open()?;
        if self.rollback.is_none() {
            let run = self.id.clone();
            return Err(RunError::NoRollback { run });
        }
        self.end_rollback(RollbackOutcome::RolledBack, None, now);
        Ok(())
    }
}

fn unwritten(stack: &StackRun) -> String {
    format!(
        "stack {}: Terraform could not write its state, which lacks what the apply did; no rollback is \
         planned from it",
        stack.name()
    )
}

/// Returns the stacks of a rollback. The stacks of the last good commit that this run changed, and
/// every stack that needs one of them, are planned from the last good source. The changed stacks
/// that only the new commit has are destroyed, unless they had resources before this run: such a
/// stack may have been kept, or moved in, and no source says what it was like before.
pub(super) fn rollback_stacks(
    forward: &[StackRun],
    target: &LastGood,
    now: Timestamp,
) -> Vec<StackRun> {
    let changed: Vec<&StackRun> = forward
        .iter()
        .filter(|stack| stack.has_side_effects())
        .collect();
    // By the state: a stack that the new commit renamed is the same stack.
    let known = |spec: &Stack| {
        let mut stacks = target.config.stacks.iter();
        stacks.any(|stack| stack.state() == spec.state())
    };
    let mut back: Vec<StackRun> = Vec::new();
    for stack in &target.config.stacks {
        let was_changed = changed
            .iter()
            .any(|other| other.spec().state() == stack.state());
        let needs_changed = stack
            .needs
            .iter()
            .any(|need| back.iter().any(|other| other.name() == need));
        if was_changed || needs_changed {
            let dependencies = target.dependencies.get(&stack.name);
            back.push(StackRun::new(stack, PlanKind::Normal, now).with_dependencies(dependencies));
        }
    }
    for stack in changed.iter().rev().filter(|stack| !known(stack.spec())) {
        let before = stack.applied.as_ref().map(|plan| plan.state.resources);
        back.push(match before {
            Some(Resources::None) => StackRun::new(stack.spec(), PlanKind::Destroy, now)
                .with_dependencies(stack.dependencies()),
            Some(Resources::Some) | None => {
                let mut left = StackRun::new(stack.spec(), PlanKind::Normal, now);
                left.state = StackState::Left;
                left
            }
        });
    }
    back
}
