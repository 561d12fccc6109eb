//! The action `reconcile`: completes what no execution does any more.
//!
//! Decides which runs have stopped, which environments belong to ended runs, which audit entries are
//! missing or were deleted, and (in `branches.rs`) which pushes were missed.
//!
//! Undo: none. It does what `record` or the webhook would have done.
//!
//! Running it twice is safe. Each part finds what an earlier call, or `record` at the same time,
//! did.
//!
//! Fails with the first error after everything else was done.

use crate::Reconcile;
use domain::environment::Environment;
use domain::error::{ErrorName, StepError};
use domain::ids::RunId;
use domain::reconcile::{Activity, Condition};
use domain::run::Run;
use domain::step::ReconcileOutput;
use engine::documents::{ENVIRONMENTS, OPEN_RUNS, Pages, load, load_run, run_key};
use engine::{Order, Result, closing};

/// The first of the problems that did not stop a call.
#[derive(Debug, Default)]
pub(crate) struct Problems(Option<StepError>);

impl Problems {
    /// Logs the error of one run, environment or branch.
    pub(crate) fn note(&mut self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            tracing::error!(what, %error, "not reconciled");
            self.0.get_or_insert(error);
        }
    }
}

impl Reconcile {
    pub(crate) async fn reconcile(&self) -> Result<ReconcileOutput> {
        let mut output = ReconcileOutput::default();
        let mut problems = Problems::default();
        let done = self.environments(&mut output, &mut problems).await;
        problems.note("the list of environments", done);
        let done = self.open_runs(&mut output, &mut problems).await;
        problems.note("the list of open runs", done);
        match self.enrolments.all().await {
            Ok(repositories) => {
                for repository in &repositories {
                    let done = self.audit.check_newest(repository.key).await;
                    problems.note(repository.full_name.as_str(), done);
                }
                self.find_missed_pushes(repositories, &mut output, &mut problems)
                    .await;
            }
            Err(error) => problems.note("the list of repositories", Err(error)),
        }
        problems.0.map_or(Ok(output), Err)
    }

    /// Releases environments whose run has ended, and sends replies that were not sent.
    async fn environments(
        &self,
        output: &mut ReconcileOutput,
        problems: &mut Problems,
    ) -> Result<()> {
        let mut pages = Pages::of(&*self.table, ENVIRONMENTS, Order::Ascending);
        while let Some(environments) = pages.next::<Environment>().await? {
            for environment in &environments {
                for run in environment.runs() {
                    let done = self.release_ended(run, output).await;
                    problems.note(run.as_str(), done);
                }
                if !environment.outbox().is_empty() {
                    let done = self.closing.notify(environment).await;
                    problems.note(environment.name().as_str(), done);
                }
            }
        }
        Ok(())
    }

    /// Takes a run that has ended from its environment.
    async fn release_ended(&self, id: &RunId, output: &mut ReconcileOutput) -> Result<()> {
        let Some(run) = load::<Run>(&*self.table, &run_key(id)).await? else {
            tracing::error!(run = %id, "an environment names a run that has no record");
            return Ok(());
        };
        if run.is_ended() {
            self.closing.release(&run).await?;
            output.released.push(id.clone());
        }
        Ok(())
    }

    /// Looks at every open run, the oldest first, so that missing audit entries are written in the order of the
    /// runs.
    async fn open_runs(&self, output: &mut ReconcileOutput, problems: &mut Problems) -> Result<()> {
        let mut pages = Pages::of(&*self.table, OPEN_RUNS, Order::Ascending);
        while let Some(runs) = pages.next::<Run>().await? {
            for run in &runs {
                let done = Box::pin(self.reconcile_run(run.id(), output)).await;
                problems.note(run.id().as_str(), done);
            }
        }
        Ok(())
    }

    /// Completes what is left of a run.
    async fn reconcile_run(&self, id: &RunId, output: &mut ReconcileOutput) -> Result<()> {
        // The index may lag behind the item.
        let run = load_run(&*self.table, id).await?;
        let now = self.clock.now();
        let batch = &*self.closing.batch;
        let run = match closing::condition(&*self.executions, batch, &run, now).await? {
            // The next call ends the run.
            Condition::Active(Activity::Jobs { .. }) => {
                return match self.closing.end_jobs(&run).await {
                    Err(error) if error.name != ErrorName::JobEnding => Err(error),
                    _ => Ok(()),
                };
            }
            Condition::Stopped(cause) => {
                tracing::warn!(run = %id, %cause, "a stopped run is ended");
                let run = match self.closing.end_stopped(&run, cause).await {
                    Err(error) if error.name == ErrorName::JobEnding => return Ok(()),
                    ended => ended?,
                };
                output.ended.push(id.clone());
                run
            }
            // Whoever ended the run may have stopped before it announced the end.
            Condition::Ended if !run.is_recorded() => self.closing.end(id, None).await?,
            Condition::Active(_) | Condition::Ended => return Ok(()),
        };
        if !run.is_recorded() {
            self.audit.record(run).await?;
            output.audited.push(id.clone());
        }
        Ok(())
    }
}
