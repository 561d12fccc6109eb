#![doc = include_str!("../README.md")]

mod acquire;
mod error;
mod judge;
mod next;
mod plan_json;
mod request_approval;

pub use error::Error;

use async_trait::async_trait;
use domain::step::{PlanInput, PlanOutput};
use engine::announce::Announcer;
use engine::jobs::StateBucket;
use engine::{BatchJobs, Clock, Enrolments, Objects, Result, Step, Table, Tokens};
use std::sync::Arc;

/// The `plan` Lambda.
pub struct Plan {
    /// The DynamoDB table of runs and environments.
    pub table: Arc<dyn Table>,
    /// The artifacts bucket.
    pub objects: Arc<dyn Objects>,
    /// Finds and ends Batch jobs that the state machine does not know of.
    pub batch: Arc<dyn BatchJobs>,
    /// Completes task tokens.
    pub tokens: Arc<dyn Tokens>,
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
impl Step for Plan {
    type Input = PlanInput;
    type Output = PlanOutput;

    async fn run(&self, input: PlanInput) -> Result<PlanOutput> {
        match input {
            PlanInput::Acquire(input) => self.acquire(input).await.map(PlanOutput::Token),
            PlanInput::Next(input) => Box::pin(self.next(input)).await.map(PlanOutput::Next),
            PlanInput::Judge(input) => self.judge(input).await.map(PlanOutput::Judge),
            PlanInput::RequestApproval(input) => {
                self.request_approval(input).await.map(PlanOutput::Token)
            }
        }
    }
}

#[cfg(test)]
mod tests;
