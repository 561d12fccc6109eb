//! Decisions on plans.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::tests::{name, now, planned, run, stack};
use super::*;
use crate::ids::JobId;
use crate::plan::{PlanSummary, Verdict};

#[test]
fn a_person_decides_once() {
    let mut run = run(vec![stack(0, &[])]);
    let decide = |run: &mut Run, decision| run.approval_decided(&name(0), decision, "mona", now());
    assert!(decide(&mut run, ApprovalDecision::Approved).is_err());
    plan_for_approval(&mut run);
    let requested = run.approval_requested(&name(0), "t1".into(), now());
    assert_eq!(requested, Ok(None));
    let pending = decide(&mut run, ApprovalDecision::Approved)
        .unwrap()
        .unwrap();
    assert!(matches!(&pending, Approval::Requested { token, .. } if token == "t1"));
    assert_eq!(decide(&mut run, ApprovalDecision::Approved), Ok(None));
    assert!(decide(&mut run, ApprovalDecision::Rejected).is_err());
    // The wait could not be ended, so the request is pending again.
    run.approval_reopened(&name(0), pending).unwrap();
    assert!(
        decide(&mut run, ApprovalDecision::Rejected)
            .unwrap()
            .is_some()
    );
    let asked_again = run.approval_requested(&name(0), "t2".into(), now());
    assert_eq!(asked_again, Ok(Some(ApprovalDecision::Rejected)));
}

fn plan_for_approval(run: &mut Run) {
    let job = JobId::seal("plan", &name(0), 1, b"");
    run.planning(&name(0), job.clone(), 1, now()).unwrap();
    let (summary, verdict) = (PlanSummary::default(), Verdict::NeedsApproval);
    planned(run, &job, &summary, verdict).unwrap();
}
