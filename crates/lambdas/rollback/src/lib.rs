#![doc = include_str!("../README.md")]

use async_trait::async_trait;
use domain::environment::Environment;
use domain::error::StepError;
use domain::ids::RunId;
use domain::run::{Rollback as Came, Run, Turn};
use domain::step::{RollbackInput, RollbackOutput};
use engine::announce::Announcer;
use engine::documents::{environment_key, load, load_run, update_environment, update_run};
use engine::status::Transition;
use engine::{Clock, Records, Result, Step};
use jiff::Timestamp;
use std::sync::Arc;

/// The step.
#[derive(Clone)]
pub struct Rollback {
    /// The table.
    pub records: Arc<dyn Records>,
    /// Says what happened.
    pub announcer: Announcer,
    /// The time.
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
    async fn decide(&self, id: &RunId, error: StepError, entered_at: Timestamp) -> Result<Turn> {
        let run = load_run(&*self.records, id).await?;
        let last_good = self.environment(&run).await?.and_then(|e| e.last_good);
        let now = self.clock.now();
        let (run, turn) = update_run(&*self.records, id, |run| {
            let turn = run.turn_once(entered_at, error.clone(), last_good.as_ref(), now);
            Ok((run.clone(), turn))
        })
        .await?;
        if let (Some(Came::Failed { error }), Some(config)) = (&run.rollback, &run.config) {
            let repository = run.trigger.repository_id;
            update_environment(&*self.records, repository, &config.environment, |e| {
                // Only the owner freezes: a late call does not undo what a person mended, nor stop
                // the run that has the environment now.
                if e.is_owned_by(id) {
                    e.freeze_after(id, error, now);
                }
                Ok(())
            })
            .await?;
        }
        if turn == Turn::Restore {
            self.announcer
                .announce(&run, Transition::RollbackStarted)
                .await;
        }
        Ok(turn)
    }

    /// The run's environment; none before its configuration was read.
    async fn environment(&self, run: &Run) -> Result<Option<Environment>> {
        match &run.config {
            Some(config) => {
                let key = environment_key(run.trigger.repository_id, &config.environment);
                load(&*self.records, &key).await
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
