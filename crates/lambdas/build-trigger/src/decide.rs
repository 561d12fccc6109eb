//! The action `decide`: looks for an image that was built from the same context, and for a test of the
//! same source.
//!
//! Decides whether the commit's source has to be tested and its image built.
//!
//! Undo: none, because an image that is not deployed has no effect.
//!
//! Running it twice is safe. A run that has an image keeps it, and otherwise the call returns the
//! same build.
//!
//! Fails with `NotEnrolled` if the repository is not enrolled any more.

use crate::BuildTrigger;
use crate::inputs::Inputs;
use domain::run::ArtifactOrigin;
use domain::step::{DecideBuild, DecideBuildOutput};
use engine::Result;
use engine::documents::{load, load_run, passed_test_key, update_run};
use engine::status::Transition;

impl BuildTrigger {
    /// Looks for the image of the context. Returns the test of the source unless it passed before,
    /// and else the build of an image that is missing.
    pub(crate) async fn decide(&self, input: DecideBuild) -> Result<DecideBuildOutput> {
        let run = load_run(&*self.table, &input.run).await?;
        if run.config()?.build.is_none() || self.has_image(&run).await {
            return Ok(DecideBuildOutput::NoBuild);
        }
        let inputs = Inputs::of(self, &run).await?;
        let output = if self.is_tested(&inputs).await? {
            if let Some(digest) = self.registry.find(inputs.image(), &inputs.tag).await? {
                self.ready(run.id(), digest, ArtifactOrigin::Reused).await?;
                return Ok(DecideBuildOutput::NoBuild);
            }
            DecideBuildOutput::Image(inputs.image_order())
        } else {
            DecideBuildOutput::Test(inputs.test_order())
        };
        let now = self.clock.now();
        let run = update_run(&*self.table, run.id(), |run| {
            run.build_started(now)?;
            Ok(run.clone())
        })
        .await?;
        self.announcer
            .announce(&run, Transition::BuildStarted)
            .await;
        Ok(output)
    }

    async fn is_tested(&self, inputs: &Inputs<'_>) -> Result<bool> {
        let key = passed_test_key(inputs.test.repository(), inputs.test.inputs());
        let passed = load::<domain::build::PassedTest>(&*self.table, &key).await?;
        Ok(passed.is_some())
    }
}
