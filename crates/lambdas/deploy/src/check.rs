//! The action `check`: observes the rollout of the current leg.
//!
//! Decides whether the rollout is healthy, in progress or has failed.
//!
//! Undo: the state `Rollback`. Its leg deploys the previous image.
//!
//! Running it twice is safe. A rollout that was healthy stays healthy, and setting the tag of the
//! image again has no effect.
//!
//! Fails with `DeployFailed` if the target gave up the rollout or runs another image, and with
//! `Unhealthy` if the application is not healthy before the deadline.

use crate::{Deploy, Error};
use domain::config::Health;
use domain::error::ErrorClass;
use domain::keys;
use domain::release::Artifact;
use domain::rollout::{Rollout, RolloutStage};
use domain::run::Run;
use domain::step::{CheckDeploy, CheckDeployOutput, CheckDeployVerdict};
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::status::Transition;
use std::time::Duration;

/// The time limit of one HTTP request to the application.
const ANSWER: Duration = Duration::from_secs(5);

impl Deploy {
    /// Returns the progress of the rollout on the run's current leg.
    pub(crate) async fn check(&self, input: CheckDeploy) -> Result<CheckDeployOutput> {
        let verdict = self.progress(&input).await;
        let verdict = self.or_failed(&input.run, verdict).await?;
        Ok(CheckDeployOutput { verdict })
    }

    async fn progress(&self, input: &CheckDeploy) -> Result<CheckDeployVerdict> {
        let run = load_run(&*self.table, &input.run).await?;
        let (Some(rollout), Some(plan)) = (run.rollout(), run.release_plan()?) else {
            let run = run.id().clone();
            return Err(Error::NoRollout { run }.into());
        };
        if rollout.healthy_at.is_some() {
            return Ok(CheckDeployVerdict::Healthy);
        }
        let reach = self.reach(&run).await?;
        if self.observe_target(&reach, &plan, rollout).await? == RolloutStage::Rolling {
            return Ok(CheckDeployVerdict::InProgress);
        }
        if let Err(why) = self.ask(rollout, plan.config.health()).await {
            rollout.unanswered(&why, self.clock.now())?;
            tracing::info!(run = %run.id(), leg = ?run.leg().kind(), %why, "not healthy yet");
            return Ok(CheckDeployVerdict::InProgress);
        }
        if let Err(error) = self.keep_artifact(&run, rollout).await {
            if error.name.class() == ErrorClass::Transient {
                return Err(error);
            }
            // The release is healthy. A tag that cannot be set does not justify a rollback.
            tracing::error!(run = %run.id(), %error, "the deployed image may expire");
        }
        let (leg, now) = (run.leg().kind(), self.clock.now());
        let run = update_run(&*self.table, run.id(), |run| {
            run.rollout_healthy(leg, now)?;
            Ok(run.clone())
        })
        .await?;
        self.announcer
            .announce(&run, Transition::DeployHealthy(leg))
            .await;
        Ok(CheckDeployVerdict::Healthy)
    }

    /// Tags the image, so that the lifecycle policy of the registry retains it. The tag is set
    /// before the run is healthy, so that a repeated check sets a tag that is missing.
    async fn keep_artifact(&self, run: &Run, rollout: &Rollout) -> Result<()> {
        match &rollout.release.artifact {
            Artifact::Image { digest } => {
                let tag = keys::deployed_tag(digest);
                let image = self.image(run).await?;
                self.registry.tag(&image, digest, &tag).await
            }
        }
    }

    /// Checks that the application is healthy and, where a version path is configured, that it runs
    /// this commit.
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
