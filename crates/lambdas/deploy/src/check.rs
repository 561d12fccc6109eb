//! Looks at a rollout.

use crate::Deploy;
use domain::config;
use domain::error::{ErrorClass, ErrorName, StepError};
use domain::ids::RunId;
use domain::keys;
use domain::rollout::RolloutStage;
use domain::run::{Rollout, Run};
use domain::step::DeployVerdict;
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::status::Transition;
use std::time::Duration;

/// How long one answer of the application may take.
const ANSWER: Duration = Duration::from_secs(5);

impl Deploy {
    /// Says how far the rollout of the way is that the run goes.
    pub(crate) async fn check(&self, run: &RunId) -> Result<DeployVerdict> {
        let run = load_run(&*self.records, run).await?;
        let (Some(rollout), Some(plan)) = (run.rollout(), run.rollout_plan()?) else {
            return Err(StepError::new(
                ErrorName::ContractViolation,
                format!("run {} has no rollout to look at", run.id),
            ));
        };
        if rollout.healthy_at.is_some() {
            return Ok(DeployVerdict::Healthy);
        }
        let service = self
            .services
            .describe(&rollout.cluster, &rollout.service)
            .await?;
        let stage = rollout.judge(&service, self.clock.now())?;
        if stage == RolloutStage::Rolling {
            return Ok(DeployVerdict::InProgress);
        }
        if let Err(why) = self.ask(rollout, plan.config).await {
            rollout.unanswered(&why, self.clock.now())?;
            tracing::info!(run = %run.id, mode = ?run.mode, %why, "not healthy yet");
            return Ok(DeployVerdict::InProgress);
        }
        if let Err(error) = self.keep_image(&run, rollout).await {
            if error.name.class() == ErrorClass::Transient {
                return Err(error);
            }
            // The new version answers: a tag that cannot be set is no reason to take it back.
            tracing::error!(run = %run.id, %error, "the deployed image may expire");
        }
        let (mode, now) = (run.mode, self.clock.now());
        let run = update_run(&*self.records, &run.id, |run| {
            if run.mode == mode
                && let Some(rollout) = run.rollout_mut()
            {
                rollout.healthy_at.get_or_insert(now);
            }
            Ok(run.clone())
        })
        .await?;
        self.announcer
            .announce(&run, Transition::DeployHealthy(mode))
            .await;
        Ok(DeployVerdict::Healthy)
    }

    /// Tags the image, so that the registry's life cycle spares it. Before the run says healthy: a
    /// repeated check does what a lost answer left undone.
    async fn keep_image(&self, run: &Run, rollout: &Rollout) -> Result<()> {
        let tag = keys::deployed_tag(&rollout.commit);
        let image = self.image(run)?;
        self.registry.tag(image, &rollout.image, &tag).await
    }

    /// Asks the application whether it is healthy, and whether it is this commit.
    async fn ask(
        &self,
        rollout: &Rollout,
        config: &config::Deploy,
    ) -> std::result::Result<(), String> {
        let path = &config.health_path;
        let answer = self.probe.get(&rollout.address(path), ANSWER).await;
        Rollout::check_health(path, &answer)?;
        if let Some(path) = &config.version_path {
            let answer = self.probe.get(&rollout.address(path), ANSWER).await;
            rollout.check_version(path, &answer)?;
        }
        Ok(())
    }
}
