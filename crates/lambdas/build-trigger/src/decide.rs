//! The action `decide`: looks for an image that was built from the same files.
//!
//! Decides whether an image has to be built for the commit.
//!
//! Undo: none, because an image that is not deployed has no effect.
//!
//! Running it twice is safe. A run that has an image keeps it, and otherwise the call returns the
//! same parameters.
//!
//! Fails with `NotEnrolled` if the repository is not enrolled any more.

use crate::BuildTrigger;
use domain::ids::ImageDigest;
use domain::keys;
use domain::run::ArtifactOrigin;
use domain::step::{BuildVariable, DecideBuild, DecideBuildOutput, build_variable};
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::status::Transition;

impl BuildTrigger {
    /// Looks for an image that was built from the same files. Without one, returns the parameters
    /// of the build.
    pub(crate) async fn decide(&self, input: DecideBuild) -> Result<DecideBuildOutput> {
        let run = load_run(&*self.table, &input.run).await?;
        let Some(build) = &run.config()?.build else {
            return Ok(DecideBuildOutput::NoBuild);
        };
        if self.has_image(&run).await {
            return Ok(DecideBuildOutput::NoBuild);
        }
        let image = self.image(&run).await?;
        let image = image.as_str();
        let commit_tag = keys::commit_tag(run.trigger().commit());
        let tree_tag = keys::tree_tag(run.build_tree()?, &build.dockerfile, &build.test);
        if let Some(digest) = self.made_before(image, &commit_tag, &tree_tag).await? {
            self.ready(run.id(), digest, ArtifactOrigin::Reused).await?;
            return Ok(DecideBuildOutput::NoBuild);
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
        Ok(DecideBuildOutput::Build {
            source: format!("{}/{}", self.bucket, source.key),
            environment: variables
                .map(|(name, value)| variable(name, value))
                .to_vec(),
        })
    }

    /// Returns the image of this commit, or of another commit with the same files. A build that was
    /// stopped between its two tags leaves only the commit's, and the other is added. An image that
    /// another commit built gets no tag of this commit: ECR accepts 1,000 tags for one image. If two
    /// builds of the same files ran at once and made two images, the commit's own image is used.
    async fn made_before(
        &self,
        image: &str,
        commit_tag: &str,
        tree_tag: &str,
    ) -> Result<Option<ImageDigest>> {
        let own = self.registry.find(image, commit_tag).await?;
        let same = self.registry.find(image, tree_tag).await?;
        let own = match (own, same) {
            (Some(own), None) => own,
            (Some(own), Some(_)) => return Ok(Some(own)),
            (None, same) => return Ok(same),
        };
        let Err(error) = self.registry.tag(image, &own, tree_tag).await else {
            return Ok(Some(own));
        };
        // Tags are immutable. A build that ended in the meantime may have set this one.
        match self.registry.find(image, tree_tag).await? {
            Some(_) => Ok(Some(own)),
            None => Err(error),
        }
    }
}

fn variable(name: &str, value: &str) -> BuildVariable {
    BuildVariable {
        name: name.into(),
        value: value.into(),
        kind: "PLAINTEXT".into(),
    }
}
