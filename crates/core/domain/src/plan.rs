//! Plans: what one would do, and whether it may.

use crate::ids::Sha256Digest;
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

/// How many changes a run's record keeps of a plan.
pub const BRIEF: usize = 10;

/// How much of an address a run's record keeps, in characters: keys of `for_each` have no limit.
const BRIEF_ADDRESS: usize = 120;

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

    /// The changes that a run's record keeps: those that destroy something first, at most
    /// [`BRIEF`]. The plan's JSON has all of them; a record has 400 KB for every stack of both ways.
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
            if let Some((end, _)) = change.address.char_indices().nth(BRIEF_ADDRESS) {
                change.address.truncate(end);
                change.address.push('…');
            }
        }
        Self {
            changes,
            outputs_change: self.outputs_change,
        }
    }

    /// How many resources the plan does what to.
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

    /// How many resources the plan does this to.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.changes
            .iter()
            .filter(|change| change.action == action)
            .count()
    }
}

/// How many resources a plan does what to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Created.
    pub create: usize,
    /// Changed in place.
    pub update: usize,
    /// Deleted.
    pub delete: usize,
    /// Deleted and created again.
    pub replace: usize,
    /// Left in the world, out of the state.
    pub forget: usize,
}

/// A plan that was judged, in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanMade {
    /// SHA-256 of the plan file.
    pub sha256: Sha256Digest,
    /// What it does, in numbers.
    pub counts: Counts,
}

/// An object in the artifacts bucket, by key and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// The key.
    pub key: String,
    /// SHA-256 of the bytes.
    pub sha256: Sha256Digest,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanKind {
    /// Brings the stack to what its configuration says.
    #[default]
    Normal,
    /// Destroys everything in the stack: `terraform plan -destroy`.
    Destroy,
}

/// A plan as it was sealed when it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedPlan {
    /// The plan file.
    pub file: ObjectRef,
    /// `terraform show -json` of the plan file: what was judged.
    pub json: ObjectRef,
    /// The state that it was made from.
    pub state: StateVersion,
}

/// Whether a failed job may have changed resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideEffects {
    /// `terraform apply` never started.
    None,
    /// `terraform apply` started: resources may be new, changed, tainted or gone.
    Possible,
}

/// Types whose deletion loses data. A plan that deletes or replaces one is not applied without a
/// person, neither forward nor while restoring.
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

/// When a person has to approve a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalRule {
    /// Never: each plan that is not refused is applied.
    #[default]
    Never,
    /// Whenever the plan changes something.
    Always,
    /// Whenever the plan deletes or replaces something.
    OnDestroy,
}

/// The word that a plan's judgement adds to the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing to apply.
    NoChanges,
    /// To be applied without asking.
    Auto,
    /// To be applied once a person agreed.
    NeedsApproval,
    /// Not to be applied by the pipeline.
    Refused,
}

impl Verdict {
    /// The word, as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoChanges => "no-changes",
            Self::Auto => "auto",
            Self::NeedsApproval => "needs-approval",
            Self::Refused => "refused",
        }
    }
}

/// The purpose of a run's leg.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegKind {
    /// Towards the run's goal.
    #[default]
    Forward,
    /// Back to the last good commit, after an error.
    Rollback,
}

/// Judges a plan. A plan that loses data is refused; a plan that restores needs no approval,
/// since it goes back to what a person once agreed to.
#[must_use]
pub fn judge(summary: &PlanSummary, rule: ApprovalRule, mode: LegKind) -> Verdict {
    if summary.is_empty() {
        return Verdict::NoChanges;
    }
    if !data_loss(summary).is_empty() {
        return Verdict::Refused;
    }
    let destroys = summary.changes.iter().any(|change| change.action.deletes());
    let asks = match rule {
        ApprovalRule::Never => false,
        ApprovalRule::Always => true,
        ApprovalRule::OnDestroy => destroys,
    };
    match mode {
        LegKind::Forward if asks => Verdict::NeedsApproval,
        LegKind::Forward | LegKind::Rollback => Verdict::Auto,
    }
}

/// The addresses whose data the plan would lose.
#[must_use]
pub fn data_loss(summary: &PlanSummary) -> Vec<&str> {
    summary
        .changes
        .iter()
        .filter(|change| change.action.deletes())
        .filter(|change| PROTECTED_TYPES.contains(&change.resource_type.as_str()))
        .map(|change| change.address.as_str())
        .collect()
}

impl Action {
    /// Whether the resource that stands now is gone afterwards.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::Replace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(changes: &[(&str, Action)], outputs_change: OutputsChange) -> PlanSummary {
        let change = |(kind, action): &(&str, Action)| ResourceChange {
            address: format!("{kind}.this"),
            resource_type: (*kind).into(),
            action: *action,
        };
        PlanSummary {
            changes: changes.iter().map(change).collect(),
            outputs_change,
        }
    }

    /// What a plan does, by rule on the way forward, and on the way back whatever the rule.
    #[test]
    fn a_plan_is_judged_by_what_it_loses_then_by_the_rule() {
        use Verdict::{Auto, NeedsApproval, NoChanges, Refused};
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
            (summary(&[(table, Action::Delete)], none), [Refused; 4]),
            (
                summary(&[(queue, Action::Create), (table, Action::Replace)], none),
                [Refused; 4],
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
            assert_eq!([never, always, on_destroy, back], expected, "{plan:?}");
        }
    }

    #[test]
    fn data_that_would_be_lost_is_named() {
        let plan = summary(
            &[
                ("aws_s3_bucket", Action::Delete),
                ("aws_sqs_queue", Action::Delete),
            ],
            OutputsChange::None,
        );
        assert_eq!(data_loss(&plan), ["aws_s3_bucket.this"]);
        assert_eq!(plan.counts().delete, 2);
    }

    #[test]
    fn protected_types_stand_in_order_each_once() {
        assert!(PROTECTED_TYPES.is_sorted_by(|a, b| a < b));
    }
}
