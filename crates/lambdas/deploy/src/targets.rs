//! The targets of a deployment, one file each. What a target needs of the run, of *last good* and of
//! the configuration comes in here; what comes out is its state, which the rest passes along.

mod ecs;

use crate::Deploy;
use domain::config;
use domain::environment::LastGood;
use domain::release::{ReleasePlan, TargetState};
use domain::rollout::{Rollout, RolloutStage};
use domain::run::Run;
use engine::Result;

/// What a target is to run, before it runs it.
pub(crate) struct Prepared {
    /// How the target refers to it.
    pub(crate) target: TargetState,
    /// The service's address, without a path.
    pub(crate) url: String,
}

impl Deploy {
    /// Finds or makes what the target is to run. The target still runs what it ran before.
    pub(crate) async fn prepare_target(
        &self,
        run: &Run,
        last_good: Option<&LastGood>,
        plan: &ReleasePlan<'_>,
    ) -> Result<Prepared> {
        match plan.config {
            config::Deploy::Ecs(config) => self.prepare_ecs(run, last_good, plan, config).await,
        }
    }

    /// Has the target run what was prepared. A target that runs it already is left as it is.
    pub(crate) async fn start_target(
        &self,
        target: &TargetState,
        config: &config::Deploy,
    ) -> Result<()> {
        match (target, config) {
            (TargetState::Ecs(state), config::Deploy::Ecs(config)) => {
                self.start_ecs(state, config).await
            }
        }
    }

    /// Looks how far the target is.
    pub(crate) async fn observe_target(&self, rollout: &Rollout) -> Result<RolloutStage> {
        match &rollout.release.target {
            TargetState::Ecs(state) => self.observe_ecs(state, rollout.deadline).await,
        }
    }
}
