//! The judgement of a plan, and the wait for a person.

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
    /// Reads what the job left, judges the plan and seals it in the run's record.
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
            // The result may be there: the state machine asks again.
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
        let run = update_run(&*self.records, run.id(), |run| {
            let (plan, outputs) = (plan.clone(), outputs.clone());
            run.planned(name, job, plan, &summary, verdict, outputs, now)?;
            Ok(run.clone())
        })
        .await?;
        self.judged(&run, name, verdict).await
    }

    /// Says that a plan was judged, once more when the question is repeated: nobody knows whether
    /// the first answer came so far.
    async fn judged(&self, run: &Run, name: &StackName, verdict: Verdict) -> Result<JudgeOutput> {
        let attempt = run.stack(name)?.jobs();
        let transition = Transition::PlanFinished(run.leg().kind(), name.clone(), attempt, verdict);
        self.announcer.announce(run, transition).await;
        Ok(JudgeOutput {
            stack: name.clone(),
            verdict,
        })
    }

    /// Writes down that the plan of this job failed, and gives the error to raise. A stack that
    /// waits for another job is left as it is.
    async fn plan_failed(
        &self,
        run: &RunId,
        name: &StackName,
        job: &JobId,
        error: &StepError,
        diagnostics: &[String],
    ) -> Result<StepError> {
        let run = update_run(&*self.records, run, |run| {
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

    /// Keeps the task token until `sluicegate approve` or `reject` answers it. A plan that was
    /// answered already (the question is repeated with a new token) is answered at once.
    pub(crate) async fn request_approval(
        &self,
        run: &RunId,
        name: &StackName,
        token: String,
    ) -> Result<()> {
        let now = self.clock.now();
        let (run, answered) = update_run(&*self.records, run, |run| {
            let answered = run.approval_requested(name, token.clone(), now)?;
            Ok((run.clone(), answered))
        })
        .await?;
        if let Some(verdict) = answered {
            let output = serde_json::to_string(&ApprovalAnswer { verdict }).map_err(|error| {
                StepError::new(ErrorName::Internal, format!("write an answer: {error}"))
            })?;
            // A token that is gone was answered, or its execution ended: both are fine.
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
