use super::{Faults, Shared, can_fail};
use crate::{Result, TargetRoles, Targets};
use async_trait::async_trait;
use domain::error::StepError;
use domain::ids::{RoleArn, RunId};

/// The deploy roles of environments. Every role reaches the same targets: what a role may do there is
/// tested on the rendered policies.
#[derive(Clone)]
pub struct FakeTargetRoles {
    targets: Targets,
    assumed: Shared<Vec<(RoleArn, RunId)>>,
    faults: Faults,
}

can_fail!(FakeTargetRoles: "assume");

impl FakeTargetRoles {
    /// Returns roles that reach these targets.
    #[must_use]
    pub fn new(targets: Targets) -> Self {
        Self {
            targets,
            assumed: Shared::default(),
            faults: Faults::default(),
        }
    }

    /// Returns the roles that were assumed, and by which runs.
    #[must_use]
    pub fn assumed(&self) -> Vec<(RoleArn, RunId)> {
        self.assumed.lock().clone()
    }
}

#[async_trait]
impl TargetRoles for FakeTargetRoles {
    async fn assume(&self, role: &RoleArn, run: &RunId) -> Result<Targets> {
        self.faults.before("assume")?;
        self.assumed.lock().push((role.clone(), run.clone()));
        self.faults.after("assume")?;
        Ok(self.targets.clone())
    }
}
