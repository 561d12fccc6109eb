//! Plans: what they change, and whether they may be applied.

mod attributes;
mod carried_out;
mod reason;
mod rollback_verdict;
mod shown;
mod stateless;
mod undo;
mod unrecorded;
mod verdict;

pub use attributes::Attributes;
pub use carried_out::{
    Extent, NotPlanned, ObjectId, PlannedResource, StateObjects, carried_out, confirmed,
};
pub use reason::{REASONS, Reason, Reasons};
pub use rollback_verdict::{Cause, Refused, RefusedChange, judge_rollback};
pub use shown::{MAX_PLAN_JSON, NotJudged, ShownPlan};
pub use stateless::STATELESS_TYPES;
pub use undo::{NoImportId, Scratch, UndoPlan, undo};
pub use unrecorded::{Unrecorded, found_deleted, unrecorded};
pub use verdict::{
    ApprovalRule, DeployedService, Judgement, PROTECTED_TYPES, Rules, Verdict, judge,
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
    /// Whether the state holds resources.
    pub resources: Resources,
}

impl StateVersion {
    /// Returns whether both are the same version of the same state.
    #[must_use]
    pub fn is_version(&self, other: &Self) -> bool {
        self.serial == other.serial && self.lineage == other.lineage
    }
}

/// Whether a state holds resources. Data sources do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resources {
    /// It holds none, or does not exist yet.
    #[default]
    None,
    /// It holds at least one.
    Some,
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

/// The maximum length of an address in a run's record, in bytes as JSON writes it. Keys of `for_each`
/// have no limit.
const BRIEF_ADDRESS: usize = 110;

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
    /// How the object comes to its address. None if it is there already, or is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What the plan does to the resource.
    pub action: Action,
}

impl ResourceChange {
    /// Returns the address of the object before the plan.
    #[must_use]
    pub fn was_at(&self) -> &str {
        match &self.origin {
            Some(Origin::Moved { from }) => from,
            Some(Origin::Imported) | None => &self.address,
        }
    }
}

/// How an existing object comes to its address. A plan that moves or imports a resource may also
/// change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It had another address in the state.
    Moved {
        /// That address.
        from: String,
    },
    /// It was not in the state.
    Imported,
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
    /// Leaves the resource as it is. The plan only moves or imports it.
    Keep,
    /// Deletes an object that an earlier replacement of the resource left behind.
    DeleteDeposed,
}

impl PlanSummary {
    /// Returns whether the plan changes neither resources nor outputs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.outputs_change == OutputsChange::None
    }

    /// Returns the number of resources for each action.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::of(&self.changes)
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

/// The number of resources for each kind of change. A resource that is moved or imported and also
/// updated counts as both.
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
    /// Resources that come into the state without being created.
    pub import: usize,
    /// Resources that get another address.
    #[serde(rename = "move")]
    pub moved: usize,
}

impl Counts {
    /// Returns the number of these changes by kind.
    #[must_use]
    pub fn of(changes: &[ResourceChange]) -> Self {
        let mut counts = Self::default();
        for change in changes {
            match change.action {
                Action::Create => counts.create += 1,
                Action::Update => counts.update += 1,
                Action::Delete | Action::DeleteDeposed => counts.delete += 1,
                Action::Replace => counts.replace += 1,
                Action::Forget => counts.forget += 1,
                Action::Keep => {}
            }
            match change.origin {
                Some(Origin::Imported) => counts.import += 1,
                Some(Origin::Moved { .. }) => counts.moved += 1,
                None => {}
            }
        }
        counts
    }

    /// Returns each kind of change as a verb, with its number, in the order in which texts name
    /// them.
    #[must_use]
    pub fn by_verb(&self) -> [(usize, &'static str); 7] {
        [
            (self.create, "create"),
            (self.import, "import"),
            (self.moved, "move"),
            (self.update, "update"),
            (self.replace, "replace"),
            (self.delete, "delete"),
            (self.forget, "forget"),
        ]
    }
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
    /// The modules and the lock file that the plan was made with. None if the source archive has
    /// all of them.
    pub dependencies: Option<ObjectRef>,
}

/// Whether a failed job may have changed resources, and whether the state has all that it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideEffects {
    /// `terraform apply` did not start.
    None,
    /// `terraform apply` started, and ended by itself. Resources may be created, changed, tainted or
    /// deleted. The state has them.
    Possible,
    /// `terraform apply` started, and was killed or lost. What it did after Terraform last wrote the
    /// state is in no state.
    Unrecorded,
    /// `terraform apply` ended, but could not write the state. A copy of the state is in the artifacts
    /// bucket ([`JobFile::ErroredState`](crate::keys::JobFile::ErroredState)).
    Unwritten,
}

impl SideEffects {
    /// Returns whether resources may have changed.
    #[must_use]
    pub fn are_possible(self) -> bool {
        self != Self::None
    }
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
        matches!(self, Self::Delete | Self::Replace | Self::DeleteDeposed)
    }
}
