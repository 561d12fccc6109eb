//! The end of a run: its record, then its environment, then its last announcement. The audit entry
//! follows (see [`crate::audit`]): neither the forge nor S3 can hold an environment.

use crate::announce::Announcer;
use crate::audit::next_number;
use crate::documents::{load_run, update_run};
use crate::environments::{self, Environments};
use crate::status::Transition;
use crate::{BatchJobs, Clock, ExecutionState, Executions, Objects, Result, Table, Tokens, jobs};
use domain::environment::Environment;
use domain::error::StepError;
use domain::ids::RunId;
use domain::reconcile::{Condition, StopCause, examine};
use domain::run::{Lock, Run};
use jiff::Timestamp;
use std::sync::Arc;

/// Asks Step Functions and Batch whether a run goes on. Batch is asked only about the jobs of an ended
/// execution.
///
/// # Errors
/// Fails when Step Functions or Batch cannot be called.
pub async fn condition(
    executions: &dyn Executions,
    batch: &dyn BatchJobs,
    run: &Run,
    now: Timestamp,
) -> Result<Condition> {
    if run.is_ended() {
        return Ok(Condition::Ended);
    }
    let described = executions.describe(run.execution()).await?;
    let state = described.map(|execution| execution.state);
    let open = match state {
        Some(ExecutionState::Running) => Vec::new(),
        _ => jobs::open(batch, run).await?,
    };
    Ok(examine(run, state, &open, now))
}

/// Ends runs.
#[derive(Clone)]
pub struct Closing {
    /// The table.
    pub table: Arc<dyn Table>,
    /// The bucket of jobs.
    pub objects: Arc<dyn Objects>,
    /// Ends the jobs of stopped runs.
    pub batch: Arc<dyn BatchJobs>,
    /// The task tokens of waiting runs.
    pub tokens: Arc<dyn Tokens>,
    /// Announces the end.
    pub announcer: Announcer,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Closing {
    /// Ends a run, releases its environment and announces its end, once. Each part finds what an earlier
    /// call did, and does the rest.
    ///
    /// # Errors
    /// Fails with `RunNotFound` when the run does not exist, and when the table cannot be read or
    /// written or Step Functions cannot be called.
    pub async fn end(&self, id: &RunId, error: Option<&StepError>) -> Result<Run> {
        let run = self.record_end(id, error).await?;
        self.release(&run).await?;
        self.announce_end(run).await
    }

    /// Announces the end of a run, unless an earlier call did.
    async fn announce_end(&self, run: Run) -> Result<Run> {
        if run.end().is_none_or(|end| end.announced_at.is_some()) {
            return Ok(run);
        }
        let finished = Transition::Finished(run.outcome());
        self.announcer.announce(&run, finished).await;
        let now = self.clock.now();
        update_run(&*self.table, run.id(), |run| {
            run.end_announced(now)?;
            Ok(run.clone())
        })
        .await
    }

    /// Ends a run whose execution does nothing more, after its jobs (see [`Self::end_jobs`]). A run that failed,
    /// was superseded or was promoted has its outcome, which only has to be recorded.
    ///
    /// # Errors
    /// Fails as [`Self::end_jobs`] and [`Self::end`] do.
    pub async fn end_stopped(&self, run: &Run, cause: StopCause) -> Result<Run> {
        let run = &self.end_jobs(run).await?;
        let settled = run.failure().is_some()
            || run.promoted_at().is_some()
            || matches!(run.lock(), Lock::Superseded { .. })
            || environments::of_run(&*self.table, run)
                .await?
                .is_some_and(|it| it.last_good().is_some_and(|good| &good.run == run.id()));
        let error = (!settled).then(|| StepError::from(cause));
        self.end(run.id(), error.as_ref()).await
    }

    /// Ends the jobs of a run whose execution does nothing more. A run that has ended waits for no job.
    ///
    /// # Errors
    /// Fails as [`jobs::end_all`] does: with `JobEnding` while a job that started has not ended.
    pub async fn end_jobs(&self, run: &Run) -> Result<Run> {
        if run.is_ended() {
            return Ok(run.clone());
        }
        let (objects, batch) = (&*self.objects, &*self.batch);
        jobs::end_all(&*self.table, objects, batch, run, self.clock.now()).await
    }

    /// Releases the environment of a run that has ended, and hands it to the next run.
    ///
    /// # Errors
    /// Fails when the table cannot be read or written, and when Step Functions cannot be called.
    pub async fn release(&self, run: &Run) -> Result<()> {
        for run in self.environments().release(run).await? {
            self.announcer.announce(&run, Transition::Superseded).await;
        }
        Ok(())
    }

    /// Sends the replies that an environment still has for waiting runs.
    ///
    /// # Errors
    /// Fails when the table cannot be read or written, and when Step Functions cannot be called.
    pub async fn notify(&self, environment: &Environment) -> Result<()> {
        for run in self.environments().notify(environment).await? {
            self.announcer.announce(&run, Transition::Superseded).await;
        }
        Ok(())
    }

    fn environments(&self) -> Environments<'_> {
        Environments {
            table: &*self.table,
            tokens: &*self.tokens,
            clock: &*self.clock,
        }
    }

    /// Records how the run ends. From here on, the run does not change.
    async fn record_end(&self, id: &RunId, error: Option<&StepError>) -> Result<Run> {
        let run = load_run(&*self.table, id).await?;
        if run.is_ended() {
            return Ok(run);
        }
        let audit_from = next_number(&*self.table, run.trigger().repository_key()).await?;
        let now = self.clock.now();
        update_run(&*self.table, id, |run| {
            if !run.is_ended() {
                run.close(error.cloned(), audit_from, now)?;
            }
            Ok(run.clone())
        })
        .await
    }
}
