#![doc = include_str!("../README.md")]

mod error;
mod start;

pub use error::Error;

use async_trait::async_trait;
use domain::event::Trigger;
use domain::step::StartOutput;
use engine::{Executions, Result, Step};
use std::sync::Arc;

/// The `start` Lambda.
#[derive(Clone)]
pub struct Start {
    /// Starts executions.
    pub executions: Arc<dyn Executions>,
}

#[async_trait]
impl Step for Start {
    type Input = Trigger;
    type Output = StartOutput;

    async fn run(&self, event: Trigger) -> Result<StartOutput> {
        self.start(event).await
    }
}

#[cfg(test)]
mod tests;
