//! Plans: what one would do, and whether it may.

use serde::{Deserialize, Serialize};

/// A version of a terraform state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateVersion {
    /// The state's lineage; empty when there is no state yet.
    pub lineage: String,
    /// The state's serial; 0 when there is no state yet.
    pub serial: u64,
}

/// What a plan would do: addresses and actions, never values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSummary {
    /// Every resource that the plan touches, in terraform's order; reads and no-ops are left out.
    pub changes: Vec<ResourceChange>,
    /// Whether an output's value changes. A plan may change outputs only.
    pub outputs_change: OutputsChange,
}

/// Whether a plan changes outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputsChange {
    /// Some output is new, changed or gone.
    Some,
    /// No output changes.
    #[default]
    None,
}

/// One resource in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceChange {
    /// Terraform's address, such as `module.a.aws_sqs_queue.this[0]`.
    pub address: String,
    /// The resource's type, such as `aws_sqs_queue`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// What happens to it.
    pub action: Action,
}

/// What a plan does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is created.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted.
    Delete,
    /// It is deleted and created again, in either order.
    Replace,
    /// It leaves the state but stays in the world.
    Forget,
}

impl PlanSummary {
    /// Whether the plan changes neither resources nor outputs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.outputs_change == OutputsChange::None
    }

    /// How many resources the plan does this to.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.changes
            .iter()
            .filter(|change| change.action == action)
            .count()
    }
}
