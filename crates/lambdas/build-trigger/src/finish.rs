//! The action `finish`: records the image that the build pushed.
//!
//! Decides whether the build succeeded, and which image it made.
//!
//! Undo: none, because an image that is not deployed has no effect.
//!
//! Running it twice is safe. A run keeps the first image that it records, and a failed build is
//! recorded once.
//!
//! Fails with `BuildFailed` if the tests or the build failed, and with `ImageMissing` if the registry
//! has no image of the commit.

use crate::{BuildTrigger, Error};
use domain::keys;
use domain::run::ArtifactOrigin;
use domain::step::{FinishBuild, NoOutput};
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::status::Transition;

impl BuildTrigger {
    /// Records the image that the build pushed.
    pub(crate) async fn finish(&self, input: FinishBuild) -> Result<NoOutput> {
        let run = load_run(&*self.table, &input.run).await?;
        if self.has_image(&run).await {
            return Ok(NoOutput {});
        }
        if let Some(error) = input.error {
            let run = update_run(&*self.table, run.id(), |run| {
                run.build_failed(self.clock.now())?;
                Ok(run.clone())
            })
            .await?;
            self.announcer.announce(&run, Transition::BuildFailed).await;
            return Err(Error::BuildFailed {
                commit: run.trigger().commit().clone(),
                cause: error.to_step_error().message,
            }
            .into());
        }
        let image = self.image(&run)?;
        let tag = keys::commit_tag(run.trigger().commit());
        let Some(digest) = self.registry.find(image, &tag).await? else {
            let image = image.to_owned();
            return Err(Error::ImageMissing { image, tag }.into());
        };
        self.ready(run.id(), digest, ArtifactOrigin::Built).await?;
        Ok(NoOutput {})
    }
}
