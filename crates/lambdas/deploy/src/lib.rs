#![doc = include_str!("../README.md")]

mod check;
mod error;
mod outputs;
mod start;
mod targets;

pub use error::Error;

use async_trait::async_trait;
use domain::enrolment::EnrolledEnvironment;
use domain::error::{ErrorClass, StepError};
use domain::ids::RunId;
use domain::run::Run;
use domain::step::{DeployInput, DeployOutput};
use engine::announce::Announcer;
use engine::documents::load_run;
use engine::enrolment::{enrolled, enrolled_environment};
use engine::status::Transition;
use engine::{
    Clock, Enrolments, Objects, Probe, Registry, Result, Step, Table, TargetRoles, Targets,
};
use std::sync::Arc;

/// The `deploy` Lambda.
#[derive(Clone)]
pub struct Deploy {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// The artifacts bucket, which holds the outputs of the stacks.
    pub objects: Arc<dyn Objects>,
    /// Reaches the targets of an environment.
    pub target_roles: Arc<dyn TargetRoles>,
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

/// The targets that a run may reach.
pub(crate) struct Reach {
    pub(crate) environment: EnrolledEnvironment,
    pub(crate) targets: Targets,
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

    /// Returns what the run's environment may reach, with the rights of its deploy role.
    async fn reach(&self, run: &Run) -> Result<Reach> {
        let environment = enrolled_environment(&*self.enrolments, run).await?;
        let role = &environment.deploy_role;
        let targets = self.target_roles.assume(role, run.id()).await?;
        Ok(Reach {
            environment,
            targets,
        })
    }

    /// Returns the image repository of the run's repository: `registry/repository`.
    async fn image(&self, run: &Run) -> Result<String> {
        let repository = enrolled(&*self.enrolments, run.trigger()).await?;
        Ok(repository.image)
    }
}

#[cfg(test)]
mod tests;
