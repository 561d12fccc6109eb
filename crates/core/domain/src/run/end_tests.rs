//! A run that has ended does not change.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::tests::{
    artifact, config, decide, error, good, job, maybe, name, now, object, planned, rollout, run,
    source, stack,
};
use super::*;
use crate::error::ErrorName;
use crate::ids::JobId;
use crate::plan::{PlanSummary, SideEffects, Verdict};
use crate::warning::Warnings;
use proptest::prelude::*;

#[test]
fn a_rollback_that_was_not_finished_is_named_so_once_the_run_ended() {
    let mut run = run(vec![stack(0, &[])]);
    run.forward.stacks[0].state = maybe();
    decide(&mut run, ErrorName::ApplyFailed, Some(&good(vec![])));
    run.close(None, 1, now()).unwrap();
    let outcome = run.rollback_outcome();
    assert_eq!(outcome, Some(RollbackOutcome::RollbackUnfinished));
    assert_eq!(run.outcome(), Outcome::NeedsOperator);
}

#[test]
fn an_end_gets_one_audit_entry() {
    let mut run = run(Vec::new());
    assert!(run.audited(1).is_err(), "it has not ended");
    run.close(None, 1, now()).unwrap();
    for _ in 0..2 {
        assert_eq!(run.audited(1), Ok(()));
    }
    assert!(run.audited(2).is_err());
    assert_eq!(run.end().unwrap().audit_seq, Some(1));
}

#[test]
fn an_end_is_announced_once() {
    let mut run = run(Vec::new());
    assert!(run.end_announced(now()).is_err(), "it has not ended");
    run.close(None, 1, now()).unwrap();
    assert_eq!(run.end().unwrap().announced_at, None);
    run.end_announced(now()).unwrap();
    let later = now() + jiff::SignedDuration::from_secs(1);
    run.end_announced(later).unwrap();
    assert_eq!(run.end().unwrap().announced_at, Some(now()));
}

#[test]
fn an_apply_whose_job_never_started_changed_nothing() {
    let mut run = run(vec![stack(0, &[])]);
    run.forward.stacks[0].state = StackState::Applying { job: job(0) };
    run.never_started(&[job(1)], now()).unwrap();
    assert!(run.has_side_effects(), "it waits for another job");
    run.never_started(&[job(0)], now()).unwrap();
    assert!(!run.has_side_effects());
}

/// A change to a run, with its name.
type Named = (&'static str, Box<dyn Fn(&mut Run) -> Change>);

/// Every change to a run, except `audited` and `end_announced`, which complete the end itself.
fn changes() -> Vec<Named> {
    fn change<T>(name: &'static str, change: impl Fn(&mut Run) -> Change<T> + 'static) -> Named {
        (name, Box::new(move |run| change(run).map(|_| ())))
    }
    let requested = || Approval::Requested {
        token: "t".into(),
        since: now(),
    };
    let plan_job = || JobId::seal("plan", &name(0), 1, b"");
    let last = || good(vec![stack(0, &[])]);
    let summary = PlanSummary::default;
    vec![
        change("never_started", move |run| {
            run.never_started(&[plan_job()], now())
        }),
        change("accept", |run| {
            run.accept(source(), config(vec![stack(0, &[])]), now())
        }),
        change("build_started", |run| run.build_started(now())),
        change("artifact_ready", |run| {
            run.artifact_ready(artifact(), ArtifactOrigin::Built, now())
        }),
        change("build_failed", |run| {
            run.build_failed(None, error(ErrorName::BuildFailed), now())
        }),
        change("lock_requested", |run| run.lock_requested(now())),
        change("lock_held", |run| run.lock_held(1, now())),
        change("superseded", |run| run.superseded(now())),
        change("destroy_removed", |run| {
            run.destroy_removed(&good(vec![stack(0, &[])]), now())
        }),
        change("planning", move |run| {
            run.planning(&name(0), plan_job(), 1, now())
        }),
        change("planned", move |run| {
            planned(run, &plan_job(), &summary(), Verdict::NeedsApproval)
        }),
        change("plan_failed", move |run| {
            run.plan_failed(&name(0), &plan_job(), now())
        }),
        change("approval_requested", |run| {
            run.approval_requested(&name(0), "t".into(), now())
        }),
        change("approval_decided", |run| {
            run.approval_decided(&name(0), ApprovalDecision::Approved, "mona", now())
        }),
        change("approval_reopened", move |run| {
            run.approval_reopened(&name(0), requested())
        }),
        change("applying", |run| run.applying(&name(0), job(1), 2, now())),
        change("applied", |run| {
            run.applied(&name(0), &job(1), object(), &Warnings::default(), now())
        }),
        change("plan_stale", |run| run.plan_stale(&name(0), &job(1), now())),
        change("apply_failed", |run| {
            run.apply_failed(&name(0), &job(1), SideEffects::Possible, now())
        }),
        change("rollout_started", |run| {
            run.rollout_started(run.leg().kind(), rollout())
        }),
        change("rollout_healthy", |run| {
            run.rollout_healthy(run.leg().kind(), now())
        }),
        change("promoted", |run| run.promoted(now())),
        change("handle_error", move |run| {
            let at = now() + jiff::SignedDuration::from_secs(60);
            run.handle_error(at, error(ErrorName::ApplyFailed), Some(&last()), at)
        }),
        change("rolled_back", |run| run.rolled_back(now())),
        change("close", |run| run.close(None, 7, now())),
    ]
}

proptest! {
    #[test]
    fn a_run_that_has_ended_refuses_every_change(
        history in prop::collection::vec(any::<prop::sample::Index>(), 0..25),
    ) {
        let changes = changes();
        let mut run = run(vec![stack(0, &[])]);
        for index in history {
            let (name, change) = &changes[index.index(changes.len())];
            if *name != "close" {
                // A refused change is part of the run's history too.
                let _refused = change(&mut run);
            }
        }
        run.close(None, 1, now()).unwrap();
        for (name, change) in &changes {
            let before = run.clone();
            let refused = change(&mut run);
            prop_assert!(matches!(refused, Err(RunError::Ended { .. })), "{name}: {refused:?}");
            prop_assert_eq!(&run, &before, "{}", name);
        }
    }
}
