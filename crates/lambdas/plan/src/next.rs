//! The next stacks, and their jobs.

use crate::Plan;
use domain::error::{ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::Verb;
use domain::plan::LegKind;
use domain::run::{Run, StackState, Wave};
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
        let Wave::Plan(stacks) = run.leg().next_wave() else {
            return match run
                .leg()
                .stacks()
                .iter()
                .find(|stack| !stack.state().is_done())
            {
                None => Ok(NextOutput::Done),
                Some(stuck) => Err(StepError::new(
                    ErrorName::Internal,
                    format!(
                        "stack {} of run {} is not done, but cannot be planned either",
                        stuck.name(),
                        run.id()
                    ),
                )),
            };
        };
        let mut jobs = Vec::with_capacity(stacks.len());
        let mut started = Vec::with_capacity(stacks.len());
        for stack in stacks {
            let (job, attempt) = self.plan_job(&run, owned, &stack).await?;
            started.push(Transition::PlanStarted(
                run.leg().kind(),
                stack.clone(),
                attempt,
            ));
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
        let now = self.clock.now();
        let run = update_run(&*self.records, run.id(), |run| {
            // Its execution may have been stopped meanwhile.
            let fence = owned.environment().fence_of(run)?;
            run.lock_held(fence, now)?;
            Ok(run.clone())
        })
        .await?;
        // Until there is a job: a call that was repeated may not have come so far.
        if run.leg().kind() == LegKind::Forward
            && run.forward().stacks().iter().all(|stack| stack.jobs() == 0)
        {
            self.announcer.announce(&run, Transition::LockHeld).await;
        }
        Ok(run)
    }

    /// Makes a stack's plan job, or finds the one that was made. Gives its attempt too.
    async fn plan_job(&self, run: &Run, owned: &Owned, name: &StackName) -> Result<(JobId, u32)> {
        let stack = run.stack(name)?;
        if let StackState::Planning { job } = stack.state() {
            return Ok((job.clone(), stack.jobs()));
        }
        let spec = jobs::spec(run, owned, name, Verb::Plan, &self.states)?;
        let (job, key, bytes) = spec.sealed()?;
        self.objects.put(&key, bytes).await?;
        let attempt = spec.attempt;
        let now = self.clock.now();
        update_run(&*self.records, run.id(), |run| {
            Ok(run.planning(name, job.clone(), attempt, now)?)
        })
        .await
    }
}
