//! Plans: what they change, and whether they may be applied.

mod carried_out;
mod rollback_verdict;
mod undo;

pub use carried_out::{Extent, ObjectId, PlannedResource, StateObjects, carried_out};
pub use rollback_verdict::{Cause, Refused, RefusedChange, judge_rollback};
pub use undo::{NoImportId, Scratch, UndoPlan, undo};

use crate::ids::Sha256Digest;
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
}

/// The maximum number of a plan's changes that a run's record keeps.
pub const BRIEF: usize = 10;

/// The maximum length of an address in a run's record, in characters; of both addresses of a
/// resource that is moved, together. Keys of `for_each` have no limit.
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
    /// How the object comes to its address. None if it is there already, or is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What the plan does to the resource.
    pub action: Action,
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

    /// Returns the changes that a run's record keeps: at most [`BRIEF`], those that delete
    /// something first. The plan's JSON has all changes. A record must fit the stacks of both legs
    /// into 400 KB.
    #[must_use]
    pub fn brief(&self) -> Self {
        let mut changes = self.changes.clone();
        changes.sort_by_key(|change| match change.action {
            Action::Delete | Action::Replace | Action::DeleteDeposed => 0,
            Action::Forget => 1,
            Action::Update | Action::Create | Action::Keep => 2,
        });
        changes.truncate(BRIEF);
        for change in &mut changes {
            match &mut change.origin {
                Some(Origin::Moved { from }) => {
                    shorten(&mut change.address, BRIEF_ADDRESS / 2);
                    shorten(from, BRIEF_ADDRESS / 2);
                }
                Some(Origin::Imported) | None => shorten(&mut change.address, BRIEF_ADDRESS),
            }
        }
        Self {
            changes,
            outputs_change: self.outputs_change,
        }
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

/// Truncates an address for a run's record.
fn shorten(address: &mut String, limit: usize) {
    if let Some((end, _)) = address.char_indices().nth(limit) {
        address.truncate(end);
        address.push('…');
    }
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

/// Resource types whose deletion loses data. The pipeline refuses a plan that deletes or replaces
/// one, on either leg.
pub const PROTECTED_TYPES: &[&str] = &[
    "aws_backup_vault",
    "aws_cognito_user_pool",
    "aws_db_cluster_snapshot",
    "aws_db_instance",
    "aws_docdb_cluster",
    "aws_dynamodb_table",
    "aws_ebs_volume",
    "aws_ecr_repository",
    "aws_efs_file_system",
    "aws_elasticache_replication_group",
    "aws_kinesis_stream",
    "aws_kms_key",
    "aws_neptune_cluster",
    "aws_opensearch_domain",
    "aws_rds_cluster",
    "aws_redshift_cluster",
    "aws_s3_bucket",
    "aws_secretsmanager_secret",
];

/// When a plan needs an approval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalRule {
    /// Never. Every plan that is not refused is applied.
    #[default]
    Never,
    /// When the plan changes something.
    Always,
    /// When the plan deletes or replaces something.
    OnDestroy,
}

/// The result of judging a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The plan has no changes to apply.
    NoChanges,
    /// The plan is applied without an approval.
    Auto,
    /// The plan is applied after a person approves it.
    NeedsApproval,
}

impl Verdict {
    /// Returns the verdict as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoChanges => "no-changes",
            Self::Auto => "auto",
            Self::NeedsApproval => "needs-approval",
        }
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

/// The addresses of the resources whose data a plan would lose. Such a plan is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataLoss(pub Vec<String>);

/// Returns the verdict on a plan. A plan of a rollback needs no approval, because it restores what
/// was already delivered.
///
/// # Errors
/// Fails when the plan would lose data.
pub fn judge(
    summary: &PlanSummary,
    rule: ApprovalRule,
    mode: LegKind,
) -> Result<Verdict, DataLoss> {
    if summary.is_empty() {
        return Ok(Verdict::NoChanges);
    }
    let lost = data_loss(summary);
    if !lost.is_empty() {
        return Err(DataLoss(lost));
    }
    let destroys = summary.changes.iter().any(|change| change.action.deletes());
    let asks = match rule {
        ApprovalRule::Never => false,
        ApprovalRule::Always => true,
        ApprovalRule::OnDestroy => destroys,
    };
    Ok(match mode {
        LegKind::Forward if asks => Verdict::NeedsApproval,
        LegKind::Forward | LegKind::Rollback => Verdict::Auto,
    })
}

fn data_loss(summary: &PlanSummary) -> Vec<String> {
    summary
        .changes
        .iter()
        .filter(|change| change.action.deletes())
        .filter(|change| PROTECTED_TYPES.contains(&change.resource_type.as_str()))
        .map(|change| change.address.clone())
        .collect()
}

impl Action {
    /// Returns whether the action removes the existing resource.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::Replace | Self::DeleteDeposed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(changes: &[(&str, Action)], outputs_change: OutputsChange) -> PlanSummary {
        let change = |(kind, action): &(&str, Action)| ResourceChange {
            address: format!("{kind}.this"),
            resource_type: (*kind).into(),
            origin: None,
            action: *action,
        };
        PlanSummary {
            changes: changes.iter().map(change).collect(),
            outputs_change,
        }
    }

    /// The verdict for each approval rule on the forward leg, then the verdict on the rollback leg.
    #[test]
    fn a_plan_is_judged_by_the_rule_and_the_leg() {
        use Verdict::{Auto, NeedsApproval, NoChanges};
        let (queue, table) = ("aws_sqs_queue", "aws_dynamodb_table");
        let none = OutputsChange::None;
        let cases = [
            (summary(&[], none), [NoChanges; 4]),
            (
                summary(&[], OutputsChange::Some),
                [Auto, NeedsApproval, Auto, Auto],
            ),
            (
                summary(&[(queue, Action::Create)], none),
                [Auto, NeedsApproval, Auto, Auto],
            ),
            (
                summary(&[(table, Action::Update)], none),
                [Auto, NeedsApproval, Auto, Auto],
            ),
            (
                summary(&[(table, Action::Forget)], none),
                [Auto, NeedsApproval, Auto, Auto],
            ),
            (
                summary(&[(queue, Action::Delete)], none),
                [Auto, NeedsApproval, NeedsApproval, Auto],
            ),
            (
                summary(&[(queue, Action::Replace)], none),
                [Auto, NeedsApproval, NeedsApproval, Auto],
            ),
        ];
        for (plan, expected) in cases {
            let forward = [
                ApprovalRule::Never,
                ApprovalRule::Always,
                ApprovalRule::OnDestroy,
            ]
            .map(|rule| judge(&plan, rule, LegKind::Forward));
            let back = judge(&plan, ApprovalRule::Always, LegKind::Rollback);
            let [never, always, on_destroy] = forward;
            let expected = expected.map(Ok);
            assert_eq!([never, always, on_destroy, back], expected, "{plan:?}");
        }
    }

    #[test]
    fn a_plan_that_loses_data_has_no_verdict() {
        let changes = [
            ("aws_s3_bucket", Action::Delete),
            ("aws_sqs_queue", Action::Delete),
            ("aws_dynamodb_table", Action::Replace),
        ];
        let plan = summary(&changes, OutputsChange::None);
        let lost = ["aws_s3_bucket.this", "aws_dynamodb_table.this"];
        for leg in [LegKind::Forward, LegKind::Rollback] {
            for rule in [ApprovalRule::Never, ApprovalRule::Always] {
                let verdict = judge(&plan, rule, leg);
                assert_eq!(verdict, Err(DataLoss(lost.map(str::to_owned).into())));
            }
        }
        assert_eq!(plan.counts().delete, 2);
    }

    #[test]
    fn protected_types_are_sorted_and_unique() {
        assert!(PROTECTED_TYPES.is_sorted_by(|a, b| a < b));
    }
}
