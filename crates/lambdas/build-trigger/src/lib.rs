#![doc = include_str!("../README.md")]
//!
//! ## Action `decide`
//!
//! Decides whether an image has to be built for the commit.
//!
//! Undo: none, because an image that is not deployed has no effect.
//!
//! Running it twice is safe. A run that has an image keeps it, and otherwise the call returns the
//! same parameters.
//!
//! ## Action `finish`
//!
//! Decides whether the build succeeded, and which image it made.
//!
//! Undo: none, because an image that is not deployed has no effect.
//!
//! Running it twice is safe. A run keeps the first image that it records, and a failed build is
//! recorded once.

use async_trait::async_trait;
use domain::error::{ErrorName, StepError};
use domain::event::EnrolledRepository;
use domain::ids::{CommitId, ImageDigest, RunId};
use domain::keys;
use domain::release::Artifact;
use domain::run::{ArtifactOrigin, Run};
use domain::step::{
    BuildTriggerInput, BuildTriggerOutput, BuildVariable, CaughtError, build_variable,
};
use engine::announce::Announcer;
use engine::documents::{load_run, update_run};
use engine::status::Transition;
use engine::{Clock, Registry, Result, Step, Table};
use std::sync::Arc;

/// The `build-trigger` Lambda.
pub struct BuildTrigger {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// The image registry.
    pub registry: Arc<dyn Registry>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub repositories: Arc<[EnrolledRepository]>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The name of the artifacts bucket, which holds the sealed archive.
    pub bucket: String,
}

#[async_trait]
impl Step for BuildTrigger {
    type Input = BuildTriggerInput;
    type Output = BuildTriggerOutput;

    async fn run(&self, input: BuildTriggerInput) -> Result<BuildTriggerOutput> {
        match input {
            BuildTriggerInput::Decide { run } => self.decide(&run).await,
            BuildTriggerInput::Finish { run, error } => self.finish(&run, error).await,
        }
    }
}

impl BuildTrigger {
    /// Looks for an image that was built from the same files. Without one, returns the parameters
    /// of the build.
    async fn decide(&self, run: &RunId) -> Result<BuildTriggerOutput> {
        let run = load_run(&*self.table, run).await?;
        let Some(build) = &run.config()?.build else {
            return Ok(BuildTriggerOutput::None);
        };
        if run.artifact().is_some() {
            // A repeated call announces it again: the first one may have stopped before its
            // announcement.
            self.announcer.announce(&run, Transition::ImageReady).await;
            return Ok(BuildTriggerOutput::Ready);
        }
        let image = &self.repository(&run)?.image;
        let commit_tag = keys::commit_tag(run.trigger().commit());
        let tree_tag = keys::tree_tag(self.tree(&run)?, &build.dockerfile, &build.test);
        if let Some(digest) = self.made_before(image, &commit_tag, &tree_tag).await? {
            self.ready(run.id(), digest, ArtifactOrigin::Reused).await?;
            return Ok(BuildTriggerOutput::Ready);
        }
        let now = self.clock.now();
        let run = update_run(&*self.table, run.id(), |run| {
            run.build_started(now)?;
            Ok(run.clone())
        })
        .await?;
        self.announcer
            .announce(&run, Transition::BuildStarted)
            .await;
        let source = run.sealed_source()?;
        let context = if build.context.is_empty() {
            "."
        } else {
            &build.context
        };
        let variables = [
            (build_variable::RUN, run.id().as_str()),
            (build_variable::COMMIT, run.trigger().commit().as_str()),
            (build_variable::CONTEXT, context),
            (build_variable::DOCKERFILE, &build.dockerfile),
            (build_variable::TEST, &build.test),
            (build_variable::IMAGE, image),
            (build_variable::TAGS, &format!("{commit_tag} {tree_tag}")),
        ];
        Ok(BuildTriggerOutput::Build {
            source: format!("{}/{}", self.bucket, source.key),
            environment: variables
                .map(|(name, value)| variable(name, value))
                .to_vec(),
        })
    }

    /// Returns the image of this commit, or of another commit with the same files, and sets the
    /// missing tag. A build that was stopped between its two tags leaves only one. If two builds of
    /// the same files ran at once and made two images, the commit's own image is used.
    async fn made_before(
        &self,
        image: &str,
        commit_tag: &str,
        tree_tag: &str,
    ) -> Result<Option<ImageDigest>> {
        let own = self.registry.find(image, commit_tag).await?;
        let same = self.registry.find(image, tree_tag).await?;
        let (digest, missing) = match (own, same) {
            (Some(own), Some(_)) => return Ok(Some(own)),
            (Some(own), None) => (own, tree_tag),
            (None, Some(same)) => (same, commit_tag),
            (None, None) => return Ok(None),
        };
        let Err(error) = self.registry.tag(image, &digest, missing).await else {
            return Ok(Some(digest));
        };
        // Tags are immutable. A build that ended in the meantime may have set this one.
        match self.registry.find(image, missing).await? {
            Some(taken) if missing == commit_tag => Ok(Some(taken)),
            Some(_) => Ok(Some(digest)),
            None => Err(error),
        }
    }

    /// Records the image that the build pushed. Fails if the build failed or the image is missing.
    async fn finish(&self, run: &RunId, error: Option<CaughtError>) -> Result<BuildTriggerOutput> {
        let run = load_run(&*self.table, run).await?;
        if run.artifact().is_some() {
            // A repeated call announces it again: the first one may have stopped before its
            // announcement.
            self.announcer.announce(&run, Transition::ImageReady).await;
            return Ok(BuildTriggerOutput::Ready);
        }
        if let Some(error) = error {
            let run = update_run(&*self.table, run.id(), |run| {
                run.build_failed(self.clock.now())?;
                Ok(run.clone())
            })
            .await?;
            self.announcer.announce(&run, Transition::BuildFailed).await;
            let cause = error.to_step_error().message;
            return Err(StepError::new(
                ErrorName::BuildFailed,
                format!(
                    "the tests or the build of commit {} failed: {cause}",
                    run.trigger().commit()
                ),
            ));
        }
        let image = &self.repository(&run)?.image;
        let tag = keys::commit_tag(run.trigger().commit());
        let Some(digest) = self.registry.find(image, &tag).await? else {
            return Err(StepError::new(
                ErrorName::ImageMissing,
                format!("the build succeeded, but {image} has no image with tag {tag}"),
            ));
        };
        self.ready(run.id(), digest, ArtifactOrigin::Built).await?;
        Ok(BuildTriggerOutput::Ready)
    }

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

    fn repository(&self, run: &Run) -> Result<&EnrolledRepository> {
        EnrolledRepository::of(&self.repositories, run.trigger())
    }

    fn tree<'run>(&self, run: &'run Run) -> Result<&'run CommitId> {
        run.build_tree()
    }
}

fn variable(name: &str, value: &str) -> BuildVariable {
    BuildVariable {
        name: name.into(),
        value: value.into(),
        kind: "PLAINTEXT".into(),
    }
}

#[cfg(test)]
mod tests;
