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
use engine::{BatchJobs, Clock, Objects, Records, Result, Step, Tokens, documents};
use serde::Serialize;
use std::sync::Arc;

/// The step `plan`: from the lock to the plans' verdicts.
pub struct Plan {
    /// Runs and environments.
    pub records: Arc<dyn Records>,
    /// The artifacts bucket.
    pub objects: Arc<dyn Objects>,
    /// The jobs that the state machine may have lost sight of.
    pub batch: Arc<dyn BatchJobs>,
    /// The runs that wait.
    pub tokens: Arc<dyn Tokens>,
    /// Who is told what happened.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub repositories: Arc<[EnrolledRepository]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The bucket of the delivered stacks' states.
    pub states: StateBucket,
}

/// What `plan` answers: nothing where a task token brings the answer later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PlanOutput {
    /// To `acquire` and `request-approval`.
    Later {},
    /// To `next`.
    Next(domain::step::NextOutput),
    /// To `judge`.
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
        let run = documents::load_run(&*self.records, run).await?;
        let environment = run.config()?.environment.clone();
        Ok((run, environment))
    }
}

#[cfg(test)]
mod tests;
