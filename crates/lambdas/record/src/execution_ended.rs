//! The action `execution-ended`: ends the run of an execution that did not pass the state `Record`.
//!
//! Decides which run the execution has, and with which error the run ends if it has no outcome yet.
//!
//! Undo: none, because it ends the run.
//!
//! Running it twice is safe. A run that has ended keeps its outcome, and a repeated call does only
//! what is missing.

use crate::record::{how_it_ended, without_run};
use crate::{Error, Record};
use domain::environment::Environment;
use domain::error::StepError;
use domain::event::Trigger;
use domain::run::{Leg, Lock, Run, StackState};
use domain::step::{ExecutionEnded, RecordRunOutput};
use engine::documents::{Document, ENVIRONMENTS, RUNS, load, run_key};
use engine::{Result, environments, jobs};

/// The most environments, and the most of the newest runs, that are searched.
const SEARCHED: u32 = 500;

impl Record {
    /// Ends the run of an execution that was stopped, timed out or failed. For a run that has
    /// ended, does only what is missing.
    pub(crate) async fn execution_ended(&self, input: ExecutionEnded) -> Result<RecordRunOutput> {
        let execution = input.execution.as_str();
        let found = match self.find(execution).await? {
            None => self.claim_late(execution).await?,
            found => found,
        };
        let Some(run) = found else {
            let execution = input.execution;
            return Ok(without_run(&Error::NoRun { execution }.into()));
        };
        self.end_jobs(&run).await;
        // A run that failed, was superseded or was promoted has its outcome, which only has to be
        // recorded.
        let settled = run.failure().is_some()
            || run.promoted_at().is_some()
            || matches!(run.lock(), Lock::Superseded { .. })
            || environments::of_run(&*self.table, &run)
                .await?
                .is_some_and(|it| it.last_good().is_some_and(|good| &good.run == run.id()));
        let error = (!settled).then(|| why(execution, &input.status));
        let run = self.close(run.id(), error.as_ref()).await?;
        Ok(how_it_ended(&run))
    }

    /// Claims the run of an execution that ended before its run was claimed, so that the accepted
    /// event has an audit entry. Returns `None` if the execution was started with something else,
    /// or with an event whose run belongs to another execution.
    async fn claim_late(&self, execution: &str) -> Result<Option<Run>> {
        let Some(input) = self.executions.input(execution).await? else {
            return Ok(None);
        };
        let Ok(event) = serde_json::from_str::<Trigger>(&input) else {
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
        for stack in run.legs().flat_map(Leg::stacks) {
            if let StackState::Planning { job } | StackState::Applying { job, .. } = stack.state()
                && let Err(error) = jobs::terminate_open(&*self.batch, job).await
            {
                // The environment is released anyway: Terraform's own lock protects the state.
                tracing::error!(run = %run.id(), %job, %error, "a job that may run was not ended");
            }
        }
    }

    /// Finds the run of an execution: first among those that hold or await an environment, then
    /// among the newest.
    async fn find(&self, execution: &str) -> Result<Option<Run>> {
        for environment in self.list::<Environment>(ENVIRONMENTS).await? {
            for id in environment.runs() {
                let run: Option<Run> = load(&*self.table, &run_key(id)).await?;
                if let Some(run) = run.filter(|run| run.execution() == execution) {
                    return Ok(Some(run));
                }
            }
        }
        let newest = self.list::<Run>(RUNS).await?;
        let Some(listed) = newest.into_iter().find(|run| run.execution() == execution) else {
            return Ok(None);
        };
        // The index may lag behind the item.
        load(&*self.table, &run_key(listed.id())).await
    }

    async fn list<D: Document>(&self, index: &str) -> Result<Vec<D>> {
        let items = self.table.list(index, SEARCHED).await?;
        let mut documents = Vec::with_capacity(items.len());
        for item in items {
            match serde_json::from_str(&item.doc) {
                Ok(document) => documents.push(document),
                // An item of another version must not hide all the others.
                Err(error) => tracing::error!(index, %error, "an item cannot be read"),
            }
        }
        Ok(documents)
    }
}

fn why(execution: &str, status: &str) -> StepError {
    let execution = execution.to_owned();
    let error = match status {
        "ABORTED" => Error::Stopped { execution },
        "TIMED_OUT" => Error::TimedOut { execution },
        _ => Error::EndNotRecorded { execution },
    };
    error.into()
}
