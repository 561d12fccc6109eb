#![doc = include_str!("../README.md")]

mod audit;
mod close;
mod ended;
mod promote;

use async_trait::async_trait;
use contract::event::{EnrolledRepository, PushEvent};
use contract::step::{CaughtError, RecordInput, RecordOutput, RecordWord};
use domain::error::{ErrorName, StepError};
use domain::run::Run;
use ports::announce::Announcer;
use ports::documents::{load, run_key};
use ports::{Clock, Forge, Objects, Records, Result, Step, Tokens};
use std::sync::Arc;

/// The step.
#[derive(Clone)]
pub struct Record {
    /// The table.
    pub records: Arc<dyn Records>,
    /// The audit bucket.
    pub audit: Arc<dyn Objects>,
    /// The forge, for the audit branch.
    pub forge: Arc<dyn Forge>,
    /// Tells the runs that wait.
    pub tokens: Arc<dyn Tokens>,
    /// Says what happened.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub repositories: Arc<[EnrolledRepository]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Step for Record {
    type Input = RecordInput;
    type Output = RecordOutput;

    async fn run(&self, input: RecordInput) -> Result<RecordOutput> {
        match input {
            RecordInput::Promote { run } => self.promote(&run).await,
            RecordInput::Record {
                event,
                execution,
                error,
            } => self.record(&event, &execution, error.as_ref()).await,
            RecordInput::ExecutionEnded { execution, status } => {
                self.execution_ended(&execution, &status).await
            }
        }
    }
}

impl Record {
    /// Ends the run of an event, and says how the execution is to end.
    async fn record(
        &self,
        event: &PushEvent,
        execution: &str,
        error: Option<&CaughtError>,
    ) -> Result<RecordOutput> {
        let error = error.map(CaughtError::to_step_error);
        let id = event.run_id();
        let run: Option<Run> = load(&*self.records, &run_key(&id)).await?;
        match run {
            Some(run) if run.execution == execution => {
                let run = self.close(&id, error.as_ref()).await?;
                Ok(answer(&run))
            }
            // Nothing was claimed, or another execution has the run: there is nothing to end.
            Some(run) => Ok(unclaimed(
                error,
                &format!("run {id} belongs to execution {}", run.execution),
            )),
            None => Ok(unclaimed(error, &format!("run {id} was never claimed"))),
        }
    }
}

/// The answer for an execution that has no run.
fn unclaimed(error: Option<StepError>, why: &str) -> RecordOutput {
    let error = error.unwrap_or_else(|| StepError::new(ErrorName::RunNotFound, why));
    RecordOutput {
        verdict: RecordWord::Failed,
        error: error.name.to_string(),
        cause: format!("{}. Next: {}", error.message, error.name.hint()),
    }
}

/// The answer for a run, in its end or on its way.
fn answer(run: &Run) -> RecordOutput {
    let outcome = run.outcome();
    let Some(failure) = run.failure.as_ref().filter(|_| !outcome.is_success()) else {
        return RecordOutput {
            verdict: RecordWord::Succeeded,
            error: outcome.as_str().to_owned(),
            cause: String::new(),
        };
    };
    let error = &failure.error;
    let came = domain::audit::RollbackEntry::of(run)
        .map(|rollback| {
            let why = rollback.error.map(|error| format!(" ({error})"));
            format!(
                " Rollback: {}{}.",
                rollback.result.as_str(),
                why.unwrap_or_default()
            )
        })
        .unwrap_or_default();
    RecordOutput {
        verdict: RecordWord::Failed,
        error: error.name.to_string(),
        cause: format!(
            "{}. Outcome: {}.{came} Next: {} See `sluicegate show {}`.",
            error.message,
            outcome.as_str(),
            error.name.hint(),
            run.id
        ),
    }
}

#[cfg(test)]
mod tests;
