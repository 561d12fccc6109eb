#![doc = include_str!("../README.md")]

mod decide;
mod error;
mod finish;
mod finish_test;
mod inputs;

pub use error::Error;

use async_trait::async_trait;
use domain::build::BuildSettings;
use domain::enrolment::EnrolledRepository;
use domain::ids::{ImageDigest, RunId};
use domain::release::Artifact;
use domain::run::{ArtifactOrigin, Run};
use domain::step::{BuildTriggerInput, BuildTriggerOutput};
use engine::announce::Announcer;
use engine::documents::update_run;
use engine::enrolment::enrolled;
use engine::status::Transition;
use engine::{BuildLogs, Clock, Enrolments, Registry, Result, Step, Table};
use std::sync::Arc;

/// The `build-trigger` Lambda.
pub struct BuildTrigger {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// The image registry.
    pub registry: Arc<dyn Registry>,
    /// The logs of builds.
    pub build_logs: Arc<dyn BuildLogs>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub enrolments: Arc<dyn Enrolments>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How this installation builds.
    pub settings: BuildSettings,
    /// The name of the artifacts bucket, which holds the sealed archive.
    pub bucket: String,
}

#[async_trait]
impl Step for BuildTrigger {
    type Input = BuildTriggerInput;
    type Output = BuildTriggerOutput;

    async fn run(&self, input: BuildTriggerInput) -> Result<BuildTriggerOutput> {
        match input {
            BuildTriggerInput::Decide(input) => {
                self.decide(input).await.map(BuildTriggerOutput::Decide)
            }
            BuildTriggerInput::FinishTest(input) => self
                .finish_test(input)
                .await
                .map(BuildTriggerOutput::FinishTest),
            BuildTriggerInput::Finish(input) => {
                self.finish(input).await.map(BuildTriggerOutput::Finish)
            }
        }
    }
}

impl BuildTrigger {
    /// Returns whether the run has its image. Announces the image again: an earlier call may have
    /// stopped before its announcement.
    async fn has_image(&self, run: &Run) -> bool {
        if run.artifact().is_none() {
            return false;
        }
        self.announcer.announce(run, Transition::ImageReady).await;
        true
    }

    /// Records the run's image.
    async fn ready(&self, run: &RunId, digest: ImageDigest, origin: ArtifactOrigin) -> Result<()> {
        let run = update_run(&*self.table, run, |run| {
            let artifact = Artifact::Image {
                digest: digest.clone(),
            };
            run.artifact_ready(artifact, origin, self.clock.now())?;
            Ok(run.clone())
        })
        .await?;
        self.announcer.announce(&run, Transition::ImageReady).await;
        Ok(())
    }

    /// Returns the enrolment of the run's repository.
    async fn repository(&self, run: &Run) -> Result<EnrolledRepository> {
        enrolled(&*self.enrolments, run.trigger()).await
    }
}

#[cfg(test)]
mod tests;
