#![doc = include_str!("../README.md")]
//!
//! ## Action `record`
//!
//! Decides how the execution ends: with success, or with the first error of the run.
//!
//! Undo: none, because it ends the run.
//!
//! Running it twice is safe. A repeated call finds the end and the audit entry that an earlier call
//! wrote, and does only what is missing. The state machine calls it with `error` only when a step
//! failed that could not record its own error.

mod audit;
mod close;
mod ended;
mod promote;

use async_trait::async_trait;
use domain::error::{ErrorName, StepError};
use domain::event::{EnrolledRepository, Trigger};
use domain::run::Run;
use domain::step::{CaughtError, RecordInput, RecordOutput, RecordVerdict};
use engine::announce::Announcer;
use engine::documents::{insert, load, run_key};
use engine::{
    AuditBranch, BatchJobs, Clock, Executions, Objects, Result, Step, Table, Tokens, Written,
};
use std::sync::Arc;

/// The `record` Lambda.
#[derive(Clone)]
pub struct Record {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// The audit bucket, which holds the chain.
    pub audit: Arc<dyn Objects>,
    /// The audit branch at the forge.
    pub audit_branch: Arc<dyn AuditBranch>,
    /// Completes the task tokens of waiting runs.
    pub tokens: Arc<dyn Tokens>,
    /// Ends the Batch jobs of executions that were stopped.
    pub batch: Arc<dyn BatchJobs>,
    /// Reads the input of executions.
    pub executions: Arc<dyn Executions>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub repositories: Arc<[EnrolledRepository]>,
    /// The clock.
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
            } => Box::pin(self.record(&event, &execution, error.as_ref())).await,
            RecordInput::ExecutionEnded { execution, status } => {
                Box::pin(self.execution_ended(&execution, &status)).await
            }
        }
    }
}

impl Record {
    /// Ends the run of an event. Returns how the execution ends.
    async fn record(
        &self,
        event: &Trigger,
        execution: &str,
        error: Option<&CaughtError>,
    ) -> Result<RecordOutput> {
        let error = error.map(CaughtError::to_step_error);
        let id = event.run_id();
        match self.claimed(event, execution, error.is_some()).await? {
            Some(run) if run.execution() == execution => {
                let run = self.close(&id, error.as_ref()).await?;
                Ok(answer(&run))
            }
            // Another execution has the run, or the repository is not enrolled: there is nothing to
            // end.
            Some(run) => Ok(unclaimed(
                error,
                &format!("run {id} belongs to execution {}", run.execution()),
            )),
            None => Ok(unclaimed(error, &format!("run {id} was never claimed"))),
        }
    }

    /// Returns the run of an event. If the event was accepted but failed before `validate` could
    /// claim its run, claims the run here, so that it has an audit entry.
    async fn claimed(&self, event: &Trigger, execution: &str, failed: bool) -> Result<Option<Run>> {
        let key = run_key(&event.run_id());
        let found: Option<Run> = load(&*self.table, &key).await?;
        let enrolled = self
            .repositories
            .iter()
            .any(|one| one.key == event.repository_key());
        if found.is_some() || !failed || !enrolled {
            return Ok(found);
        }
        let now = self.clock.now();
        let run = Run::claim(event.clone(), execution.to_owned(), now);
        match insert(&*self.table, &run).await? {
            Written::Yes => Ok(Some(run)),
            // Another call claimed it first.
            Written::No => load(&*self.table, &key).await,
        }
    }
}

/// Returns the output for an execution that has no run.
fn unclaimed(error: Option<StepError>, why: &str) -> RecordOutput {
    let error = error.unwrap_or_else(|| StepError::new(ErrorName::RunNotFound, why));
    RecordOutput {
        verdict: RecordVerdict::Failed,
        error: error.name.to_string(),
        cause: format!("{}. Next: {}", error.message, error.name.hint()),
    }
}

/// Returns the output for a run, ended or not.
fn answer(run: &Run) -> RecordOutput {
    let outcome = run.outcome();
    let Some(failure) = run.failure().filter(|_| !outcome.is_success()) else {
        return RecordOutput {
            verdict: RecordVerdict::Succeeded,
            error: outcome.as_str().to_owned(),
            cause: String::new(),
        };
    };
    let error = &failure.error;
    let rollback = match (run.rollback_outcome(), run.rollback_error()) {
        (None, _) => String::new(),
        (Some(outcome), None) => format!(" Rollback: {outcome}."),
        (Some(outcome), Some(error)) => format!(" Rollback: {outcome} ({error})."),
    };
    RecordOutput {
        verdict: RecordVerdict::Failed,
        error: error.name.to_string(),
        cause: format!(
            "{}. Outcome: {}.{rollback} Next: {} See `sluicegate show {}`.",
            error.message,
            outcome.as_str(),
            error.name.hint_for(run.id(), run.failed_stack()),
            run.id()
        ),
    }
}

#[cfg(test)]
mod tests;
