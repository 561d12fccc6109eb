//! Looks at a rollout.

use crate::Deploy;
use domain::config::Health;
use domain::error::{ErrorClass, ErrorName, StepError};
use domain::ids::RunId;
use domain::keys;
use domain::release::Artifact;
use domain::rollout::{Rollout, RolloutStage};
use domain::run::Run;
use domain::step::DeployVerdict;
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::status::Transition;
use std::time::Duration;

/// How long one answer of the application may take.
const ANSWER: Duration = Duration::from_secs(5);

impl Deploy {
    /// Returns the progress of the rollout of the leg that the run is on.
    pub(crate) async fn check(&self, run: &RunId) -> Result<DeployVerdict> {
        let run = load_run(&*self.records, run).await?;
        let (Some(rollout), Some(plan)) = (run.rollout(), run.release_plan()?) else {
            return Err(StepError::new(
                ErrorName::ContractViolation,
                format!("run {} has no rollout to look at", run.id()),
            ));
        };
        if rollout.healthy_at.is_some() {
            return Ok(DeployVerdict::Healthy);
        }
        if self.observe_target(rollout).await? == RolloutStage::Rolling {
            return Ok(DeployVerdict::InProgress);
        }
        if let Err(why) = self.ask(rollout, plan.config.health()).await {
            rollout.unanswered(&why, self.clock.now())?;
            tracing::info!(run = %run.id(), leg = ?run.leg().kind(), %why, "not healthy yet");
            return Ok(DeployVerdict::InProgress);
        }
        if let Err(error) = self.keep_artifact(&run, rollout).await {
            if error.name.class() == ErrorClass::Transient {
                return Err(error);
            }
            // The new version answers: a tag that cannot be set is no reason to take it back.
            tracing::error!(run = %run.id(), %error, "the deployed image may expire");
        }
        let (leg, now) = (run.leg().kind(), self.clock.now());
        let run = update_run(&*self.records, run.id(), |run| {
            run.rollout_healthy(leg, now)?;
            Ok(run.clone())
        })
        .await?;
        self.announcer
            .announce(&run, Transition::DeployHealthy(leg))
            .await;
        Ok(DeployVerdict::Healthy)
    }

    /// Tags the image, so that the registry's life cycle spares it. Before the run says healthy: a
    /// repeated check does what a lost answer left undone.
    async fn keep_artifact(&self, run: &Run, rollout: &Rollout) -> Result<()> {
        let tag = keys::deployed_tag(&rollout.commit);
        match &rollout.release.artifact {
            Artifact::Image { digest } => self.registry.tag(self.image(run)?, digest, &tag).await,
        }
    }

    /// Asks the application whether it is healthy, and whether it is this commit.
    async fn ask(&self, rollout: &Rollout, health: &Health) -> std::result::Result<(), String> {
        let path = &health.path;
        let answer = self.probe.get(&rollout.address(path), ANSWER).await;
        Rollout::check_health(path, &answer)?;
        if let Some(path) = &health.version_path {
            let answer = self.probe.get(&rollout.address(path), ANSWER).await;
            rollout.check_version(path, &answer)?;
        }
        Ok(())
    }
}
