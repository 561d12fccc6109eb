#![doc = include_str!("../README.md")]
//!
//! ## Action `start`
//!
//! Decides whether the sealed plan may be applied: it must not be consumed, and its approval must
//! be granted if it needs one.
//!
//! Undo: none, because a consumed plan stays consumed.
//!
//! Running it twice is safe. The plan is consumed by a conditional write, and a repeated call
//! returns the job that consumed it.
//!
//! ## Action `finish`
//!
//! Decides whether the apply succeeded, failed, or met a stale plan.
//!
//! Undo: the state `Rollback` plans and applies the stacks of the last good commit.
//!
//! Running it twice is safe. The end of a job is recorded once, and a repeated call returns the
//! same verdict or error.

use async_trait::async_trait;
use domain::error::{ErrorClass, ErrorName, StepError};
use domain::event::EnrolledRepository;
use domain::ids::{JobId, RunId, StackName};
use domain::job::{JobOutcome, Verb};
use domain::plan::SideEffects;
use domain::run::{Run, StackRun, StackState, StalePlan};
use domain::step::{ApplyInput, ApplyVerdict, CaughtError, FinishOutput, StackJob};
use engine::announce::Announcer;
use engine::documents::{load_run, update_run};
use engine::environments::{self, Owned};
use engine::jobs::StateBucket;
use engine::status::Transition;
use engine::{BatchJobs, Clock, Objects, Result, Step, Table, jobs};
use serde::Serialize;
use std::sync::Arc;

/// The `apply` Lambda.
pub struct Apply {
    /// The DynamoDB table of runs and environments.
    pub table: Arc<dyn Table>,
    /// The artifacts bucket.
    pub objects: Arc<dyn Objects>,
    /// Finds and ends Batch jobs that the state machine does not know of.
    pub batch: Arc<dyn BatchJobs>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub repositories: Arc<[EnrolledRepository]>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The bucket of the delivered stacks' Terraform states.
    pub states: StateBucket,
}

/// The output of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ApplyOutput {
    /// Of `start`.
    Start(StackJob),
    /// Of `finish`.
    Finish(FinishOutput),
}

#[async_trait]
impl Step for Apply {
    type Input = ApplyInput;
    type Output = ApplyOutput;

    async fn run(&self, input: ApplyInput) -> Result<ApplyOutput> {
        match input {
            ApplyInput::Start { run, stack } => {
                self.start(&run, &stack).await.map(ApplyOutput::Start)
            }
            ApplyInput::Finish {
                run,
                stack,
                job,
                error,
            } => self
                .finish(&run, &stack, &job, error)
                .await
                .map(ApplyOutput::Finish),
        }
    }
}

impl Apply {
    /// Consumes the plan. A repeated call returns the job that consumed it.
    async fn start(&self, run: &RunId, name: &StackName) -> Result<StackJob> {
        let run = load_run(&*self.table, run).await?;
        let owned = environments::owned(&*self.table, &run).await?;
        self.use_plan(&run, &owned, name).await
    }

    /// Requires [`Owned`]: without the environment, the apply could run at the same time as one of
    /// another run.
    async fn use_plan(&self, run: &Run, owned: &Owned, name: &StackName) -> Result<StackJob> {
        let stack = run.stack(name)?;
        match stack.state() {
            StackState::Applying { job, .. } => {
                return Ok(self.started(run, stack, job.clone()).await);
            }
            StackState::Applied { job, .. } => {
                return Err(StepError::new(
                    ErrorName::PlanConsumed,
                    format!("the plan of stack {name} was used by job {job}"),
                ));
            }
            StackState::Pending
            | StackState::Planning { .. }
            | StackState::Planned { .. }
            | StackState::Unchanged
            | StackState::Skipped { .. }
            | StackState::Failed { .. } => {}
        }
        let spec = jobs::spec(run, owned, name, Verb::Apply, &self.states)?;
        let (job, key, bytes) = spec.sealed()?;
        // A plan that must not be applied gets no job spec either.
        let consumed = stack.check_apply(&job);
        self.answered(run, stack, consumed.as_ref().err()).await;
        consumed?;
        self.objects.put(&key, bytes).await?;
        environments::begin_changes(&*self.table, owned).await?;
        // From here on the plan is consumed, and no other job can use it.
        let run = update_run(&*self.table, run.id(), |run| {
            run.applying(name, job.clone(), spec.attempt, self.clock.now())?;
            Ok(run.clone())
        })
        .await?;
        Ok(self.started(&run, run.stack(name)?, job).await)
    }

    /// Announces whether the plan was approved, if it needed an approval.
    async fn answered(&self, run: &Run, stack: &StackRun, error: Option<&StepError>) {
        if !stack.needs_approval() {
            return;
        }
        let (name, attempt) = (stack.name().clone(), stack.jobs());
        let transition = match error {
            None => Transition::ApprovalGranted(name, attempt),
            Some(error) => Transition::ApprovalDenied(name, attempt, error.clone()),
        };
        self.announcer.announce(run, transition).await;
    }

    /// Announces that an apply started. A repeated call announces it again, because the first one
    /// may have stopped before its announcement.
    async fn started(&self, run: &Run, stack: &StackRun, job: JobId) -> StackJob {
        let name = stack.name().clone();
        let transition = Transition::ApplyStarted(run.leg().kind(), name.clone(), stack.jobs());
        self.announcer.announce(run, transition).await;
        StackJob { stack: name, job }
    }

    /// Reads the result of the apply job. A repeated call returns the same verdict.
    async fn finish(
        &self,
        run: &RunId,
        name: &StackName,
        job: &JobId,
        error: Option<CaughtError>,
    ) -> Result<FinishOutput> {
        let run = load_run(&*self.table, run).await?;
        let answer = |verdict| {
            Ok(FinishOutput {
                stack: name.clone(),
                verdict,
            })
        };
        let stack = run.stack(name)?;
        match stack.state() {
            StackState::Applied { job: known, .. } if known == job => {
                self.ended(&run, stack).await;
                return answer(ApplyVerdict::Applied);
            }
            // The stale plan was reset already, and the stack may have been planned again.
            StackState::Pending | StackState::Planning { .. } => {
                return answer(ApplyVerdict::Stale);
            }
            _ => {}
        }
        let result = jobs::result(
            &*self.objects,
            &*self.batch,
            run.id(),
            name,
            job,
            error.as_ref(),
        )
        .await;
        match result.map(|result| result.outcome) {
            Ok(JobOutcome::Applied { outputs, .. }) => {
                let run = update_run(&*self.table, run.id(), |run| {
                    run.applied(name, job, outputs.clone(), self.clock.now())?;
                    Ok(run.clone())
                })
                .await?;
                self.ended(&run, run.stack(name)?).await;
                answer(ApplyVerdict::Applied)
            }
            Ok(JobOutcome::Failed { error, .. }) if error.name == ErrorName::StalePlan => {
                let attempt = stack.jobs();
                let (run, stale) = update_run(&*self.table, run.id(), |run| {
                    // The failure is recorded even if the stack is not planned again.
                    let stale = run.plan_stale(name, job, self.clock.now())?;
                    Ok((run.clone(), stale))
                })
                .await?;
                let transition =
                    Transition::ApplyFailed(run.leg().kind(), name.clone(), attempt, error);
                self.announcer.announce(&run, transition).await;
                match stale {
                    StalePlan::PlanAgain => answer(ApplyVerdict::Stale),
                    StalePlan::GiveUp => Err(StepError::new(
                        ErrorName::StalePlan,
                        format!("the state of stack {name} changed twice since it was planned"),
                    )),
                }
            }
            Ok(JobOutcome::Failed {
                error,
                side_effects,
                diagnostics,
            }) => {
                let error = jobs::with_diagnostics(&error, &diagnostics);
                self.failed(run.id(), name, job, side_effects, &error)
                    .await?;
                Err(error)
            }
            Ok(JobOutcome::Planned { .. }) => Err(StepError::new(
                ErrorName::ContractViolation,
                format!("job {job} of stack {name} left the result of another verb"),
            )),
            // The result may exist, so the state machine repeats the call.
            Err(error) if error.name.class() == ErrorClass::Transient => Err(error),
            Err(error) => {
                // Without a result, it is unknown what Terraform did.
                self.failed(run.id(), name, job, SideEffects::Possible, &error)
                    .await?;
                Err(error)
            }
        }
    }

    async fn ended(&self, run: &Run, stack: &StackRun) {
        let name = stack.name().clone();
        let transition = Transition::ApplyFinished(run.leg().kind(), name, stack.jobs());
        self.announcer.announce(run, transition).await;
    }

    /// Records that the job's apply failed. Does not change a stack that waits for another job.
    async fn failed(
        &self,
        run: &RunId,
        name: &StackName,
        job: &JobId,
        side_effects: SideEffects,
        error: &StepError,
    ) -> Result<()> {
        let run = update_run(&*self.table, run, |run| {
            run.apply_failed(name, job, side_effects, self.clock.now())?;
            Ok(run.clone())
        })
        .await?;
        let attempt = run.stack(name)?.jobs();
        let transition =
            Transition::ApplyFailed(run.leg().kind(), name.clone(), attempt, error.clone());
        self.announcer.announce(&run, transition).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
