//! The action `judge`: judges a plan, and seals it in the run's item.
//!
//! Decides whether a plan has changes, needs approval, or is refused because it would delete
//! protected data. The plan of a rollback is refused if it does more than undo what the run did.
//!
//! Undo: none, because a plan changes nothing.
//!
//! Running it twice is safe. A plan that was judged already keeps its verdict, and the status
//! message is sent again.
//!
//! Fails with the error of the job, with `JobLost` if the job left no result, with `PlanRefused` if
//! the plan would delete protected data, and with `ContractViolation` if the result is another
//! job's.

use crate::{Error, Plan};
use domain::error::{ErrorClass, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::{JobOutcome, Verb};
use domain::plan::{
    self, Counts, DataLoss, LegKind, PROTECTED_TYPES, PlanSummary, ResourceChange, SealedPlan,
    Verdict,
};
use domain::run::{Run, StackState};
use domain::step::{Judge, JudgeOutput};
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::jobs::{self, JobError};
use engine::status::Transition;

impl Plan {
    /// Reads the job's result, judges the plan and seals it in the run's item.
    pub(crate) async fn judge(&self, input: Judge) -> Result<JudgeOutput> {
        let Judge {
            run,
            stack: name,
            job,
            error,
        } = &input;
        let run = load_run(&*self.table, run).await?;
        let stack = run.stack(name)?;
        let made = match stack.state() {
            StackState::Planned {
                job: known,
                verdict,
                ..
            } if known == job => Some(*verdict),
            StackState::Unchanged => Some(Verdict::NoChanges),
            _ => None,
        };
        if let Some(verdict) = made {
            return self.judged(&run, name, verdict).await;
        }
        let (objects, batch) = (&*self.objects, &*self.batch);
        let result = jobs::result(objects, batch, run.id(), name, job, error.as_ref()).await;
        let (plan, summary, outputs, made) = match result.map(|result| result.outcome) {
            Ok(JobOutcome::Planned {
                plan,
                json,
                state,
                summary,
                outputs,
                made,
            }) => {
                let file = plan;
                (SealedPlan { file, json, state }, summary, outputs, made)
            }
            Ok(JobOutcome::Failed {
                error, diagnostics, ..
            }) => {
                return Err(self
                    .plan_failed(run.id(), name, job, &error, &diagnostics)
                    .await?);
            }
            Ok(JobOutcome::Applied { .. }) => {
                return Err(JobError::OtherVerb {
                    run: run.id().clone(),
                    stack: name.clone(),
                    job: job.clone(),
                    expected: Verb::Plan,
                }
                .into());
            }
            // The result may exist, so the state machine repeats the call.
            Err(error) if error.name.class() == ErrorClass::Transient => return Err(error),
            Err(error) => return Err(self.plan_failed(run.id(), name, job, &error, &[]).await?),
        };
        let now = self.clock.now();
        let verdict = match verdict(&run, name, &summary, &made)? {
            Ok(verdict) => verdict,
            Err(refused) => {
                let error = refused.into();
                return Err(self.plan_failed(run.id(), name, job, &error, &[]).await?);
            }
        };
        let run = update_run(&*self.table, run.id(), |run| {
            let (plan, outputs) = (plan.clone(), outputs.clone());
            run.planned(name, job, plan, &summary, verdict, outputs, now)?;
            run.changes_known(name, Counts::of(&made))?;
            Ok(run.clone())
        })
        .await?;
        self.judged(&run, name, verdict).await
    }

    /// Announces the verdict, and returns it. A repeated call announces it again, because the first
    /// one may have stopped before its announcement.
    async fn judged(&self, run: &Run, name: &StackName, verdict: Verdict) -> Result<JudgeOutput> {
        let attempt = run.stack(name)?.jobs();
        let transition = Transition::PlanFinished(run.leg().kind(), name.clone(), attempt, verdict);
        self.announcer.announce(run, transition).await;
        Ok(JudgeOutput {
            stack: name.clone(),
            verdict,
        })
    }

    /// Records that the job's plan failed, and returns the error to raise. Does not change a stack
    /// that waits for another job.
    async fn plan_failed(
        &self,
        run: &RunId,
        name: &StackName,
        job: &JobId,
        error: &StepError,
        diagnostics: &[String],
    ) -> Result<StepError> {
        let run = update_run(&*self.table, run, |run| {
            run.plan_failed(name, job, self.clock.now())?;
            Ok(run.clone())
        })
        .await?;
        let error = jobs::with_diagnostics(error, diagnostics);
        let attempt = run.stack(name)?.jobs();
        let transition =
            Transition::PlanFailed(run.leg().kind(), name.clone(), attempt, error.clone());
        self.announcer.announce(&run, transition).await;
        Ok(error)
    }
}

/// Returns the verdict on a stack's plan, or why it is refused.
fn verdict(
    run: &Run,
    name: &StackName,
    summary: &PlanSummary,
    made: &[ResourceChange],
) -> Result<std::result::Result<Verdict, Error>> {
    let stack = || name.clone();
    if run.leg().kind() == LegKind::Rollback {
        let is_protected =
            |change: &ResourceChange| PROTECTED_TYPES.contains(&change.resource_type.as_str());
        let verdict = plan::judge_rollback(summary, made, is_protected);
        return Ok(verdict.map_err(|refused| Error::RollbackTooMuch {
            stack: stack(),
            refused,
        }));
    }
    let verdict = plan::judge(summary, run.config()?.approval, LegKind::Forward);
    Ok(verdict.map_err(|DataLoss(addresses)| Error::DataLoss {
        stack: stack(),
        addresses,
    }))
}
