//! The action `finish-test`: records the result of the test.
//!
//! Decides whether the test passed, and whether the image has to be built. A failed test does not hide
//! the errors of the plans: if they are being made, the run fails when they are, in `plan next`.
//!
//! Undo: none, because a test has no effect.
//!
//! Running it twice is safe. A test that passed is recorded once, a failed one too, and the call
//! looks for the image again.
//!
//! Fails with `BuildFailed` if the test failed, unless the run makes plans.

use crate::BuildTrigger;
use crate::inputs::Inputs;
use domain::run::ArtifactOrigin;
use domain::step::{FinishTest, FinishTestOutput};
use engine::Result;
use engine::documents::{insert, load_run};

impl BuildTrigger {
    /// Records the test. Returns the build of the image if it is missing.
    pub(crate) async fn finish_test(&self, input: FinishTest) -> Result<FinishTestOutput> {
        let run = load_run(&*self.table, &input.run).await?;
        if self.has_image(&run).await {
            return Ok(FinishTestOutput::Built);
        }
        if let Some(error) = input.error {
            self.failed(&run, &error).await?;
            return Ok(FinishTestOutput::Failed);
        }
        let inputs = Inputs::of(self, &run).await?;
        // Another run may have recorded it at the same time.
        insert(&*self.table, &inputs.test).await?;
        match self.registry.find(inputs.image(), &inputs.tag).await? {
            Some(digest) => {
                self.ready(run.id(), digest, ArtifactOrigin::Reused).await?;
                Ok(FinishTestOutput::Built)
            }
            None => Ok(FinishTestOutput::Image(inputs.image_order())),
        }
    }
}
