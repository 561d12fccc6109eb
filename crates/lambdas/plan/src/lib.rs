#![doc = include_str!("../README.md")]

mod acquire;
mod judge;
mod next;

use async_trait::async_trait;
use domain::event::EnrolledRepository;
use domain::ids::{EnvironmentName, RunId};
use domain::run::Run;
use domain::step::PlanInput;
use engine::announce::Announcer;
use engine::jobs::StateBucket;
use engine::{BatchJobs, Clock, Objects, Result, Step, Table, Tokens, documents};
use serde::Serialize;
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
    /// The enrolled repositories.
    pub repositories: Arc<[EnrolledRepository]>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The bucket of the delivered stacks' Terraform states.
    pub states: StateBucket,
}

/// The output of an action. It is empty when a task token returns the answer later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PlanOutput {
    /// Of `acquire` and `request-approval`.
    Later {},
    /// Of `next`.
    Next(domain::step::NextOutput),
    /// Of `judge`.
    Judge(domain::step::JudgeOutput),
}

#[async_trait]
impl Step for Plan {
    type Input = PlanInput;
    type Output = PlanOutput;

    async fn run(&self, input: PlanInput) -> Result<PlanOutput> {
        match input {
            PlanInput::Acquire { run, token } => {
                self.acquire(&run, &token).await?;
                Ok(PlanOutput::Later {})
            }
            PlanInput::Next { run, failures } => Box::pin(self.next(&run, &failures))
                .await
                .map(PlanOutput::Next),
            PlanInput::Judge {
                run,
                stack,
                job,
                error,
            } => self
                .judge(&run, &stack, &job, error)
                .await
                .map(PlanOutput::Judge),
            PlanInput::RequestApproval { run, stack, token } => {
                self.request_approval(&run, &stack, token).await?;
                Ok(PlanOutput::Later {})
            }
        }
    }
}

impl Plan {
    async fn load(&self, run: &RunId) -> Result<(Run, EnvironmentName)> {
        let run = documents::load_run(&*self.table, run).await?;
        let environment = run.config()?.environment.clone();
        Ok((run, environment))
    }
}

#[cfg(test)]
mod tests;
