//! Whether a plan may be applied.

use super::{
    Origin, PlanKind, PlanSummary, Reason, Reasons, ResourceChange, STATELESS_TYPES, ServiceChange,
    ServiceField,
};
use crate::config::{Config, Policies};
use crate::ids::StackName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Resource types whose deletion loses data. A rollback does not even delete those that the run
/// created.
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

/// When a plan needs an approval, besides the reasons that hold under every rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalRule {
    /// Never.
    #[default]
    Never,
    /// When the plan changes something.
    Always,
    /// When the plan deletes or replaces something.
    OnDestroy,
}

impl ApprovalRule {
    /// Returns the rule under which a plan needs an approval if it needs one under either rule.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::OnDestroy, _) | (_, Self::OnDestroy) => Self::OnDestroy,
            (Self::Never, Self::Never) => Self::Never,
        }
    }

    /// Returns the rule as it is written in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
            Self::OnDestroy => "on-destroy",
        }
    }
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

/// A verdict, and why the plan needs an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Empty if the plan needs no approval.
    pub reasons: Reasons,
}

impl From<Verdict> for Judgement {
    /// Returns a judgement without reasons.
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            reasons: Reasons::default(),
        }
    }
}

/// What the configuration says about a stack's plan.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    approval: ApprovalRule,
    policies: &'a Policies,
    service: Service,
}

/// The ECS service that the stack's output `service` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// The configuration deploys to it.
    Deployed,
    /// The configuration does not deploy to it.
    NotDeployed,
}

impl<'a> Rules<'a> {
    /// Returns the rules for a stack.
    #[must_use]
    pub fn of(config: &'a Config, stack: &StackName) -> Self {
        let deploys = config
            .deploy
            .as_ref()
            .is_some_and(|deploy| deploy.stack() == stack);
        Self {
            approval: config.approval,
            policies: &config.policies,
            service: if deploys {
                Service::Deployed
            } else {
                Service::NotDeployed
            },
        }
    }
}

/// A plan that changes what the deployment sets of its ECS service. Such a plan is not applied: it
/// would stop the running release, and the deployment would start it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DeployedService {
    /// The updates. At least one.
    pub changes: Vec<ServiceChange>,
}

impl fmt::Display for DeployedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = self.changes.iter().map(|change| {
            let fields: Vec<&str> = change.fields.iter().map(|field| field.as_str()).collect();
            format!("changes {} of {}", fields.join(" and "), change.address)
        });
        f.write_str(&changes.collect::<Vec<_>>().join(", and "))?;
        f.write_str(
            ", which `deploy` sets: the apply would stop or replace the running tasks. \
             Add this line to the resource: `lifecycle { ignore_changes = [",
        )?;
        let fields = [ServiceField::TaskDefinition, ServiceField::DesiredCount];
        f.write_str(&fields.map(ServiceField::as_str).join(", "))?;
        f.write_str("] }`")
    }
}

/// Returns the verdict on a plan of the forward leg.
///
/// Whatever the approval rule, a plan needs an approval if it deletes or replaces a resource of a
/// type outside [`STATELESS_TYPES`], a resource that `policies.protect` names, or a tainted one, if
/// it deletes more than the policies allow, and if it destroys a stack.
///
/// # Errors
/// Fails when the plan changes what the deployment sets of its service.
pub fn judge(
    summary: &PlanSummary,
    kind: PlanKind,
    rules: &Rules<'_>,
) -> Result<Judgement, DeployedService> {
    if summary.is_empty() {
        return Ok(Verdict::NoChanges.into());
    }
    if rules.service == Service::Deployed && !summary.services.is_empty() {
        let changes = summary.services.clone();
        return Err(DeployedService { changes });
    }
    let reasons = reasons(summary, kind, rules);
    if reasons.is_empty() {
        return Ok(Verdict::Auto.into());
    }
    Ok(Judgement {
        verdict: Verdict::NeedsApproval,
        reasons: Reasons::new(reasons),
    })
}

/// Returns the reasons: those of one resource in the order of the plan, then those of the whole plan.
fn reasons(summary: &PlanSummary, kind: PlanKind, rules: &Rules<'_>) -> Vec<Reason> {
    let removed = summary
        .changes
        .iter()
        .filter(|change| change.action.deletes());
    let mut reasons: Vec<Reason> = removed
        .clone()
        .filter_map(|change| reason(summary, change, rules.policies))
        .collect();
    if kind == PlanKind::Destroy {
        reasons.push(Reason::DestroysStack);
    }
    reasons.extend(numbers(summary, rules.policies));
    let asks = match rules.approval {
        ApprovalRule::Never => false,
        ApprovalRule::Always => true,
        ApprovalRule::OnDestroy => removed.count() > 0,
    };
    if asks {
        let rule = rules.approval;
        reasons.push(Reason::Rule { rule });
    }
    reasons
}

/// Returns why the deletion or replacement of a resource needs an approval.
fn reason(summary: &PlanSummary, change: &ResourceChange, policies: &Policies) -> Option<Reason> {
    let (address, action) = (change.address.clone(), change.action);
    if policies.protects(change) {
        return Some(Reason::Protected { address, action });
    }
    let is_stateless = STATELESS_TYPES
        .binary_search(&change.resource_type.as_str())
        .is_ok();
    // An imported object existed before, and no state knows it yet.
    if !is_stateless || change.origin == Some(Origin::Imported) {
        return Some(Reason::Stateful { address, action });
    }
    let tainted = summary.tainted.contains(&change.address);
    tainted.then_some(Reason::Tainted { address })
}

/// Returns the limits on deletions that the plan exceeds. A replacement does not count: the resource
/// exists afterwards.
fn numbers(summary: &PlanSummary, policies: &Policies) -> impl Iterator<Item = Reason> {
    let deletions = summary.counts().delete;
    let (limit, percent) = (policies.max_deletions, policies.max_deletion_percent);
    let many = deletions > usize::try_from(limit).unwrap_or(usize::MAX);
    // A state that holds less than is deleted was not read completely.
    let resources = summary.resources.max(deletions);
    let large = deletions * 100 > resources * usize::try_from(percent).unwrap_or(100);
    let many = many.then_some(Reason::ManyDeletions { deletions, limit });
    let large = large.then_some(Reason::LargePart {
        deletions,
        resources,
        percent,
    });
    many.into_iter().chain(large)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
