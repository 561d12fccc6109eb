//! The action `record`: ends the run of an execution.
//!
//! Decides how the execution ends: with success, or with the first error of the run.
//!
//! Undo: none, because it ends the run.
//!
//! Running it twice is safe. A repeated call finds the end and the audit entry that an earlier call
//! wrote, and does only what is missing. The environment is released before the entry is written:
//! if the entry cannot be written, `reconcile` writes it later, and a permanent cause does not change how the
//! execution ends. The state machine calls it with `error` only when a step failed that could not record its own error.
//!
//! Fails with the transient errors of the table, of Step Functions and of the audit bucket.

use crate::{Error, Record};
use domain::error::{ErrorClass, StepError};
use domain::event::Trigger;
use domain::run::Run;
use domain::step::{CaughtError, RecordRun, RecordRunOutput, RecordVerdict};
use engine::documents::{insert, load, run_key};
use engine::{Result, Written};

impl Record {
    /// Ends the run of an event. Returns how the execution ends.
    pub(crate) async fn record(&self, input: RecordRun) -> Result<RecordRunOutput> {
        let RecordRun {
            event,
            execution,
            error,
        } = input;
        let error = error.as_ref().map(CaughtError::to_step_error);
        let id = event.run_id();
        let no_run = match self.claimed(&event, &execution, error.is_some()).await? {
            Some(run) if run.execution() == execution => {
                let run = self.closing.end(&id, error.as_ref()).await?;
                let ended = how_it_ended(&run);
                self.write_entry(run).await?;
                return Ok(ended);
            }
            // Another execution has the run, or the repository is not enrolled: there is nothing to
            // end.
            Some(run) => Error::OtherExecution {
                run: id,
                execution: run.execution().to_owned(),
            },
            None => Error::NeverClaimed { run: id },
        };
        Ok(without_run(&error.unwrap_or_else(|| no_run.into())))
    }

    /// Writes the audit entry of a run that has ended. A permanent error is logged, because a retry would not help
    /// and `reconcile` tries again; its alarm shows that the entry is missing.
    async fn write_entry(&self, run: Run) -> Result<()> {
        let id = run.id().clone();
        match self.audit.record(run).await {
            Err(error) if error.name.class() != ErrorClass::Transient => {
                tracing::error!(run = %id, %error, "the audit entry is missing");
                Ok(())
            }
            written => written.map(|_| ()),
        }
    }

    /// Returns the run of an event. If the event was accepted but failed before `validate` could
    /// claim its run, claims the run here, so that it has an audit entry.
    pub(crate) async fn claimed(
        &self,
        event: &Trigger,
        execution: &str,
        failed: bool,
    ) -> Result<Option<Run>> {
        let key = run_key(&event.run_id());
        let found: Option<Run> = load(&*self.table, &key).await?;
        if found.is_some() || !failed {
            return Ok(found);
        }
        let enrolled = self.enrolments.find(event.repository_key()).await?;
        if enrolled.is_none() {
            return Ok(None);
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
pub(crate) fn without_run(error: &StepError) -> RecordRunOutput {
    RecordRunOutput {
        verdict: RecordVerdict::Failed,
        error: error.name.to_string(),
        cause: format!("{}. Next: {}", error.message, error.next_step_without_run()),
    }
}

/// Returns the output for a run that has ended.
pub(crate) fn how_it_ended(run: &Run) -> RecordRunOutput {
    let outcome = run.outcome();
    let Some(failure) = run.failure().filter(|_| !outcome.is_success()) else {
        return RecordRunOutput {
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
    RecordRunOutput {
        verdict: RecordVerdict::Failed,
        error: error.name.to_string(),
        cause: format!(
            "{}. Outcome: {}.{rollback} Next: {} See `sluicegate show {}`.",
            error.message,
            outcome.as_str(),
            error.next_step(run.id(), run.failed_stack()),
            run.id()
        ),
    }
}
