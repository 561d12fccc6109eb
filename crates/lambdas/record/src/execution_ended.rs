//! The action `execution-ended`: ends the run of an execution that did not pass the state `Record`.
//!
//! Decides which run the execution has, whether one of its jobs can still change something, and with which error the run
//! ends if it has no outcome yet. A run with such a job is not ended: the job is terminated, and `reconcile` ends the run after
//! it. A job that never started cannot start any more, and its stack counts as not changed.
//!
//! Undo: none, because it ends the run.
//!
//! Running it twice is safe. A run that has ended keeps its outcome, and a repeated call does only
//! what is missing.
//!
//! Fails with `Internal` if the audit chain is broken, and with the errors of the table, of S3, of Step Functions and of Batch.

use crate::record::{how_it_ended, without_run};
use crate::{Error, Record};
use domain::error::{ErrorName, StepError};
use domain::event::Trigger;
use domain::ids::RunId;
use domain::reconcile::StopCause;
use domain::run::Run;
use domain::step::{ExecutionEnded, RecordRunOutput, RecordVerdict};
use engine::Result;

impl Record {
    /// Ends the run of an execution that was stopped, timed out or failed. For a run that has
    /// ended, does only what is missing.
    pub(crate) async fn execution_ended(&self, input: ExecutionEnded) -> Result<RecordRunOutput> {
        let ExecutionEnded { execution, status } = input;
        let cause = StopCause::of(&execution, Some(status));
        let (Some(cause), Some(run)) = (cause, self.run_of(&execution).await?) else {
            return Ok(without_run(&Error::NoRun { execution }.into()));
        };
        let id = run.id();
        let run = match self.closing.end_stopped(&run, cause).await {
            Err(error) if error.name == ErrorName::JobEnding => {
                tracing::warn!(run = %id, %error, "left to the scheduled reconciliation");
                return Ok(left_open(id, &error));
            }
            ended => ended?,
        };
        let run = self.audit.record(run).await?;
        Ok(how_it_ended(&run))
    }

    /// Finds the run of an execution by the execution's input, which names it. Claims the run of an
    /// execution that ended before its run was claimed, so that the accepted event has an audit
    /// entry. Returns `None` if the execution was started with something else, or with an event
    /// whose run belongs to another execution.
    async fn run_of(&self, execution: &str) -> Result<Option<Run>> {
        let Some(described) = self.executions.describe(execution).await? else {
            return Ok(None);
        };
        let Ok(event) = serde_json::from_str::<Trigger>(&described.input) else {
            tracing::error!(execution, "its input is not an event of the webhook");
            return Ok(None);
        };
        let run = self.claimed(&event, execution, true).await?;
        Ok(run.filter(|run| run.execution() == execution))
    }
}

/// Returns the output for a run that has a job which has not ended.
fn left_open(run: &RunId, error: &StepError) -> RecordRunOutput {
    RecordRunOutput {
        verdict: RecordVerdict::Failed,
        error: error.name.to_string(),
        cause: format!(
            "{}. Next: wait. The scheduled reconciliation ends run {run} within five minutes after the job.",
            error.message
        ),
    }
}
