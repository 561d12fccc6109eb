//! Validations of stacks that are planned only after other stacks are applied.

use crate::environment::LastGood;
use crate::ids::{JobId, StackName};
use crate::job::Verb;
use crate::plan::{LegKind, ObjectRef, PlanKind};
use crate::run::{Change, JobEvent, Run, StackRun, StackState, Wave};
use jiff::Timestamp;

impl StackRun {
    /// Returns the number of the stack's next job with this verb, from 1.
    #[must_use]
    pub fn attempt(&self, verb: Verb) -> u32 {
        match verb {
            Verb::Plan | Verb::Apply => self.jobs + 1,
            Verb::Validate => {
                let waits = matches!(self.state, StackState::Validating { .. });
                self.restarts + 1 + u32::from(waits)
            }
        }
    }

    /// Returns whether this job found the stack's configuration valid.
    #[must_use]
    pub fn is_validated_by(&self, job: &JobId) -> bool {
        self.validated.is_some() && Verb::Validate.is_of(job) && job.attempt() == self.validated
    }

    /// Returns whether the stack waits for a validation, or could: no plan has read its
    /// configuration, which is that of the run's own commit.
    fn can_be_validated(&self) -> bool {
        match self.state {
            StackState::Validating { .. } => true,
            StackState::Pending => {
                self.plan_kind == PlanKind::Normal && self.jobs == 0 && self.validated.is_none()
            }
            _ => false,
        }
    }

    fn validated(
        &mut self,
        job: &JobId,
        dependencies: Option<ObjectRef>,
        now: Timestamp,
    ) -> Change {
        match &self.state {
            StackState::Validating { job: expected } if expected == job => {
                self.validated = job.attempt();
                self.dependencies = dependencies;
                self.reach(StackState::Pending, now);
                Ok(())
            }
            _ if self.is_validated_by(job) => Ok(()),
            _ => Err(self.unexpected(JobEvent::Validation, job)),
        }
    }
}

impl Run {
    /// Returns the stacks to validate beside the plans of the next wave: those that are planned only
    /// after it, so that their mistakes are known before anything is applied. A stack is not
    /// validated if its files and its configuration are the same as in the last good commit. A
    /// repeated call returns the same stacks.
    ///
    /// On the rollback leg there are none: the last good commit was valid.
    #[must_use]
    pub fn stacks_to_validate(&self, good: Option<&LastGood>) -> Vec<StackName> {
        let (LegKind::Forward, Wave::Plan(next)) = (self.leg().kind(), self.forward.next_wave())
        else {
            return Vec::new();
        };
        let same = |stack: &StackRun| {
            let before = good.and_then(|good| good.digests.get(stack.name()));
            stack.digest().is_some() && stack.digest() == before
        };
        let stacks = self.forward.stacks().iter();
        stacks
            .filter(|stack| stack.can_be_validated() && !next.contains(stack.name()))
            .filter(|stack| !same(stack))
            .map(|stack| stack.name().clone())
            .collect()
    }

    /// Records a validation job of a stack. If the stack already has one, keeps it. Returns the job
    /// that counts; none if the stack can no longer be validated.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](crate::run::RunError::Ended) when the run has ended, and with
    /// `ContractViolation` when the leg does not have the stack.
    pub fn validating(
        &mut self,
        stack: &StackName,
        job: JobId,
        now: Timestamp,
    ) -> Change<Option<JobId>> {
        let stack = self.open_stack(stack)?;
        if *stack.state() == StackState::Pending && stack.can_be_validated() {
            stack.reach(StackState::Validating { job }, now);
        }
        Ok(match stack.state() {
            StackState::Validating { job } => Some(job.clone()),
            _ => None,
        })
    }

    /// Records that a job found a stack's configuration valid. The stack's plan uses the modules and
    /// the lock file of the validation. A repeated call changes nothing.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](crate::run::RunError::Ended) when the run has ended, and with
    /// `ContractViolation` when the stack does not wait for this job.
    pub fn validated(
        &mut self,
        stack: &StackName,
        job: &JobId,
        dependencies: Option<ObjectRef>,
        now: Timestamp,
    ) -> Change {
        self.open_stack(stack)?.validated(job, dependencies, now)
    }
}
