//! Plans: what they change, and whether they may be applied.

mod reason;
mod stateless;
mod verdict;

pub use reason::{REASONS, Reason, Reasons};
pub use stateless::STATELESS_TYPES;
pub use verdict::{
    ApprovalRule, DataLoss, DeployedService, Judgement, PROTECTED_TYPES, Rules, Verdict, judge,
    judge_rollback,
};

use crate::ids::Sha256Digest;
use crate::text;
use serde::{Deserialize, Serialize};

/// A version of a Terraform state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateVersion {
    /// The state's lineage. Empty if no state exists yet.
    pub lineage: String,
    /// The state's serial. 0 if no state exists yet.
    pub serial: u64,
}

/// The changes in a plan: addresses and actions, never values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSummary {
    /// Every resource that the plan changes, in Terraform's order. Reads and no-ops are left out.
    pub changes: Vec<ResourceChange>,
    /// Whether an output changes. A plan may change only outputs.
    pub outputs_change: OutputsChange,
    /// The addresses that are replaced because an earlier apply left them tainted. A run's record
    /// has them among the reasons for an approval only.
    pub tainted: Vec<String>,
    /// The updates of the ECS service that the stack's output `service` names, as far as they
    /// change what a deployment sets. A run's record has none.
    pub services: Vec<ServiceChange>,
    /// The number of managed resources in the state that the plan was made from.
    pub resources: usize,
}

/// An update of an ECS service that changes what a deployment sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceChange {
    /// The address of the `aws_ecs_service`.
    pub address: String,
    /// What changes. At least one.
    pub fields: Vec<ServiceField>,
}

/// What a deployment sets of an ECS service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceField {
    /// The task definition.
    TaskDefinition,
    /// The desired number of tasks.
    DesiredCount,
}

impl ServiceField {
    /// Returns the name of the resource's argument.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskDefinition => "task_definition",
            Self::DesiredCount => "desired_count",
        }
    }
}

/// The maximum number of a plan's changes that a run's record keeps.
pub const BRIEF: usize = 10;

/// The maximum length of an address in a run's record, in bytes as JSON writes it. Keys of `for_each`
/// have no limit.
const BRIEF_ADDRESS: usize = 120;

/// Whether a plan changes outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputsChange {
    /// At least one output is added, changed or removed.
    Some,
    /// No output changes.
    #[default]
    None,
}

/// A resource in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceChange {
    /// The resource's address, such as `module.a.aws_sqs_queue.this[0]`.
    pub address: String,
    /// The resource's type, such as `aws_sqs_queue`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// What the plan does to the resource.
    pub action: Action,
}

/// What a plan does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Creates the resource.
    Create,
    /// Changes the resource in place.
    Update,
    /// Deletes the resource.
    Delete,
    /// Deletes and recreates the resource, in either order.
    Replace,
    /// Removes the resource from the state without deleting it.
    Forget,
}

impl PlanSummary {
    /// Returns whether the plan changes neither resources nor outputs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.outputs_change == OutputsChange::None
    }

    /// Returns the changes that a run's record keeps: at most [`BRIEF`], those that delete
    /// something first. The plan's JSON has all changes. A record must fit the stacks of both legs
    /// into 400 KB.
    #[must_use]
    pub fn brief(&self) -> Self {
        let mut changes = self.changes.clone();
        changes.sort_by_key(|change| match change.action {
            Action::Delete | Action::Replace => 0,
            Action::Forget => 1,
            Action::Update | Action::Create => 2,
        });
        changes.truncate(BRIEF);
        for change in &mut changes {
            change.address = brief_address(&change.address);
        }
        Self {
            changes,
            outputs_change: self.outputs_change,
            tainted: Vec::new(),
            services: Vec::new(),
            resources: self.resources,
        }
    }

    /// Returns the number of resources for each action.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            create: self.count(Action::Create),
            update: self.count(Action::Update),
            delete: self.count(Action::Delete),
            replace: self.count(Action::Replace),
            forget: self.count(Action::Forget),
        }
    }

    /// Returns the number of resources with this action.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.changes
            .iter()
            .filter(|change| change.action == action)
            .count()
    }
}

/// Returns an address as a run's record keeps it.
fn brief_address(address: &str) -> String {
    text::cut(&text::inert(address), BRIEF_ADDRESS)
}

/// The number of resources for each action of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Resources that are created.
    pub create: usize,
    /// Resources that are changed in place.
    pub update: usize,
    /// Resources that are deleted.
    pub delete: usize,
    /// Resources that are deleted and recreated.
    pub replace: usize,
    /// Resources that leave the state without being deleted.
    pub forget: usize,
}

/// A judged plan, in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanMade {
    /// The SHA-256 of the plan file.
    pub sha256: Sha256Digest,
    /// The number of changes.
    pub counts: Counts,
    /// Why the plan needs an approval. Empty if it needs none.
    pub reasons: Reasons,
}

/// An object in the artifacts bucket, by key and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// The object's key.
    pub key: String,
    /// The SHA-256 of the object's bytes.
    pub sha256: Sha256Digest,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanKind {
    /// Brings the stack to its configuration.
    #[default]
    Normal,
    /// Destroys everything in the stack: `terraform plan -destroy`.
    Destroy,
}

/// A plan, as sealed when it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedPlan {
    /// The plan file.
    pub file: ObjectRef,
    /// The output of `terraform show -json` for the plan file. This is what was judged.
    pub json: ObjectRef,
    /// The state that the plan was made from.
    pub state: StateVersion,
}

/// Whether a failed job may have changed resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideEffects {
    /// `terraform apply` did not start.
    None,
    /// `terraform apply` started. Resources may be created, changed, tainted or deleted.
    Possible,
}

/// The direction of a run's leg.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegKind {
    /// Toward the run's goal.
    #[default]
    Forward,
    /// Back to the last good commit, after an error.
    Rollback,
}

impl Action {
    /// Returns whether the action removes the existing resource.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::Replace)
    }
}
