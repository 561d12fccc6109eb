//! The action `judge`: judges a plan, and seals it in the run's item. Of a validation, records that the
//! stack's configuration is valid.
//!
//! Decides whether a plan has changes, needs approval, or is refused because it changes what the
//! deployment sets of its service. What the plan changes is read from the sealed plan itself, never
//! from the job's result. The plan of a rollback is refused if it does more than undo what
//! the run did. A job that never started is replaced, once.
//!
//! Undo: none, because a plan changes nothing.
//!
//! Running it twice is safe. A plan that was judged already keeps its verdict, and the status
//! message is sent again.
//!
//! Fails with the error of the job, with `JobLost` if the job left no result, with `PlanRefused` if
//! the plan is refused, with `PlanTampered` if the sealed plan's JSON is missing or was changed, with
//! `PlanFailed` if it is too large, and with `ContractViolation` if the result is another job's or the
//! JSON is of another version.

use crate::plan_json::{self, Judged};
use crate::{Error, Plan};
use domain::error::{ErrorClass, ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::{JobOutcome, Verb};
use domain::plan::{
    self, Counts, Judgement, LegKind, PROTECTED_TYPES, PlanKind, PlanSummary, ResourceChange,
    Rules, SealedPlan, Unrecorded, Verdict,
};
use domain::run::{JudgedPlan, Run, StackState};
use domain::step::{Judge, JudgeOutput};
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::jobs::{self, JobError, LostJob, LostJobEnd, Replacements};
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
            _ if stack.is_validated_by(job) => return Ok(self.valid(&run, name, job).await),
            _ => None,
        };
        if let Some(verdict) = made {
            return self.judged(&run, name, verdict).await;
        }
        let (objects, batch) = (&*self.objects, &*self.batch);
        let result = jobs::result(objects, batch, &run, name, job, error.as_ref()).await;
        let judged = match result.map(|result| result.outcome) {
            Ok(JobOutcome::Planned {
                plan,
                json,
                state,
                dependencies,
                outputs,
                warnings,
                made,
                unrecorded,
            }) => {
                let sealed = SealedPlan {
                    file: plan,
                    json,
                    state,
                    dependencies,
                };
                let done = (made, Unrecorded::of(&unrecorded));
                (sealed, outputs, warnings, done)
            }
            Ok(JobOutcome::Failed {
                error, diagnostics, ..
            }) => {
                return Err(self
                    .plan_failed(run.id(), name, job, &error, &diagnostics)
                    .await?);
            }
            Ok(JobOutcome::Validated { dependencies }) => {
                let now = self.clock.now();
                let run = update_run(&*self.table, run.id(), |run| {
                    run.validated(name, job, dependencies.clone(), now)?;
                    Ok(run.clone())
                })
                .await?;
                return Ok(self.valid(&run, name, job).await);
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
            Err(lost) => {
                if lost.name == ErrorName::JobLost
                    && let LostJobEnd::Replaced(next) = self.replace(&run, &input).await?
                {
                    return Ok(JudgeOutput::StartAgain(next));
                }
                return Err(self.plan_failed(run.id(), name, job, &lost, &[]).await?);
            }
        };
        let now = self.clock.now();
        let (sealed, outputs, warnings, (made, unrecorded)) = judged;
        let judged = plan_json::judged(objects, &run, name, &sealed.json, made).await;
        let Judged { summary, made } = match judged {
            Ok(judged) => judged,
            // The state machine repeats the call.
            Err(error) if error.name.class() == ErrorClass::Transient => return Err(error),
            Err(error) => return Err(self.plan_failed(run.id(), name, job, &error, &[]).await?),
        };
        let judgement = match verdict(&run, name, stack.plan_kind(), &summary, &made)? {
            Ok(judgement) => judgement,
            Err(refusal) => {
                let error = refusal.into();
                update_run(&*self.table, run.id(), |run| {
                    Ok(run.changes_known(name, Counts::of(&made), &unrecorded)?)
                })
                .await?;
                return Err(self.plan_failed(run.id(), name, job, &error, &[]).await?);
            }
        };
        let verdict = judgement.verdict;
        let plan = JudgedPlan {
            sealed,
            summary: &summary,
            judgement,
            warnings,
            outputs,
        };
        let run = update_run(&*self.table, run.id(), |run| {
            run.planned(name, job, plan.clone(), now)?;
            run.changes_known(name, Counts::of(&made), &unrecorded)?;
            Ok(run.clone())
        })
        .await?;
        self.judged(&run, name, verdict).await
    }

    /// Announces that a stack's configuration is valid. A repeated call announces it again, because
    /// the first one may have stopped before its announcement.
    async fn valid(&self, run: &Run, name: &StackName, job: &JobId) -> JudgeOutput {
        let attempt = job.attempt().unwrap_or_default();
        let transition = Transition::ValidationFinished(name.clone(), attempt);
        self.announcer.announce(run, transition).await;
        JudgeOutput::Validated {
            stack: name.clone(),
        }
    }

    /// Announces the verdict, and returns it. A repeated call announces it again, because the first
    /// one may have stopped before its announcement.
    async fn judged(&self, run: &Run, name: &StackName, verdict: Verdict) -> Result<JudgeOutput> {
        let attempt = run.stack(name)?.jobs();
        let transition = Transition::PlanFinished(run.leg().kind(), name.clone(), attempt, verdict);
        self.announcer.announce(run, transition).await;
        Ok(JudgeOutput::of(name.clone(), verdict))
    }

    async fn replace(&self, run: &Run, input: &Judge) -> Result<LostJobEnd> {
        let verb = if Verb::Validate.is_of(&input.job) {
            Verb::Validate
        } else {
            Verb::Plan
        };
        let lost = LostJob {
            run,
            stack: &input.stack,
            verb,
            job: &input.job,
            error: input.error.as_ref(),
        };
        let replacements = Replacements {
            table: &*self.table,
            objects: &*self.objects,
            states: &self.states,
            enrolments: &*self.enrolments,
            announcer: &self.announcer,
        };
        replacements.replace(lost, self.clock.now()).await
    }

    /// Records that the job's plan or validation failed, and returns the error to raise. Does not change a stack
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
        let transition = if Verb::Validate.is_of(job) {
            let attempt = job.attempt().unwrap_or_default();
            Transition::ValidationFailed(name.clone(), attempt, error.clone())
        } else {
            let attempt = run.stack(name)?.jobs();
            Transition::PlanFailed(run.leg().kind(), name.clone(), attempt, error.clone())
        };
        self.announcer.announce(&run, transition).await;
        Ok(error)
    }
}

/// Returns the verdict on a plan of the run's current leg, or why the plan is refused.
fn verdict(
    run: &Run,
    name: &StackName,
    kind: PlanKind,
    summary: &PlanSummary,
    made: &[ResourceChange],
) -> Result<std::result::Result<Judgement, Error>> {
    let stack = || name.clone();
    Ok(match run.leg().kind() {
        LegKind::Forward => {
            let rules = Rules::of(run.config()?, name);
            plan::judge(summary, kind, &rules).map_err(|cause| Error::DeployedService {
                stack: stack(),
                cause,
            })
        }
        LegKind::Rollback => {
            let policies = &run.config()?.policies;
            let is_protected = |change: &ResourceChange| {
                policies.protects(change)
                    || PROTECTED_TYPES.contains(&change.resource_type.as_str())
            };
            match plan::judge_rollback(summary, made, is_protected) {
                Ok(verdict) => Ok(verdict.into()),
                Err(refused) => Err(Error::RollbackTooMuch {
                    stack: stack(),
                    refused,
                }),
            }
        }
    })
}
