//! Applies of a run's stacks.

use crate::ids::{JobId, StackName};
use crate::plan::{Counts, LegKind, ObjectRef, SideEffects, Unrecorded};
use crate::run::{Change, Leg, Run, StackState};
use crate::warning::Warnings;
use jiff::Timestamp;

/// What happens after a stale plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StalePlan {
    /// The stack is planned again.
    PlanAgain,
    /// The stale plan was already a second plan, so the stack failed.
    GiveUp,
}

impl Run {
    /// Records that an apply job uses a stack's sealed plan. A plan is used once. A repeated call
    /// changes nothing.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](super::RunError::Ended) when the run has ended, and with the
    /// errors of [`StackRun::check_apply`](super::StackRun::check_apply).
    pub fn applying(
        &mut self,
        stack: &StackName,
        job: JobId,
        attempt: u32,
        now: Timestamp,
    ) -> Change {
        self.open_stack(stack)?.applying(job, attempt, now)
    }

    /// Replaces a job of a stack that never started, at most [`RESTARTS`](super::RESTARTS) times for each stack.
    /// `next` is its replacement, and `attempt` the replacement's number. A job that did not start used no plan, so
    /// the approval of the plan stays valid. Returns the replacement and its number; a repeated call returns the same.
    /// Returns none if the stack does not wait for the job, or its job was replaced before.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](super::RunError::Ended) when the run has ended, and with
    /// `ContractViolation` when the leg does not have the stack.
    pub fn start_again(
        &mut self,
        stack: &StackName,
        lost: &JobId,
        next: JobId,
        attempt: u32,
        now: Timestamp,
    ) -> Change<Option<(JobId, u32)>> {
        let stack = self.open_stack(stack)?;
        Ok(stack.start_again(lost, next, attempt, now))
    }

    /// Records that an apply job succeeded. A repeated call changes nothing.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](super::RunError::Ended) when the run has ended, and with
    /// `ContractViolation` when the stack does not wait for this job.
    pub fn applied(
        &mut self,
        stack: &StackName,
        job: &JobId,
        outputs: ObjectRef,
        warnings: &Warnings,
        now: Timestamp,
    ) -> Change {
        let stack = self.open_stack(stack)?;
        stack.applied(job, outputs, warnings, now)
    }

    /// Records what the forward leg's apply of a stack did, and what it may have done without a trace in
    /// the state, as the plan of the rollback found it.
    /// Does nothing on the forward leg: there, an apply that succeeds did what its plan says.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](super::RunError::Ended) when the run has ended, and with
    /// `ContractViolation` when the leg does not have the stack.
    pub fn changes_known(
        &mut self,
        stack: &StackName,
        made: Counts,
        unrecorded: &Unrecorded,
    ) -> Change {
        self.open()?;
        if self.leg().kind() == LegKind::Rollback {
            let state = self.stack(stack)?.spec().state().clone();
            let mut forward = self.forward.stacks.iter_mut();
            if let Some(changed) = forward.find(|forward| *forward.spec().state() == state) {
                changed.changes_known(made, unrecorded);
            }
        }
        Ok(())
    }

    /// Records that the plan of an apply job was stale. The stack is planned again, at most
    /// [`REPLANS`](super::REPLANS) times. A repeated call changes nothing.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](super::RunError::Ended) when the run has ended, and with
    /// `ContractViolation` when the stack does not wait for this job.
    pub fn plan_stale(
        &mut self,
        stack: &StackName,
        job: &JobId,
        now: Timestamp,
    ) -> Change<StalePlan> {
        self.open_stack(stack)?.plan_stale(job, now)
    }

    /// Records that an apply job failed. Does nothing if the stack waits for another job.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](super::RunError::Ended) when the run has ended, and with
    /// `ContractViolation` when the leg does not have the stack.
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

    /// Records that these jobs never started and cannot start any more: the applies among them changed
    /// nothing. Does nothing for a job that no stack waits for.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](super::RunError::Ended) when the run has ended.
    pub fn never_started(&mut self, jobs: &[JobId], now: Timestamp) -> Change {
        self.open()?;
        let legs = std::iter::once(&mut self.forward).chain(&mut self.rollback);
        for stack in legs.flat_map(|leg: &mut Leg| &mut leg.stacks) {
            if matches!(&stack.state, StackState::Applying { job, .. } if jobs.contains(job)) {
                let side_effects = SideEffects::None;
                stack.reach(StackState::Failed { side_effects }, now);
            }
        }
        Ok(())
    }
}
