//! The next stacks, and their jobs.

use crate::Plan;
use domain::error::{ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::Verb;
use domain::plan::LegKind;
use domain::run::{Lock, Run, StackState, Wave};
use domain::step::{CaughtError, NextOutput, StackJob};
use engine::documents::update_run;
use engine::environments::{self, Owned};
use engine::status::Transition;
use engine::{Result, jobs};
use futures::future::join_all;

impl Plan {
    /// Raises what failed, else names the stacks that can be planned now and makes their jobs.
    pub(crate) async fn next(&self, run: &RunId, failures: &[CaughtError]) -> Result<NextOutput> {
        if let Some(first) = failures.first() {
            return Err(first.to_step_error());
        }
        let (run, _) = self.load(run).await?;
        let owned = environments::owned(&*self.records, &run).await?;
        self.wave(run, &owned).await
    }

    /// Names the stacks that can be planned now, and makes their jobs.
    async fn wave(&self, run: Run, owned: &Owned) -> Result<NextOutput> {
        let run = self.hold(run, owned).await?;
        let Wave::Plan(stacks) = run.next_wave() else {
            return match run.way().iter().find(|stack| !stack.state.is_done()) {
                None => Ok(NextOutput::Done),
                Some(stuck) => Err(StepError::new(
                    ErrorName::Internal,
                    format!(
                        "stack {} of run {} is not done, but cannot be planned either",
                        stuck.stack.name, run.id
                    ),
                )),
            };
        };
        let mut jobs = Vec::with_capacity(stacks.len());
        let mut started = Vec::with_capacity(stacks.len());
        for stack in stacks {
            let (job, attempt) = self.plan_job(&run, owned, &stack).await?;
            started.push(Transition::PlanStarted(run.mode, stack.clone(), attempt));
            jobs.push(StackJob { stack, job });
        }
        // All at once: a queue that does not answer takes its seconds once, not for each stack.
        let said = started
            .into_iter()
            .map(|transition| self.announcer.announce(&run, transition));
        join_all(said).await;
        Ok(NextOutput::Plan { jobs })
    }

    /// Writes into the run that it holds its environment.
    async fn hold(&self, run: Run, owned: &Owned) -> Result<Run> {
        let run = update_run(&*self.records, &run.id, |run| {
            // Its execution may have been stopped meanwhile.
            let fence = owned.environment().fence_of(run)?;
            run.lock = Lock::Held { fence };
            Ok(run.clone())
        })
        .await?;
        // Until there is a job: a call that was repeated may not have come so far.
        if run.mode == LegKind::Forward && run.stacks.iter().all(|stack| stack.jobs == 0) {
            self.announcer.announce(&run, Transition::LockHeld).await;
        }
        Ok(run)
    }

    /// Makes a stack's plan job, or finds the one that was made. Gives its attempt too.
    async fn plan_job(&self, run: &Run, owned: &Owned, name: &StackName) -> Result<(JobId, u32)> {
        let stack = run.stack(name)?;
        if let StackState::Planning { job } = &stack.state {
            return Ok((job.clone(), stack.jobs));
        }
        let spec = jobs::spec(run, owned, name, Verb::Plan, &self.states)?;
        let (job, key, bytes) = spec.sealed()?;
        self.objects.put(&key, bytes).await?;
        let attempt = spec.attempt;
        let run = update_run(&*self.records, &run.id, |run| {
            let stack = run.stack_mut(name)?;
            if stack.state == StackState::Pending {
                stack.jobs = attempt;
                stack.state = StackState::Planning { job: job.clone() };
            }
            Ok(run.clone())
        })
        .await?;
        let stack = run.stack(name)?;
        match &stack.state {
            StackState::Planning { job } => Ok((job.clone(), stack.jobs)),
            _ => Err(StepError::new(
                ErrorName::ContractViolation,
                format!(
                    "stack {name} of run {} was planned by somebody else",
                    run.id
                ),
            )),
        }
    }
}
