#![doc = include_str!("../README.md")]

mod decide;

use async_trait::async_trait;
use domain::step::{DecideRollbackOutput, RollbackInput};
use engine::announce::Announcer;
use engine::{Clock, Result, Step, Table};
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
    type Output = DecideRollbackOutput;

    async fn run(&self, input: RollbackInput) -> Result<DecideRollbackOutput> {
        match input {
            RollbackInput::Decide(input) => self.decide(input).await,
        }
    }
}

#[cfg(test)]
mod tests;
