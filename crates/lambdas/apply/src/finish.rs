//! The action `finish`: reads the result of the apply job.
//!
//! Decides whether the apply succeeded, failed, or met a stale plan. A stack with a stale plan is
//! planned again, once. A job that never started is replaced, once: its plan was not used.
//!
//! Undo: the state `Rollback` plans and applies the stacks of the last good commit.
//!
//! Running it twice is safe. The end of a job is recorded once, and a repeated call returns the
//! same output or error.
//!
//! Fails with the error of the job, with `JobLost` if the job left no result, with `StalePlan` if
//! the plan was stale a second time, and with `ContractViolation` if the result is another job's.

use crate::{Apply, Error};
use domain::error::{ErrorClass, ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::{JobOutcome, Verb};
use domain::keys::JobFile;
use domain::plan::{ObjectRef, SideEffects};
use domain::run::{Run, StackRun, StackState, StalePlan};
use domain::step::{FinishApply, FinishApplyOutput};
use domain::warning::Warnings;
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::jobs::{self, JobError, LostJob, LostJobEnd, Replacements};
use engine::status::Transition;

impl Apply {
    /// Reads the result of the apply job, and records it.
    pub(crate) async fn finish(&self, input: FinishApply) -> Result<FinishApplyOutput> {
        let FinishApply {
            run,
            stack: name,
            job,
            error: caught,
        } = input;
        let run = load_run(&*self.table, &run).await?;
        let stack = run.stack(&name)?;
        let output = FinishApplyOutput::Ended {
            stack: name.clone(),
        };
        match stack.state() {
            StackState::Applied { job: known, .. } if *known == job => {
                self.announce_applied(&run, stack).await;
                return Ok(output);
            }
            // The stale plan was reset already, and the stack may have been planned again.
            StackState::Pending | StackState::Planning { .. } => return Ok(output),
            _ => {}
        }
        let (objects, batch) = (&*self.objects, &*self.batch);
        let result = jobs::result(objects, batch, &run, &name, &job, caught.as_ref()).await;
        match result.map(|result| result.outcome) {
            Ok(JobOutcome::Applied {
                outputs, warnings, ..
            }) => {
                self.applied(run.id(), &name, &job, outputs, &warnings)
                    .await?;
                Ok(output)
            }
            Ok(JobOutcome::Failed { error, .. }) if error.name == ErrorName::StalePlan => {
                match self.stale(&run, &name, &job, error).await? {
                    StalePlan::PlanAgain => Ok(output),
                    StalePlan::GiveUp => Err(Error::StaleTwice { stack: name }.into()),
                }
            }
            Ok(JobOutcome::Failed {
                error,
                side_effects,
                diagnostics,
            }) => {
                let error = jobs::with_diagnostics(&error, &diagnostics);
                self.failed(run.id(), &name, &job, side_effects, &error)
                    .await?;
                Err(error)
            }
            Ok(JobOutcome::Planned { .. } | JobOutcome::Validated { .. }) => {
                Err(JobError::OtherVerb {
                    run: run.id().clone(),
                    stack: name,
                    job,
                    expected: Verb::Apply,
                }
                .into())
            }
            // The result may exist, so the state machine repeats the call.
            Err(error) if error.name.class() == ErrorClass::Transient => Err(error),
            Err(error) => {
                let lost = LostJob {
                    run: &run,
                    stack: &name,
                    verb: Verb::Apply,
                    job: &job,
                    error: caught.as_ref(),
                };
                let side_effects = match error.name {
                    ErrorName::JobLost => match self.replace(lost).await? {
                        LostJobEnd::Replaced(job) => return Ok(FinishApplyOutput::StartAgain(job)),
                        LostJobEnd::Failed(side_effects) if side_effects.are_possible() => {
                            self.after_lost(&run, &job, side_effects).await?
                        }
                        LostJobEnd::Failed(side_effects) => side_effects,
                    },
                    // What Terraform did is unknown.
                    _ => SideEffects::Unrecorded,
                };
                self.failed(run.id(), &name, &job, side_effects, &error)
                    .await?;
                Err(error)
            }
        }
    }

    /// Returns the side effects of a lost job that started. One that kept a state could not write it, and may
    /// have ended before its result.
    async fn after_lost(
        &self,
        run: &Run,
        job: &JobId,
        side_effects: SideEffects,
    ) -> Result<SideEffects> {
        let kept = run.objects()?.job(job, JobFile::ErroredState);
        Ok(match self.objects.get(&kept).await? {
            Some(_) => SideEffects::Unwritten,
            None => side_effects,
        })
    }

    async fn replace(&self, lost: LostJob<'_>) -> Result<LostJobEnd> {
        let replacements = Replacements {
            table: &*self.table,
            objects: &*self.objects,
            states: &self.states,
            enrolments: &*self.enrolments,
            announcer: &self.announcer,
        };
        replacements.replace(lost, self.clock.now()).await
    }

    /// Records that the job applied the plan.
    async fn applied(
        &self,
        run: &RunId,
        name: &StackName,
        job: &JobId,
        outputs: ObjectRef,
        warnings: &Warnings,
    ) -> Result<()> {
        let run = update_run(&*self.table, run, |run| {
            let now = self.clock.now();
            run.applied(name, job, outputs.clone(), warnings, now)?;
            Ok(run.clone())
        })
        .await?;
        self.announce_applied(&run, run.stack(name)?).await;
        Ok(())
    }

    async fn announce_applied(&self, run: &Run, stack: &StackRun) {
        let name = stack.name().clone();
        let transition = Transition::ApplyFinished(run.leg().kind(), name, stack.jobs());
        self.announcer.announce(run, transition).await;
    }

    /// Records that the job found its plan stale, also if the stack is not planned again.
    async fn stale(
        &self,
        run: &Run,
        name: &StackName,
        job: &JobId,
        error: StepError,
    ) -> Result<StalePlan> {
        let attempt = run.stack(name)?.jobs();
        let (run, stale) = update_run(&*self.table, run.id(), |run| {
            let stale = run.plan_stale(name, job, self.clock.now())?;
            Ok((run.clone(), stale))
        })
        .await?;
        let transition = Transition::ApplyFailed(run.leg().kind(), name.clone(), attempt, error);
        self.announcer.announce(&run, transition).await;
        Ok(stale)
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
