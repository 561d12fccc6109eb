#![doc = include_str!("../README.md")]

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
use engine::{Clock, Records, Registry, Result, Step};
use std::sync::Arc;

/// The step `build-trigger`: whether an image has to be built, and which one it became.
pub struct BuildTrigger {
    /// Runs.
    pub records: Arc<dyn Records>,
    /// The image registry.
    pub registry: Arc<dyn Registry>,
    /// Who is told what happened.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub repositories: Arc<[EnrolledRepository]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The artifacts bucket's name.
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
    /// Looks for an image that was made from the same files; else names the build's parameters.
    async fn decide(&self, run: &RunId) -> Result<BuildTriggerOutput> {
        let run = load_run(&*self.records, run).await?;
        let Some(build) = &run.config()?.build else {
            return Ok(BuildTriggerOutput::None);
        };
        if run.artifact().is_some() {
            // Asked again: nobody knows whether the first answer came so far.
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
        let run = update_run(&*self.records, run.id(), |run| {
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

    /// The image of this commit, or of another one with the same files. A build that was stopped
    /// between its two tags left one of them. Two builds of the same files at once made two images:
    /// the commit's own one counts.
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
        // Tags do not move: a build that ended meanwhile may have set this one.
        match self.registry.find(image, missing).await? {
            Some(taken) if missing == commit_tag => Ok(Some(taken)),
            Some(_) => Ok(Some(digest)),
            None => Err(error),
        }
    }

    /// Finds the image that the build pushed, or says why there is none.
    async fn finish(&self, run: &RunId, error: Option<CaughtError>) -> Result<BuildTriggerOutput> {
        let run = load_run(&*self.records, run).await?;
        if run.artifact().is_some() {
            // Asked again: nobody knows whether the first answer came so far.
            self.announcer.announce(&run, Transition::ImageReady).await;
            return Ok(BuildTriggerOutput::Ready);
        }
        if let Some(error) = error {
            let run = update_run(&*self.records, run.id(), |run| {
                run.build_failed(self.clock.now())?;
                Ok(run.clone())
            })
            .await?;
            self.announcer.announce(&run, Transition::BuildFailed).await;
            let said = error.to_step_error().message;
            return Err(StepError::new(
                ErrorName::BuildFailed,
                format!(
                    "the tests or the build of commit {} failed: {said}",
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
        let run = update_run(&*self.records, run, |run| {
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
