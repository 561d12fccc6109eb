//! Validates a stack that is planned after others were applied.

use domain::error::ErrorName;
use domain::job::JobOutcome;

use super::Prepared;
use super::commands::Commands;
use crate::outcome::Stop;

impl Prepared<'_> {
    /// Runs `validate`. Seals the dependencies that `init` resolved, for the plan.
    pub(super) async fn validate(&self, commands: &Commands<'_>) -> Result<JobOutcome, Stop> {
        let packed = self.pack_dependencies()?;
        self.step("validate");
        let validated = commands.terraform().await?.validate().await;
        commands.explain(validated.as_ref().err()).await;
        validated.map_err(|error| Stop::of(&error, ErrorName::PlanFailed))?;
        let dependencies = match packed {
            Some(packed) => Some(self.seal_dependencies(packed).await?),
            None => None,
        };
        Ok(JobOutcome::Validated { dependencies })
    }
}
