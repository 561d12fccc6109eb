//! The action `reconcile`: completes what no execution does any more.
//!
//! Decides which runs have stopped, which environments belong to ended runs, which audit entries are
//! missing, and (in `branches.rs`) which pushes were missed.
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
use engine::documents::{ENVIRONMENTS, OPEN_RUNS, list, load, run_key};
use engine::{Result, closing};
use std::collections::BTreeSet;

/// The most environments, and the most of the newest open runs, that one call looks at.
const SEARCHED: u32 = 500;

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
        let environments: Vec<Environment> = list(&*self.table, ENVIRONMENTS, SEARCHED).await?;
        let open: Vec<Run> = list(&*self.table, OPEN_RUNS, SEARCHED).await?;
        let held: BTreeSet<&RunId> = environments.iter().flat_map(Environment::runs).collect();
        // The oldest first, so that missing audit entries are written in the order of the runs.
        let listed: Vec<&RunId> = open.iter().rev().map(Run::id).collect();
        let others = held.iter().copied().filter(|id| !listed.contains(id));
        for id in listed.iter().copied().chain(others) {
            let done = self.reconcile_run(id, held.contains(id), &mut output);
            problems.note(id.as_str(), Box::pin(done).await);
        }
        for environment in environments.iter().filter(|it| !it.outbox().is_empty()) {
            let done = self.closing.notify(environment).await;
            problems.note(environment.name().as_str(), done);
        }
        self.find_missed_pushes(&mut output, &mut problems).await;
        problems.0.map_or(Ok(output), Err)
    }

    /// Completes what is left of a run. `held` says whether its environment names it.
    async fn reconcile_run(
        &self,
        id: &RunId,
        held: bool,
        output: &mut ReconcileOutput,
    ) -> Result<()> {
        // The index may lag behind the item.
        let Some(run) = load::<Run>(&*self.table, &run_key(id)).await? else {
            tracing::error!(run = %id, "an environment names a run that has no record");
            return Ok(());
        };
        let now = self.clock.now();
        let run = match closing::condition(&*self.executions, &*self.closing.batch, &run, now).await? {
            // The next call ends the run.
            Condition::Active(Activity::Jobs { .. }) => {
                return match self.closing.end_jobs(&run).await {
                    Err(error) if error.name != ErrorName::JobEnding => Err(error),
                    _ => Ok(()),
                };
            }
            Condition::Active(_) => return Ok(()),
            Condition::Stopped(cause) => {
                tracing::warn!(run = %id, %cause, "a stopped run is ended");
                let run = match self.closing.end_stopped(&run, cause).await {
                    Err(error) if error.name == ErrorName::JobEnding => return Ok(()),
                    ended => ended?,
                };
                output.ended.push(id.clone());
                run
            }
            Condition::Ended if held || !run.is_recorded() => {
                // Also announces the end: whoever ended the run may have stopped before that.
                let run = self.closing.end(id, None).await?;
                if held {
                    output.released.push(id.clone());
                }
                run
            }
            Condition::Ended => run,
        };
        if !run.is_recorded() {
            self.audit.record(run).await?;
            output.audited.push(id.clone());
        }
        Ok(())
    }
}
