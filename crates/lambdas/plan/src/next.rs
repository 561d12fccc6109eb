//! The next stacks, and their jobs.

use crate::Plan;
use domain::environment::Environment;
use domain::error::{ErrorName, StepError};
use domain::ids::{EnvironmentName, JobId, RunId, StackName};
use domain::job::{Backend, JOB_SCHEMA, JobRecord, PLAN_SECONDS, Verb};
use domain::keys;
use domain::plan::Mode;
use domain::run::{Lock, Run, StackState, Wave};
use domain::step::{CaughtError, NextOutput, StackJob};
use engine::Result;
use engine::documents::{environment_key, load, update_run};
use engine::status::Transition;
use futures::future::join_all;

impl Plan {
    /// Raises what failed, else names the stacks that can be planned now and makes their jobs.
    pub(crate) async fn next(&self, run: &RunId, failures: &[CaughtError]) -> Result<NextOutput> {
        if let Some(first) = failures.first() {
            return Err(first.to_step_error());
        }
        let (run, name) = self.load(run).await?;
        let run = self.hold(run, &name).await?;
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
            let (job, attempt) = self.plan_job(&run, &name, &stack).await?;
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

    /// Makes sure that the run owns its environment, and writes it into the run.
    async fn hold(&self, run: Run, name: &EnvironmentName) -> Result<Run> {
        let key = environment_key(run.trigger.repository_id, name);
        let environment: Environment = load(&*self.records, &key)
            .await?
            .unwrap_or_else(|| Environment::new(run.trigger.repository_id, name.clone()));
        let owner = environment
            .owner
            .as_ref()
            .filter(|owner| owner.run == run.id);
        let Some(owner) = owner else {
            return Err(not_owned(&run, &environment));
        };
        let fence = owner.fence;
        let run = update_run(&*self.records, &run.id, |run| {
            // Its execution was stopped meanwhile.
            if let Some(end) = &run.end {
                let message = format!("run {} ended at {}", run.id, end.at);
                return Err(StepError::new(ErrorName::LockLost, message));
            }
            run.lock = Lock::Held { fence };
            Ok(run.clone())
        })
        .await?;
        // Until there is a job: a call that was repeated may not have come so far.
        if run.mode == Mode::Deliver && run.stacks.iter().all(|stack| stack.jobs == 0) {
            self.announcer.announce(&run, Transition::LockHeld).await;
        }
        Ok(run)
    }

    /// Makes a stack's plan job, or finds the one that was made. Gives its attempt too.
    async fn plan_job(
        &self,
        run: &Run,
        environment: &EnvironmentName,
        name: &StackName,
    ) -> Result<(JobId, u32)> {
        let stack = run.stack(name)?;
        if let StackState::Planning { job } = &stack.state {
            return Ok((job.clone(), stack.jobs));
        }
        let (source, commit) = run.way_source()?;
        let record = JobRecord {
            schema: JOB_SCHEMA,
            run: run.id.clone(),
            verb: Verb::Plan,
            destroy: stack.destroy,
            attempt: stack.jobs + 1,
            repository_id: run.trigger.repository_id,
            repository: run.trigger.repository.clone(),
            commit: if stack.destroy {
                run.trigger.commit.clone()
            } else {
                commit.clone()
            },
            environment: environment.clone(),
            stack: name.clone(),
            dir: stack.stack.dir.clone(),
            // What the last good commit does not have can only be destroyed by what made it.
            source: if stack.destroy {
                run.source()?.archive.clone()
            } else {
                source.clone()
            },
            backend: Backend::S3 {
                bucket: self.state_bucket.clone(),
                key: keys::state(run.trigger.repository_id, environment, name),
                region: self.region.clone(),
            },
            inputs: run.inputs(stack),
            plan: None,
            timeout_seconds: PLAN_SECONDS,
        };
        let (job, key, bytes) = record.seal()?;
        self.objects.put(&key, bytes).await?;
        let attempt = record.attempt;
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

fn not_owned(run: &Run, environment: &Environment) -> StepError {
    let name = &environment.name;
    if let (Some(frozen), Mode::Deliver) = (&environment.frozen, run.mode) {
        return StepError::new(
            ErrorName::EnvironmentFrozen,
            format!(
                "environment {name} is frozen since run {}: {}",
                frozen.run, frozen.reason
            ),
        );
    }
    if environment.is_bad(&run.trigger.commit) {
        let commit = &run.trigger.commit;
        return StepError::new(
            ErrorName::CommitIsBad,
            format!("commit {commit} was rolled back in environment {name} before"),
        );
    }
    let owner = environment
        .owner
        .as_ref()
        .map_or("nobody", |owner| owner.run.as_str());
    StepError::new(
        ErrorName::LockLost,
        format!(
            "environment {name} is owned by {owner}, not by run {}",
            run.id
        ),
    )
}
