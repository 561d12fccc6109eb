#![doc = include_str!("../README.md")]

mod error;
mod finish;
mod start;

pub use error::Error;

use async_trait::async_trait;
use domain::step::{ApplyInput, ApplyOutput};
use engine::announce::Announcer;
use engine::jobs::StateBucket;
use engine::{BatchJobs, Clock, Enrolments, Objects, Result, Step, Table};
use std::sync::Arc;

/// The `apply` Lambda.
pub struct Apply {
    /// The DynamoDB table of runs and environments.
    pub table: Arc<dyn Table>,
    /// The artifacts bucket.
    pub objects: Arc<dyn Objects>,
    /// Finds and ends Batch jobs that the state machine does not know of.
    pub batch: Arc<dyn BatchJobs>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The bucket of the delivered stacks' Terraform states.
    pub states: StateBucket,
    /// The enrolled repositories.
    pub enrolments: Arc<dyn Enrolments>,
}

#[async_trait]
impl Step for Apply {
    type Input = ApplyInput;
    type Output = ApplyOutput;

    async fn run(&self, input: ApplyInput) -> Result<ApplyOutput> {
        match input {
            ApplyInput::Start(input) => self.start(input).await.map(ApplyOutput::Start),
            ApplyInput::Finish(input) => self.finish(input).await.map(ApplyOutput::Finish),
        }
    }
}

#[cfg(test)]
mod tests;
