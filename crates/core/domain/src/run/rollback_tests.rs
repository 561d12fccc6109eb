//! What a rollback undoes, and what it leaves as it is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use super::tests::{decide, good, job, maybe, name, now, object, run, sealed_plan, stack};
use super::*;
use crate::error::ErrorName;
use crate::plan::{
    Action, Counts, Extent, PlanKind, PlanSummary, ResourceChange, Resources, SealedPlan,
    SideEffects, Unrecorded, Verdict,
};
use crate::warning::Warnings;

/// Plans a stack of the forward leg with this plan, and starts its apply.
fn begin_apply(run: &mut Run, n: usize, plan: SealedPlan) {
    let (stack, made) = (name(n), job(1));
    let summary = PlanSummary::default();
    run.planning(&stack, made.clone(), 1, now()).unwrap();
    let plan = JudgedPlan {
        sealed: plan,
        summary: &summary,
        judgement: Verdict::Auto.into(),
        warnings: Warnings::default(),
        outputs: None,
    };
    run.planned(&stack, &made, plan, now()).unwrap();
    run.applying(&stack, job(2), 2, now()).unwrap();
}

fn plan_of(resources: Resources) -> SealedPlan {
    let mut plan = sealed_plan();
    plan.state.resources = resources;
    plan
}

/// The stack was taken out of the configuration earlier, or is moved in with its state.
#[test]
fn a_stack_that_had_resources_before_the_run_is_never_destroyed() {
    let last = good(vec![stack(0, &[])]);
    let mut run = run(vec![stack(0, &[]), stack(1, &[0]), stack(2, &[])]);
    for (n, resources) in [
        (0, Resources::Some),
        (1, Resources::Some),
        (2, Resources::None),
    ] {
        begin_apply(&mut run, n, plan_of(resources));
        run.forward.stacks[n].state = maybe();
    }
    let decision = decide(&mut run, ErrorName::ApplyFailed, Some(&last));
    assert_eq!(decision, ErrorDecision::RollBack);
    let stacks: Vec<_> = run
        .leg()
        .stacks()
        .iter()
        .map(|stack| {
            (
                stack.name().clone(),
                stack.plan_kind(),
                stack.state().clone(),
            )
        })
        .collect();
    assert_eq!(
        stacks,
        [
            (name(0), PlanKind::Normal, StackState::Pending),
            (name(2), PlanKind::Destroy, StackState::Pending),
            (name(1), PlanKind::Normal, StackState::Left),
        ]
    );
    // The stack that is left takes part in nothing.
    for n in [0, 2] {
        assert_eq!(run.leg().next_wave(), Wave::Plan(vec![name(n)]));
        let stack = run.open_stack(&name(n)).unwrap();
        stack.state = StackState::Unchanged;
    }
    assert_eq!(run.leg().next_wave(), Wave::Done);
    assert_eq!(run.check_verified(), Ok(()));
}

#[test]
fn a_rollback_undoes_the_plan_that_was_applied() {
    let stacks = vec![stack(0, &[]), stack(1, &[]), stack(2, &[]), stack(3, &[0])];
    let mut run = run(stacks.clone());
    for n in 0..3 {
        begin_apply(&mut run, n, sealed_plan());
    }
    let applied = |run: &mut Run, n| {
        run.applied(&name(n), &job(2), object(), &Warnings::default(), now())
            .unwrap();
    };
    applied(&mut run, 0);
    let failed = crate::plan::SideEffects::Possible;
    run.apply_failed(&name(1), &job(2), failed, now()).unwrap();
    let none = crate::plan::SideEffects::None;
    run.apply_failed(&name(2), &job(2), none, now()).unwrap();
    assert_eq!(run.undo(&name(0)), None, "on the forward leg");

    decide(&mut run, ErrorName::ApplyFailed, Some(&good(stacks)));
    let undo = run.undo(&name(0)).unwrap();
    assert_eq!((undo.source, undo.dir), (object(), stack(0, &[]).dir));
    let extent = |n| run.undo(&name(n)).map(|undo| (undo.applied, undo.extent));
    assert_eq!(extent(0), Some((sealed_plan(), Extent::Whole)));
    assert_eq!(extent(1), Some((sealed_plan(), Extent::Part)));
    assert_eq!(extent(2), None, "it changed nothing");
    assert_eq!(extent(3), None, "it was not applied");
}

#[test]
fn a_rollback_is_planned_with_the_modules_that_were_sealed() {
    let archive = |key: &str| crate::plan::ObjectRef {
        key: key.into(),
        ..object()
    };
    let mut last = good(vec![stack(0, &[]), stack(1, &[0])]);
    last.dependencies.insert(name(0), archive("last good"));
    let stacks = vec![stack(0, &[]), stack(1, &[0]), stack(2, &[])];
    let mut run = run(stacks);
    for n in [0, 2] {
        let mut plan = plan_of(Resources::None);
        plan.dependencies = Some(archive("new"));
        begin_apply(&mut run, n, plan);
        run.forward.stacks[n].state = maybe();
    }
    let next = run.to_last_good(now()).unwrap().dependencies;
    assert_eq!(next.get(&name(0)), Some(&archive("new")));

    decide(&mut run, ErrorName::ApplyFailed, Some(&last));
    let sealed = |n| {
        let stack = run.stack(&name(n)).unwrap();
        stack.dependencies().map(|archive| archive.key.as_str())
    };
    assert_eq!(sealed(0), Some("last good"));
    assert_eq!(sealed(1), None, "its source has everything");
    assert_eq!(sealed(2), Some("new"), "it is destroyed as it was made");
}

#[test]
fn what_an_apply_did_is_known_when_it_succeeds_or_when_its_rollback_is_planned() {
    let stacks = vec![stack(0, &[]), stack(1, &[])];
    let mut run = run(stacks.clone());
    for n in 0..2 {
        begin_apply(&mut run, n, sealed_plan());
    }
    run.applied(&name(0), &job(2), object(), &Warnings::default(), now())
        .unwrap();
    run.forward.stacks[1].state = maybe();
    let made = |run: &Run, n: usize| run.forward().stacks()[n].made().copied();
    assert_eq!(
        (made(&run, 0), made(&run, 1)),
        (Some(Counts::default()), None)
    );
    let imported = Counts {
        import: 1,
        ..Counts::default()
    };
    let lost = ResourceChange {
        address: "t.a".into(),
        resource_type: "t".into(),
        origin: None,
        action: Action::Create,
    };
    let lost = Unrecorded::of(&[lost]);
    run.changes_known(&name(1), imported, &lost).unwrap();
    assert_eq!(
        made(&run, 1),
        None,
        "a plan of the forward leg undoes nothing"
    );

    decide(&mut run, ErrorName::ApplyFailed, Some(&good(stacks)));
    run.changes_known(&name(1), imported, &lost).unwrap();
    assert_eq!(made(&run, 1), Some(imported));
    assert_eq!(run.forward().stacks()[1].unrecorded(), &lost);
}

#[test]
fn a_job_that_was_killed_or_lost_may_have_done_more_than_the_state_has() {
    let stacks = vec![stack(0, &[]), stack(1, &[])];
    let mut run = run(stacks.clone());
    for n in 0..2 {
        begin_apply(&mut run, n, sealed_plan());
    }
    let killed = SideEffects::Unrecorded;
    run.apply_failed(&name(0), &job(2), killed, now()).unwrap();
    let decision = decide(&mut run, ErrorName::JobLost, Some(&good(stacks)));
    assert_eq!(decision, ErrorDecision::RollBack);
    for n in 0..2 {
        assert_eq!(run.undo(&name(n)).unwrap().extent, Extent::Unknown);
    }
}

#[test]
fn a_state_that_could_not_be_written_is_not_rolled_back_from() {
    for last in [None, Some(good(vec![stack(0, &[])]))] {
        let mut run = run(vec![stack(0, &[]), stack(1, &[])]);
        for n in 0..2 {
            begin_apply(&mut run, n, sealed_plan());
        }
        let unwritten = SideEffects::Unwritten;
        run.apply_failed(&name(1), &job(2), unwritten, now())
            .unwrap();
        let decision = decide(&mut run, ErrorName::StateUnwritten, last.as_ref());
        assert_eq!(decision, ErrorDecision::Record);
        assert_eq!(
            run.rollback_outcome(),
            Some(RollbackOutcome::RollbackFailed)
        );
        assert_eq!(run.outcome(), Outcome::NeedsOperator);
        let error = run.rollback_error().unwrap().to_string();
        assert!(
            error.contains("stack stack-1: Terraform could not"),
            "{error}"
        );
        let frozen_by = crate::environment::freezing_error(&run).unwrap();
        assert_eq!(frozen_by.name, ErrorName::StateUnwritten);
        assert_eq!(run.blame(), Blame::Other);
    }
}

#[test]
fn a_throttled_apply_is_rolled_back_and_its_commit_is_not_blamed() {
    let stacks = vec![stack(0, &[])];
    let mut run = run(stacks.clone());
    begin_apply(&mut run, 0, sealed_plan());
    let changed = SideEffects::Possible;
    run.apply_failed(&name(0), &job(2), changed, now()).unwrap();
    let decision = decide(&mut run, ErrorName::ApiUnavailable, Some(&good(stacks)));
    assert_eq!(decision, ErrorDecision::RollBack);
    assert_eq!(run.blame(), Blame::Other);
}
