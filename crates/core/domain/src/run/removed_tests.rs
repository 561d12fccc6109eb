//! Stacks that the run's commit removes or renames.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::tests::{config, decide, good, maybe, name, now, object, run, source, stack};
use super::*;
use crate::config::Removed;
use crate::error::ErrorName;
use crate::plan::{ObjectRef, PlanKind};

/// Returns a run with stack 0, whose configuration wants stacks 1 and 2 of last good destroyed.
fn removing() -> Run {
    let mut run = run(Vec::new());
    run.accepted = None;
    let mut config = config(vec![stack(0, &[])]);
    config.removed = [1, 2].map(|n| (name(n), Removed::Destroy)).into();
    run.accept(source(), config, now()).unwrap();
    run
}

#[test]
fn a_stack_is_destroyed_before_the_stack_that_it_needs_with_the_outputs_of_last_good() {
    let mut run = removing();
    let mut last = good(vec![stack(0, &[]), stack(1, &[0]), stack(2, &[1])]);
    for n in 0..3 {
        last.outputs.insert(name(n), object());
    }
    last.outputs.get_mut(&name(1)).unwrap().key = "last good".into();
    last.dependencies.insert(name(2), object());
    for _ in 0..2 {
        run.destroy_removed(&last, now()).unwrap();
        assert_eq!(run.forward.stacks.len(), 3);
    }
    for expected in [0, 2, 1] {
        let wave = run.leg().next_wave();
        assert_eq!(wave, Wave::Plan(vec![name(expected)]));
        let stack = run.stack(&name(expected)).unwrap();
        let destroyed = expected != 0;
        assert_eq!(stack.plan_kind() == PlanKind::Destroy, destroyed);
        let (_, commit) = run.source_of(stack).unwrap();
        assert_eq!(*commit == last.commit, destroyed);
        if expected == 2 {
            assert_eq!(run.inputs(stack)[&name(1)].key, "last good");
            assert_eq!(stack.dependencies(), Some(&object()), "of last good");
        }
        run.open_stack(&name(expected)).unwrap().state = StackState::Unchanged;
    }
    assert_eq!(run.leg().next_wave(), Wave::Done);
    let known: Vec<StackName> = run
        .to_last_good(now())
        .unwrap()
        .outputs
        .into_keys()
        .collect();
    assert!(known.iter().all(|known| *known == name(0)), "{known:?}");
}

#[test]
fn a_rollback_makes_a_destroyed_stack_again_and_destroys_none() {
    let mut run = removing();
    let last = good(vec![stack(0, &[]), stack(1, &[]), stack(2, &[])]);
    run.destroy_removed(&last, now()).unwrap();
    run.open_stack(&name(1)).unwrap().state = maybe();
    decide(&mut run, ErrorName::ApplyFailed, Some(&last));
    let back: Vec<(&StackName, PlanKind)> = run
        .leg()
        .stacks()
        .iter()
        .map(|stack| (stack.name(), stack.plan_kind()))
        .collect();
    assert_eq!(back, [(&name(1), PlanKind::Normal)]);
}

/// The state goes by the first name, so destroying the new name would destroy the old one.
#[test]
fn a_rollback_of_a_renamed_stack_destroys_none() {
    let mut renamed = stack(7, &[]);
    renamed.renamed_from = Some(name(0));
    let mut run = run(vec![renamed]);
    run.open_stack(&name(7)).unwrap().state = maybe();
    let last = good(vec![stack(0, &[])]);
    decide(&mut run, ErrorName::ApplyFailed, Some(&last));
    let back = run.leg().stacks();
    assert_eq!(back.len(), 1);
    assert_eq!(
        (back[0].name(), back[0].plan_kind()),
        (&name(0), PlanKind::Normal)
    );
}

/// Stacks 0 and 1 exchange their names, so the outputs of each go by the other's name in the last good
/// commit.
#[test]
fn a_rollback_of_exchanged_names_gives_each_stack_the_outputs_of_its_own_state() {
    let exchanged = |name: usize, from: usize| {
        let mut stack = stack(name, &[]);
        stack.renamed_from = Some(super::tests::name(from));
        stack
    };
    let mut run = run(vec![exchanged(0, 1), exchanged(1, 0), stack(2, &[0])]);
    let outputs = |key: &str| ObjectRef {
        key: key.into(),
        ..object()
    };
    for (n, key) in [(0, "of state 1"), (1, "of state 0")] {
        let stack = run.open_stack(&name(n)).unwrap();
        stack.state = StackState::Unchanged;
        stack.outputs = Some(outputs(key));
    }
    run.open_stack(&name(2)).unwrap().state = maybe();
    let last = good(vec![stack(0, &[]), stack(1, &[]), stack(2, &[0])]);
    decide(&mut run, ErrorName::ApplyFailed, Some(&last));
    let known = run.outputs();
    assert_eq!(known[&name(0)].key, "of state 0");
    assert_eq!(known[&name(1)].key, "of state 1");
    let inputs = run.inputs(run.stack(&name(2)).unwrap());
    assert_eq!(inputs[&name(0)].key, "of state 0");
}
