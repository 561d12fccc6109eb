//! Whether a plan may be applied.

use super::{LegKind, PlanSummary};
use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, OutputsChange, ResourceChange};

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
