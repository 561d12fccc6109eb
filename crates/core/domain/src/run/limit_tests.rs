//! The largest possible run fits into one DynamoDB item.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::tests::{decide, good, job, object, run, sealed_plan, stack};
use super::*;
use crate::config::MAX_STACKS;
use crate::error::ErrorName;
use crate::ids::Sha256Digest;
use crate::plan::{
    Action, ApprovalRule, Origin, PlanMade, PlanSummary, Reason, Reasons, ResourceChange,
};
use crate::warning::{Warning, WarningKind, Warnings};

/// Below DynamoDB's limit of 400 KB, to leave room for the attributes beside the document.
const ITEM: usize = 390_000;

#[test]
fn the_record_of_the_largest_run_fits_with_both_legs() {
    // JSON writes this character as six bytes.
    let long = |length: usize| "\u{1}".repeat(length);
    let change = |n: usize| ResourceChange {
        address: format!("module.a.aws_sqs_queue.this[\"{n}{}\"]", long(500)),
        resource_type: "aws_cognito_user_pool_client".into(),
        origin: Some(Origin::Moved {
            from: "k".repeat(500),
        }),
        action: Action::Update,
    };
    let summary = PlanSummary {
        changes: (0..1000).map(change).collect(),
        ..PlanSummary::default()
    };
    let stacks: Vec<_> = (0..MAX_STACKS).map(|n| stack(n, &[])).collect();
    let mut run = run(stacks.clone());
    let mut good = good(stacks);
    for stack in &run.forward.stacks {
        good.outputs.insert(stack.name().clone(), object());
    }
    let reason = |n: usize| Reason::Stateful {
        address: change(n).address,
        action: Action::Replace,
    };
    let reasons = (0..1000).map(reason).chain([
        Reason::DestroysStack,
        Reason::ManyDeletions {
            deletions: usize::MAX,
            limit: u32::MAX,
        },
        Reason::LargePart {
            deletions: usize::MAX,
            resources: usize::MAX,
            percent: 100,
        },
        Reason::Rule {
            rule: ApprovalRule::OnDestroy,
        },
    ]);
    let reasons = Reasons::new(reasons.collect());
    let warning = |n: usize| Warning::new(WarningKind::Check, &format!("{n}{}", "w".repeat(500)));
    let warnings = Warnings::new((0..1000).map(warning));
    let applied = |stack: &mut StackRun| {
        stack.plan = Some(PlanMade {
            sha256: Sha256Digest::of(b"plan"),
            counts: summary.counts(),
            reasons: reasons.clone(),
        });
        stack.warnings = warnings.clone();
        stack.state = StackState::Applied {
            job: job(1),
            summary: summary.brief(),
        };
        stack.outputs = Some(object());
        stack.applied = Some(sealed_plan());
    };
    run.forward.stacks.iter_mut().for_each(applied);
    decide(&mut run, ErrorName::ApplyFailed, Some(&good));
    run.leg_mut().stacks.iter_mut().for_each(applied);
    // A rollback needs no approval.
    for stack in &mut run.leg_mut().stacks {
        stack.plan.as_mut().unwrap().reasons = Reasons::default();
    }
    let error = StepError::new(ErrorName::ApplyFailed, long(1_000_000));
    run.failure.as_mut().unwrap().error = error;
    let size = serde_json::to_string(&run).unwrap().len();
    assert!(size < ITEM, "the record has {size} bytes");
}
