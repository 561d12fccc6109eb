#![doc = include_str!("../README.md")]

mod check;
mod error;
mod outputs;
mod start;
mod targets;

pub use error::Error;

use async_trait::async_trait;
use domain::error::{ErrorClass, StepError};
use domain::ids::RunId;
use domain::run::Run;
use domain::step::{DeployInput, DeployOutput};
use engine::announce::Announcer;
use engine::documents::load_run;
use engine::enrolment::enrolled;
use engine::status::Transition;
use engine::{Clock, Enrolments, Objects, Probe, Registry, Result, Step, Table, Targets};
use std::sync::Arc;

/// The `deploy` Lambda.
#[derive(Clone)]
pub struct Deploy {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// The artifacts bucket, which holds the outputs of the stacks.
    pub objects: Arc<dyn Objects>,
    /// The ports of the targets.
    pub targets: Targets,
    /// The image registry.
    pub registry: Arc<dyn Registry>,
    /// Sends HTTP requests to the delivered application.
    pub probe: Arc<dyn Probe>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub enrolments: Arc<dyn Enrolments>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Step for Deploy {
    type Input = DeployInput;
    type Output = DeployOutput;

    async fn run(&self, input: DeployInput) -> Result<DeployOutput> {
        match input {
            DeployInput::Start(input) => self.start(input).await.map(DeployOutput::Start),
            DeployInput::Check(input) => self.check(input).await.map(DeployOutput::Check),
        }
    }
}

impl Deploy {
    /// Announces that a rollout failed, unless the error is transient. Returns the verdict.
    async fn or_failed<T>(&self, id: &RunId, verdict: Result<T>) -> Result<T> {
        if let Err(error) = &verdict
            && error.name.class() != ErrorClass::Transient
        {
            self.announce_failed(id, error).await;
        }
        verdict
    }

    async fn announce_failed(&self, id: &RunId, error: &StepError) {
        // A failure to announce must not hide the error itself.
        if let Ok(run) = load_run(&*self.table, id).await
            && !run.is_ended()
        {
            let transition = Transition::DeployFailed(run.leg().kind(), error.clone());
            self.announcer.announce(&run, transition).await;
        }
    }

    /// Returns the image repository of the run's repository: `registry/repository`.
    async fn image(&self, run: &Run) -> Result<String> {
        let repository = enrolled(&*self.enrolments, run.trigger()).await?;
        Ok(repository.image)
    }
}

#[cfg(test)]
mod tests;
