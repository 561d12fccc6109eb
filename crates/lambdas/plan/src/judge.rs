//! The actions `judge` and `request-approval`.
//!
//! `judge` decides whether a plan has changes, needs approval, or is refused because it would
//! delete protected data. Undo: none, because a plan changes nothing. Running it twice is safe: a
//! plan that was judged already keeps its verdict, and the status message is sent again.
//!
//! `request-approval` decides nothing: it keeps the task token until an operator decides. Undo:
//! none, because an approval of a plan that is not applied has no effect. Running it twice is safe:
//! the new task token replaces the old one, and a decision that was made already completes it at
//! once.

use crate::Plan;
use domain::error::{ErrorClass, ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::JobOutcome;
use domain::keys::{self, JobFile};
use domain::plan::{self, SealedPlan, Verdict};
use domain::run::{Run, StackState};
use domain::step::{ApprovalAnswer, CaughtError, JudgeOutput};
use engine::documents::update_run;
use engine::status::Transition;
use engine::{Result, jobs};

impl Plan {
    /// Reads the job's result, judges the plan and seals it in the run's item.
    pub(crate) async fn judge(
        &self,
        run: &RunId,
        name: &StackName,
        job: &JobId,
        error: Option<CaughtError>,
    ) -> Result<JudgeOutput> {
        let (run, _) = self.load(run).await?;
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
        let result = jobs::result(
            &*self.objects,
            &*self.batch,
            run.id(),
            name,
            job,
            error.as_ref(),
        )
        .await;
        let (plan, summary, outputs) = match result.map(|result| result.outcome) {
            Ok(JobOutcome::Planned {
                plan,
                json,
                state,
                summary,
                outputs,
            }) => {
                let file = plan;
                (SealedPlan { file, json, state }, summary, outputs)
            }
            Ok(JobOutcome::Failed {
                error, diagnostics, ..
            }) => {
                return Err(self
                    .plan_failed(run.id(), name, job, &error, &diagnostics)
                    .await?);
            }
            Ok(JobOutcome::Applied { .. }) => {
                return Err(StepError::new(
                    ErrorName::ContractViolation,
                    format!(
                        "job {job} left no plan; its spec is {}",
                        spec_key(run.id(), job)
                    ),
                ));
            }
            // The result may exist, so the state machine repeats the call.
            Err(error) if error.name.class() == ErrorClass::Transient => return Err(error),
            Err(error) => return Err(self.plan_failed(run.id(), name, job, &error, &[]).await?),
        };
        let now = self.clock.now();
        let verdict = plan::judge(&summary, run.config()?.approval, run.leg().kind());
        if verdict == Verdict::Refused {
            let lost = plan::data_loss(&summary).join(", ");
            let message = format!("the plan of stack {name} would delete protected data: {lost}");
            let error = StepError::new(ErrorName::PlanRefused, message);
            return Err(self.plan_failed(run.id(), name, job, &error, &[]).await?);
        }
        let run = update_run(&*self.table, run.id(), |run| {
            let (plan, outputs) = (plan.clone(), outputs.clone());
            run.planned(name, job, plan, &summary, verdict, outputs, now)?;
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

    /// Keeps the task token until `sluicegate approve` or `sluicegate reject` completes it. If the
    /// decision was made already, completes the token at once.
    pub(crate) async fn request_approval(
        &self,
        run: &RunId,
        name: &StackName,
        token: String,
    ) -> Result<()> {
        let now = self.clock.now();
        let (run, answered) = update_run(&*self.table, run, |run| {
            let answered = run.approval_requested(name, token.clone(), now)?;
            Ok((run.clone(), answered))
        })
        .await?;
        if let Some(verdict) = answered {
            let output = serde_json::to_string(&ApprovalAnswer { verdict }).map_err(|error| {
                StepError::new(ErrorName::Internal, format!("write an answer: {error}"))
            })?;
            // A closed token was completed before, or its execution has ended. Both are fine.
            self.tokens.succeed(&token, &output).await?;
            return Ok(());
        }
        let attempt = run.stack(name)?.jobs();
        let transition = Transition::ApprovalRequested(name.clone(), attempt);
        self.announcer.announce(&run, transition).await;
        Ok(())
    }
}

fn spec_key(run: &RunId, job: &JobId) -> String {
    keys::job(run, job, JobFile::Spec)
}
