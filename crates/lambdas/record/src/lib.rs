#![doc = include_str!("../README.md")]

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
    AuditBranch, BatchJobs, Clock, Executions, Objects, Records, Result, Step, Tokens, Written,
};
use std::sync::Arc;

/// The step.
#[derive(Clone)]
pub struct Record {
    /// The table.
    pub records: Arc<dyn Records>,
    /// The audit bucket.
    pub audit: Arc<dyn Objects>,
    /// The audit branch at the forge.
    pub audit_branch: Arc<dyn AuditBranch>,
    /// Tells the runs that wait.
    pub tokens: Arc<dyn Tokens>,
    /// The jobs of executions that were stopped.
    pub batch: Arc<dyn BatchJobs>,
    /// What executions were started with.
    pub executions: Arc<dyn Executions>,
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
            } => Box::pin(self.record(&event, &execution, error.as_ref())).await,
            RecordInput::ExecutionEnded { execution, status } => {
                Box::pin(self.execution_ended(&execution, &status)).await
            }
        }
    }
}

impl Record {
    /// Ends the run of an event, and says how the execution is to end.
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
            // Another execution has the run, or the repository is not ours: there is nothing to end.
            Some(run) => Ok(unclaimed(
                error,
                &format!("run {id} belongs to execution {}", run.execution()),
            )),
            None => Ok(unclaimed(error, &format!("run {id} was never claimed"))),
        }
    }

    /// The event's run. An event that was accepted, and failed before `validate` could claim its
    /// run, is claimed here: it is to have its audit entry like any other.
    async fn claimed(&self, event: &Trigger, execution: &str, failed: bool) -> Result<Option<Run>> {
        let key = run_key(&event.run_id());
        let found: Option<Run> = load(&*self.records, &key).await?;
        let enrolled = self
            .repositories
            .iter()
            .any(|one| one.key == event.repository_key());
        if found.is_some() || !failed || !enrolled {
            return Ok(found);
        }
        let now = self.clock.now();
        let run = Run::claim(event.clone(), execution.to_owned(), now);
        match insert(&*self.records, &run).await? {
            Written::Yes => Ok(Some(run)),
            // Somebody else was first.
            Written::No => load(&*self.records, &key).await,
        }
    }
}

/// The answer for an execution that has no run.
fn unclaimed(error: Option<StepError>, why: &str) -> RecordOutput {
    let error = error.unwrap_or_else(|| StepError::new(ErrorName::RunNotFound, why));
    RecordOutput {
        verdict: RecordVerdict::Failed,
        error: error.name.to_string(),
        cause: format!("{}. Next: {}", error.message, error.name.hint()),
    }
}

/// The answer for a run, in its end or on its way.
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
