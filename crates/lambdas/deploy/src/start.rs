//! Starts a rollout.

use crate::Deploy;
use crate::targets::Prepared;
use domain::ids::RunId;
use domain::release::{Release, ReleasePlan};
use domain::rollout::Rollout;
use domain::run::Run;
use domain::step::DeployVerdict;
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::environments::{self, Owned};
use engine::status::Transition;
use jiff::SignedDuration;

impl Deploy {
    /// Starts rolling out the artifact of the leg that the run is on.
    ///
    /// What the target is to run is written into the run before the target gets it: a repeated
    /// start prepares nothing again, and a start that dies leaves no rollout that the run does not
    /// know.
    pub(crate) async fn start(&self, run: &RunId) -> Result<DeployVerdict> {
        let run = load_run(&*self.records, run).await?;
        let Some(plan) = run.release_plan()? else {
            return Ok(DeployVerdict::None);
        };
        let owned = environments::owned(&*self.records, &run).await?;
        self.roll_out(&run, &owned, &plan).await
    }

    /// Writes the rollout into the run, and has the target run it.
    async fn roll_out(
        &self,
        run: &Run,
        owned: &Owned,
        plan: &ReleasePlan<'_>,
    ) -> Result<DeployVerdict> {
        let rollout = match run.rollout() {
            Some(known) => known.clone(),
            None => {
                let good = owned.environment().last_good();
                let prepared = self.prepare_target(run, good, plan).await?;
                self.keep(run, plan, prepared).await?
            }
        };
        if rollout.healthy_at.is_some() {
            return Ok(DeployVerdict::Healthy);
        }
        self.start_target(&rollout.release.target, plan.config)
            .await?;
        let transition = Transition::DeployStarted(run.leg().kind());
        self.announcer.announce(run, transition).await;
        Ok(DeployVerdict::InProgress)
    }

    /// Writes the rollout into the run, and gives the one that counts.
    async fn keep(&self, run: &Run, plan: &ReleasePlan<'_>, prepared: Prepared) -> Result<Rollout> {
        let now = self.clock.now();
        let timeout = SignedDuration::from_secs(plan.config.health().timeout_seconds.into());
        let rollout = Rollout {
            release: Release {
                service: plan.config.service(),
                artifact: plan.artifact.clone(),
                target: prepared.target,
            },
            commit: plan.commit.clone(),
            url: prepared.url,
            since: now,
            deadline: now.saturating_add(timeout).unwrap_or(now),
            healthy_at: None,
        };
        let leg = run.leg().kind();
        update_run(&*self.records, run.id(), |run| {
            Ok(run.rollout_started(leg, rollout.clone())?)
        })
        .await
    }
}
