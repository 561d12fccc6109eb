//! The action `decide`: decides what an error leads to.
//!
//! Decides whether an error leads to a rollback, or only to the end of the run.
//!
//! Undo: none, because a rollback is not rolled back.
//!
//! Running it twice is safe. A decision is stored with the time at which the state machine entered
//! the state, and a repeated call returns the stored one.
//!
//! Raises no error of its own.

use crate::Rollback;
use domain::run::{ErrorDecision, RollbackOutcome, RunError};
use domain::step::{DecideRollback, DecideRollbackOutput};
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::environments;
use engine::status::Transition;

impl Rollback {
    pub(crate) async fn decide(&self, input: DecideRollback) -> Result<DecideRollbackOutput> {
        let DecideRollback {
            run: id,
            error,
            entered_at,
        } = &input;
        let (error, entered_at) = (error.to_step_error(), *entered_at);
        let run = load_run(&*self.table, id).await?;
        let environment = environments::of_run(&*self.table, &run).await?;
        let last_good = environment.as_ref().and_then(|it| it.last_good());
        let now = self.clock.now();
        let (run, decision) = update_run(&*self.table, id, |run| {
            let decided = run.handle_error(entered_at, error.clone(), last_good, now);
            let decision = match decided {
                Ok(decision) => decision,
                // Its end is recorded already.
                Err(RunError::Ended { .. }) => ErrorDecision::Record,
                Err(error) => return Err(error.into()),
            };
            Ok((run.clone(), decision))
        })
        .await?;
        let failed = run.rollback_outcome() == Some(RollbackOutcome::RollbackFailed);
        if let (true, Some(error)) = (failed, run.rollback_error()) {
            environments::freeze(&*self.table, &run, error, now).await?;
        }
        if decision == ErrorDecision::RollBack {
            self.announcer
                .announce(&run, Transition::RollbackStarted)
                .await;
        }
        Ok(DecideRollbackOutput { verdict: decision })
    }
}
