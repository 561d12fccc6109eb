#![doc = include_str!("../README.md")]
//!
//! ## Action `decide`
//!
//! Decides whether an error leads to a rollback, or only to the end of the run.
//!
//! Undo: none, because a rollback is not rolled back.
//!
//! Running it twice is safe. A decision is stored with the time at which the state machine entered
//! the state, and a repeated call returns the stored one.

use async_trait::async_trait;
use domain::error::StepError;
use domain::ids::RunId;
use domain::run::{ErrorDecision, RollbackOutcome, RunError};
use domain::step::{RollbackInput, RollbackOutput};
use engine::announce::Announcer;
use engine::documents::{load_run, update_run};
use engine::environments;
use engine::status::Transition;
use engine::{Clock, Result, Step, Table};
use jiff::Timestamp;
use std::sync::Arc;

/// The `rollback` Lambda.
#[derive(Clone)]
pub struct Rollback {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Step for Rollback {
    type Input = RollbackInput;
    type Output = RollbackOutput;

    async fn run(&self, input: RollbackInput) -> Result<RollbackOutput> {
        let RollbackInput::Decide {
            run,
            error,
            entered_at,
        } = input;
        let verdict = self.decide(&run, error.to_step_error(), entered_at).await?;
        Ok(RollbackOutput { verdict })
    }
}

impl Rollback {
    async fn decide(
        &self,
        id: &RunId,
        error: StepError,
        entered_at: Timestamp,
    ) -> Result<ErrorDecision> {
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
                Err(RunError::Refused(error)) => return Err(error),
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
        Ok(decision)
    }
}

#[cfg(test)]
mod tests;
