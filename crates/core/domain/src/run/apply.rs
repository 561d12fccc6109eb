//! Applies of a run's stacks.

use crate::ids::{JobId, StackName};
use crate::plan::{ObjectRef, SideEffects};
use crate::run::{Change, Run, StackState};
use jiff::Timestamp;

/// What a stale plan leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StalePlan {
    /// The stack is planned again.
    PlanAgain,
    /// It was planned again before: the stack failed.
    GiveUp,
}

impl Run {
    /// An apply job uses the sealed plan of a stack, once. A repeated call changes nothing.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); those of
    /// [`StackRun::check_apply`](super::StackRun::check_apply).
    pub fn applying(
        &mut self,
        stack: &StackName,
        job: JobId,
        attempt: u32,
        now: Timestamp,
    ) -> Change {
        Ok(self.open_stack(stack)?.applying(job, attempt, now)?)
    }

    /// The apply of a job succeeded. A repeated call changes nothing.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); `ContractViolation` when the stack does not
    /// wait for this job.
    pub fn applied(
        &mut self,
        stack: &StackName,
        job: &JobId,
        outputs: ObjectRef,
        now: Timestamp,
    ) -> Change {
        Ok(self.open_stack(stack)?.applied(job, outputs, now)?)
    }

    /// The plan of an apply job was stale: the stack is planned again, once. A repeated call
    /// changes nothing.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); `ContractViolation` when the stack does not
    /// wait for this job.
    pub fn plan_stale(
        &mut self,
        stack: &StackName,
        job: &JobId,
        now: Timestamp,
    ) -> Change<StalePlan> {
        Ok(self.open_stack(stack)?.plan_stale(job, now)?)
    }

    /// The apply of a job failed. A stack that waits for another job stays as it is.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); `ContractViolation` when the stack is not on
    /// the leg.
    pub fn apply_failed(
        &mut self,
        stack: &StackName,
        job: &JobId,
        side_effects: SideEffects,
        now: Timestamp,
    ) -> Change {
        let stack = self.open_stack(stack)?;
        if matches!(stack.state(), StackState::Applying { job: known, .. } if known == job) {
            stack.reach(StackState::Failed { side_effects }, now);
        }
        Ok(())
    }
}
