//! The action `start`: starts the rollout of the current leg.
//!
//! Decides which release the target runs, or that the commit releases nothing.
//!
//! Undo: the state `Rollback`. Its leg deploys the previous image.
//!
//! Running it twice is safe. A repeated call uses the rollout that the run's item holds, and does
//! not change a target that runs it already.
//!
//! Fails with `LockLost` without the environment, with `NotEnrolled` if it is not enrolled any more, and with
//! `DeployFailed` if the stack's outputs do not name a service and roles that the enrolment allows.

use crate::Deploy;
use crate::targets::Prepared;
use domain::release::{Release, ReleasePlan};
use domain::rollout::Rollout;
use domain::run::Run;
use domain::step::{StartDeploy, StartDeployOutput, StartDeployVerdict};
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::environments::{self, Owned};
use engine::status::Transition;
use jiff::SignedDuration;

impl Deploy {
    /// Starts the rollout of the artifact of the run's current leg.
    ///
    /// The release is recorded in the run before the target runs it. So a repeated call prepares
    /// nothing again, and every rollout is known to its run.
    pub(crate) async fn start(&self, input: StartDeploy) -> Result<StartDeployOutput> {
        let verdict = self.start_release(&input).await;
        let verdict = self.or_failed(&input.run, verdict).await?;
        Ok(StartDeployOutput { verdict })
    }

    async fn start_release(&self, input: &StartDeploy) -> Result<StartDeployVerdict> {
        let run = load_run(&*self.table, &input.run).await?;
        let Some(plan) = run.release_plan()? else {
            return Ok(StartDeployVerdict::None);
        };
        let owned = environments::owned(&*self.table, &run).await?;
        self.roll_out(&run, &owned, &plan).await
    }

    /// Records the rollout in the run, and makes the target run it.
    async fn roll_out(
        &self,
        run: &Run,
        owned: &Owned,
        plan: &ReleasePlan<'_>,
    ) -> Result<StartDeployVerdict> {
        let reach = self.reach(run).await?;
        let rollout = match run.rollout() {
            Some(known) => known.clone(),
            None => {
                let good = owned.environment().last_good();
                let prepared = self.prepare_target(&reach, run, good, plan).await?;
                self.keep(run, plan, prepared).await?
            }
        };
        if rollout.healthy_at.is_some() {
            return Ok(StartDeployVerdict::Started);
        }
        self.start_target(&reach, &rollout.release.target, plan)
            .await?;
        let transition = Transition::DeployStarted(run.leg().kind());
        self.announcer.announce(run, transition).await;
        Ok(StartDeployVerdict::Started)
    }

    /// Records the rollout in the run. Returns the one that the run holds, which an earlier call
    /// may have recorded.
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
        update_run(&*self.table, run.id(), |run| {
            Ok(run.rollout_started(leg, rollout.clone())?)
        })
        .await
    }
}
