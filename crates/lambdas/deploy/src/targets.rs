//! The deployment targets, one file each. A target receives the run, last good and the
//! configuration, and returns its state, which the other modules only pass on.

mod ecs;

use crate::{Deploy, Reach};
use domain::config;
use domain::environment::LastGood;
use domain::release::{ReleasePlan, TargetState};
use domain::rollout::{Rollout, RolloutStage};
use domain::run::Run;
use engine::Result;

/// A release that is ready to run on a target.
pub(crate) struct Prepared {
    /// The target's own reference to it.
    pub(crate) target: TargetState,
    /// The address of the service, without a path.
    pub(crate) url: String,
}

impl Deploy {
    /// Finds or creates what the target is to run. Does not change what the target runs.
    pub(crate) async fn prepare_target(
        &self,
        reach: &Reach,
        run: &Run,
        last_good: Option<&LastGood>,
        plan: &ReleasePlan<'_>,
    ) -> Result<Prepared> {
        match plan.config {
            config::Deploy::Ecs(config) => {
                self.prepare_ecs(reach, run, last_good, plan, config).await
            }
        }
    }

    /// Makes the target run what was prepared. Does not change a target that runs it already.
    pub(crate) async fn start_target(
        &self,
        reach: &Reach,
        target: &TargetState,
        plan: &ReleasePlan<'_>,
    ) -> Result<()> {
        match (target, plan.config) {
            (TargetState::Ecs(state), config::Deploy::Ecs(config)) => {
                ecs::start(reach, state, plan.stack(), config).await
            }
        }
    }

    /// Returns the stage that the rollout has reached. Fails if it failed or missed its deadline, and
    /// if the target runs another artifact than that of the release.
    pub(crate) async fn observe_target(
        &self,
        reach: &Reach,
        plan: &ReleasePlan<'_>,
        rollout: &Rollout,
    ) -> Result<RolloutStage> {
        match (&rollout.release.target, plan.config) {
            (TargetState::Ecs(state), config::Deploy::Ecs(config)) => {
                self.observe_ecs(reach, state, plan.stack(), rollout, config)
                    .await
            }
        }
    }
}
