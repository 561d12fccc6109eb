//! The action `execution-ended`: ends the run of an execution that did not pass the state `Record`.
//!
//! Decides which run the execution has, and with which error the run ends if it has no outcome yet.
//!
//! Undo: none, because it ends the run.
//!
//! Running it twice is safe. A run that has ended keeps its outcome, and a repeated call does only
//! what is missing.
//!
//! Fails with `Internal` if the audit chain is broken.

use crate::record::{how_it_ended, without_run};
use crate::{Error, Record};
use domain::event::Trigger;
use domain::reconcile::{StopCause, awaited_jobs};
use domain::run::Run;
use domain::step::{ExecutionEnded, RecordRunOutput};
use engine::{Result, jobs};

impl Record {
    /// Ends the run of an execution that was stopped, timed out or failed. For a run that has
    /// ended, does only what is missing.
    pub(crate) async fn execution_ended(&self, input: ExecutionEnded) -> Result<RecordRunOutput> {
        let ExecutionEnded { execution, status } = input;
        let cause = StopCause::of(&execution, Some(status));
        let (Some(cause), Some(run)) = (cause, self.run_of(&execution).await?) else {
            return Ok(without_run(&Error::NoRun { execution }.into()));
        };
        self.end_jobs(&run).await;
        let run = self.closing.end_stopped(&run, cause).await?;
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

    /// Ends the jobs that the execution left behind. Step Functions ends the jobs that it knows of,
    /// on a best-effort basis. A job whose submission had no reply could start after the run has
    /// ended.
    async fn end_jobs(&self, run: &Run) {
        for job in awaited_jobs(run) {
            if let Err(error) = jobs::terminate_open(&*self.batch, job).await {
                // The environment is released anyway: Terraform's own lock protects the state.
                tracing::error!(run = %run.id(), %job, %error, "a job that may run was not ended");
            }
        }
    }
}
