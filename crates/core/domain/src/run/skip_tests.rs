//! Stacks that are the same as in the last good commit.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::tests::{decide, good, maybe, now, object, run, stack};
use super::*;
use crate::config::WhenChanged;
use crate::environment::{Environment, LastGood, QueueRule, Waiter};
use crate::error::{ErrorName, StepError};
use crate::ids::{JobId, RepositoryKey, Sha256Digest};
use proptest::prelude::*;

fn digest(n: u8) -> StackDigest {
    let digest = Sha256Digest::of(&[n]);
    serde_json::from_value(serde_json::to_value(digest).unwrap()).unwrap()
}

fn outputs(n: u8) -> ObjectRef {
    ObjectRef {
        sha256: Sha256Digest::of(&[n]),
        ..object()
    }
}

fn name(run: &Run, n: usize) -> StackName {
    run.forward.stacks[n].name().clone()
}

/// Returns a run with the stacks 0 <- 1 <- 2, and 3 on its own, that has their digests.
fn chain() -> Run {
    let stacks = vec![stack(0, &[]), stack(1, &[0]), stack(2, &[1]), stack(3, &[])];
    let mut run = run(stacks);
    for (stack, n) in run.forward.stacks.iter_mut().zip(0..) {
        *stack = stack.clone().with_digest(Some(digest(n)));
    }
    run
}

/// Returns what a run with the same stacks left.
fn same(run: &Run) -> LastGood {
    let mut good = good(run.config().unwrap().stacks.clone());
    good.digests = run.digests();
    for (stack, n) in run.forward.stacks.iter().zip(0..) {
        good.outputs.insert(stack.name().clone(), outputs(n));
    }
    good.dependencies.insert(name(run, 1), outputs(9));
    good
}

fn wait(run: &RunId, commit: &CommitId) -> Waiter {
    Waiter {
        run: run.clone(),
        commit: commit.clone(),
        received_at: now(),
        token: "token".into(),
    }
}

/// Returns an environment that the run of `good` left, and that `run` holds.
fn held_after(good: LastGood, run: &Run) -> Environment {
    let name = good.config.environment.clone();
    let mut environment = Environment::new(RepositoryKey::github(42), name);
    let before = good.run.clone();
    environment.acquire(wait(&before, &good.commit), QueueRule::Every, now());
    environment.promote(1, good).unwrap();
    environment.release(&before, now());
    environment.acquire(wait(&run.id, run.trigger.commit()), QueueRule::Every, now());
    environment
}

/// Skips every stack that can be skipped. Returns their numbers.
fn skip(run: &mut Run, environment: &Environment) -> Vec<usize> {
    let mut skipped = Vec::new();
    loop {
        let same = run.same_stacks(environment);
        if same.is_empty() {
            return skipped;
        }
        for one in same {
            let mut stacks = run.forward.stacks.iter();
            skipped.push(stacks.position(|it| *it.name() == one.stack).unwrap());
            run.skipped(&one, now()).unwrap();
            run.skipped(&one, now()).unwrap();
        }
    }
}

#[test]
fn with_the_same_digests_no_stack_is_planned() {
    let mut run = chain();
    let good = same(&run);
    let environment = held_after(good.clone(), &run);
    assert_eq!(skip(&mut run, &environment), [0, 3, 1, 2]);
    assert_eq!(run.leg().next_wave(), Wave::Done);
    assert_eq!(run.outputs(), good.outputs);
    assert_eq!(run.outcome(), Outcome::NoOp);
    assert!(!run.has_side_effects());
    let next = run.to_last_good(now()).unwrap();
    assert_eq!((next.outputs, next.digests), (good.outputs, good.digests));
    assert_eq!(next.dependencies, good.dependencies);
    assert_eq!(run.leg().newly_skipped().count(), 4);
}

#[test]
fn a_stack_is_planned_if_it_differs_or_always_wants_to_be() {
    type Edit = fn(&mut Run, &mut LastGood);
    let cases: [(&str, Edit); 6] = [
        ("it differs", |run, good| {
            good.digests.insert(name(run, 1), digest(9));
        }),
        ("last good has no digest", |run, good| {
            good.digests.remove(&name(run, 1));
        }),
        ("it has no digest", |run, good| {
            run.forward.stacks[1] = run.forward.stacks[1].clone().with_digest(None);
            good.digests.remove(&name(run, 1));
        }),
        ("always", |run, _| {
            run.forward.stacks[1].spec_mut().when_changed = WhenChanged::Always;
        }),
        ("its outputs are not known", |run, good| {
            good.outputs.remove(&name(run, 1));
        }),
        ("it was planned and became stale", |run, _| {
            let stack = name(run, 1);
            let job = JobId::seal("plan", &stack, 1, b"");
            run.planning(&stack, job, 1, now()).unwrap();
            run.forward.stacks[1].state = StackState::Pending;
        }),
    ];
    for (case, edit) in cases {
        let mut run = chain();
        let mut good = same(&run);
        edit(&mut run, &mut good);
        let environment = held_after(good, &run);
        assert_eq!(skip(&mut run, &environment), [0, 3], "{case}");
        assert_eq!(
            run.leg().next_wave(),
            Wave::Plan(vec![name(&run, 1)]),
            "{case}"
        );
    }
}

#[test]
fn a_stack_is_planned_if_what_it_needs_has_other_outputs() {
    for (other, expected) in [(false, vec![2]), (true, vec![])] {
        let mut run = chain();
        let mut good = same(&run);
        good.digests.insert(name(&run, 1), digest(9));
        let mut environment = held_after(good, &run);
        skip(&mut run, &environment);
        environment.begin_changes(&run.id, 2).unwrap();
        let stack = &mut run.forward.stacks[1];
        stack.state = StackState::Unchanged;
        stack.outputs = Some(outputs(if other { 9 } else { 1 }));
        assert_eq!(
            skip(&mut run, &environment),
            expected,
            "other outputs: {other}"
        );
    }
}

#[test]
fn nothing_is_skipped_unless_the_environment_is_as_last_good_left_it() {
    let mut run = chain();
    let good = same(&run);
    let fits = held_after(good.clone(), &run);
    assert!(!run.same_stacks(&fits).is_empty());

    // An earlier run changed something and ended without a rollback.
    let mut left = held_after(good.clone(), &run);
    left.begin_changes(&run.id, 2).unwrap();
    left.release(&run.id, now());
    left.acquire(wait(&run.id, run.trigger.commit()), QueueRule::Every, now());
    assert_eq!(run.same_stacks(&left), []);

    // An operator repaired the environment.
    let mut frozen = held_after(good.clone(), &run);
    frozen.freeze(&run.id, &StepError::new(ErrorName::JobLost, "no"), now());
    frozen.unfreeze(now());
    assert_eq!(run.same_stacks(&frozen), []);

    // Another run holds it.
    let mut released = held_after(good.clone(), &run);
    released.release(&run.id, now());
    assert_eq!(run.same_stacks(&released), []);

    // The rollback leg plans what the run changed.
    run.forward.stacks[0].state = maybe();
    decide(&mut run, ErrorName::ApplyFailed, Some(&good));
    assert_eq!(run.same_stacks(&fits), []);
    let same = SameStack {
        stack: name(&run, 0),
        same_as: good.commit,
        outputs: outputs(0),
        dependencies: None,
    };
    assert!(run.skipped(&same, now()).is_err());
}

#[test]
fn a_rollback_leaves_skipped_stacks_alone() {
    let mut run = chain();
    let mut good = same(&run);
    good.digests.insert(name(&run, 3), digest(9));
    let environment = held_after(good.clone(), &run);
    assert_eq!(skip(&mut run, &environment), [0, 1, 2]);
    run.forward.stacks[3].state = maybe();
    decide(&mut run, ErrorName::ApplyFailed, Some(&good));
    let planned: Vec<&StackName> = run.leg().stacks().iter().map(StackRun::name).collect();
    assert_eq!(planned, [run.forward.stacks[3].name()]);
    // Their outputs are those that this run keeps.
    assert_eq!(run.outputs().get(&name(&run, 0)), Some(&outputs(0)));
}

/// Run 2 planned stack 0, found nothing to change and new outputs, and failed before it applied
/// stack 1 with them. The rollback leaves both stacks alone.
#[test]
fn after_a_rollback_a_stack_that_needs_other_outputs_is_planned() {
    for (other, expected) in [(false, vec![0, 3, 1, 2]), (true, vec![0, 3])] {
        let mut run = chain();
        let good = same(&run);
        let mut environment = held_after(good.clone(), &run);
        environment.begin_changes(&run.id, 2).unwrap();
        run.forward.stacks[0].state = StackState::Unchanged;
        run.forward.stacks[0].outputs = Some(outputs(if other { 9 } else { 0 }));
        run.forward.stacks[3].state = maybe();
        decide(&mut run, ErrorName::ApplyFailed, Some(&good));
        environment
            .record_rollback(
                &run.id,
                2,
                run.outputs(),
                run.restored_dependencies(),
                run.blame(),
                now(),
            )
            .unwrap();
        environment.release(&run.id, now());

        let mut next = chain();
        next.id = RunId::parse("next").unwrap();
        let commit = CommitId::parse(&"c".repeat(40)).unwrap();
        environment.acquire(wait(&next.id, &commit), QueueRule::Every, now());
        assert_eq!(skip(&mut next, &environment), expected, "other: {other}");
        assert_eq!(
            next.leg().next_wave() == Wave::Plan(vec![name(&next, 1)]),
            other
        );
    }
}

proptest! {
    #[test]
    fn a_skipped_stack_has_the_digest_and_the_inputs_of_last_good(
        same_digests in prop::collection::vec(any::<bool>(), 4),
        same_outputs in prop::collection::vec(any::<bool>(), 4),
    ) {
        let mut run = chain();
        let mut good = same(&run);
        for (n, same) in same_digests.iter().enumerate() {
            if !same {
                good.digests.insert(name(&run, n), digest(100));
            }
        }
        let environment = held_after(good.clone(), &run);
        loop {
            skip(&mut run, &environment);
            let Wave::Plan(wave) = run.leg().next_wave() else {
                break;
            };
            for stack in wave {
                let n = run.forward.stacks.iter().position(|it| *it.name() == stack).unwrap();
                let stack = &mut run.forward.stacks[n];
                stack.state = StackState::Unchanged;
                let n = u8::try_from(n).unwrap();
                stack.outputs = Some(outputs(if same_outputs[usize::from(n)] { n } else { n + 50 }));
            }
        }
        for (stack, same) in run.forward.stacks.iter().zip(same_digests) {
            let sha256 = |outputs: Option<&ObjectRef>| outputs.map(|one| one.sha256.clone());
            let now = run.outputs();
            let same_inputs = stack
                .spec()
                .needs
                .iter()
                .all(|need| sha256(now.get(need)) == sha256(good.outputs.get(need)));
            let is_skipped = matches!(stack.state(), StackState::Skipped { .. });
            prop_assert_eq!(is_skipped, same && same_inputs);
            if is_skipped {
                prop_assert_eq!(stack.outputs(), good.outputs.get(stack.name()));
            }
        }
    }
}

#[test]
fn a_stack_that_got_the_state_of_another_is_planned() {
    let mut run = chain();
    let good = same(&run);
    let first = run.forward.stacks[0].clone();
    assert!(run.same_outputs(&first, &good).is_some());
    run.forward.stacks[0].spec_mut().renamed_from = Some(name(&run, 3));
    let first = run.forward.stacks[0].clone();
    assert_eq!(run.same_outputs(&first, &good), None);
}
