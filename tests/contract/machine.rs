//! Rules for the state machine that the builder's types do not enforce.

use domain::plan::Verdict;
use std::collections::BTreeSet;
use workflow::deliver::deliver;
use workflow::errors::{AwsError, ErrorMatch};
use workflow::expression::{Expression, FAILED, verdict_text};
use workflow::state::{Level, Machine, Next, State, States};

fn machine() -> Machine {
    deliver().unwrap()
}

/// Returns the top level and all nested levels, each with the name of the state that contains it.
fn levels(machine: &Machine) -> Vec<(&'static str, Level)> {
    let top = Level {
        start_at: machine.start_at,
        states: machine.states.clone(),
    };
    let mut levels = vec![("the top", top)];
    machine.each(|placed| {
        let inner = placed.state.levels().into_iter().cloned();
        levels.extend(inner.map(|level| (placed.name, level)));
    });
    levels
}

fn reachable(
    states: &States,
    start: &'static str,
    closed: impl Fn(&str) -> bool,
) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        if seen.insert(name)
            && !closed(name)
            && let Some(state) = states.get(name)
        {
            open.extend(state.successors());
            open.extend(state.catch().iter().map(|catch| catch.next));
        }
    }
    seen
}

#[test]
fn every_next_state_exists_and_every_state_is_reached() {
    for (place, level) in levels(&machine()) {
        let names: BTreeSet<&str> = level.states.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            reachable(&level.states, level.start_at, |_| false),
            names,
            "in {place}"
        );
    }
}

#[test]
fn only_succeed_and_fail_end_the_execution() {
    machine().each(|placed| {
        let ends = match placed.state {
            State::Task(task) => task.next == Next::End(true),
            State::Parallel(parallel) => parallel.next == Next::End(true),
            State::Map(map) => map.next == Next::End(true),
            State::Pass(pass) => pass.next == Next::End(true),
            State::Succeed(_) => {
                assert!(placed.within.is_empty(), "{}", placed.name);
                false
            }
            State::Choice(_) | State::Wait(_) | State::Fail(_) => false,
        };
        assert!(!(ends && placed.within.is_empty()), "{}", placed.name);
    });
}

#[test]
fn names_are_unique_at_all_levels_and_in_pascal_case() {
    let mut names = BTreeSet::new();
    machine().each(|placed| {
        let name = placed.name;
        assert!(names.insert(name), "{name} is in two places");
        assert!(
            name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.chars().all(|c| c.is_ascii_alphanumeric())
                && name.len() <= 80,
            "{name} is not in PascalCase"
        );
    });
}

#[test]
fn every_state_says_what_it_is_for_and_every_task_what_undoes_it() {
    let machine = machine();
    machine.each(|placed| {
        let comment = placed.state.comment();
        assert!(
            comment.len() > 15 && comment.ends_with('.'),
            "{}: {comment:?} is not a sentence",
            placed.name
        );
    });
    for (name, task) in machine.tasks() {
        assert!(task.undo.contains(": "), "{name}: {:?}", task.undo);
    }
}

#[test]
fn every_error_of_every_state_is_caught() {
    machine().each(|placed| {
        let (name, catch) = (placed.name, placed.state.catch());
        if !matches!(
            placed.state,
            State::Task(_) | State::Map(_) | State::Parallel(_)
        ) {
            return;
        }
        let last = catch.last().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            last.error_equals,
            [ErrorMatch::Aws(AwsError::All)],
            "{name}"
        );
        let too_large = ErrorMatch::Aws(AwsError::DataLimitExceeded);
        assert!(
            catch.iter().any(|one| one.error_equals == [too_large]),
            "{name}: States.ALL does not match States.DataLimitExceeded"
        );
        let mut named: Vec<&str> = catch
            .iter()
            .flat_map(|one| &one.error_equals)
            .map(|error| error.as_str())
            .collect();
        named.sort_unstable();
        let count = named.len();
        named.dedup();
        assert_eq!(count, named.len(), "{name} catches an error twice");
    });
}

#[test]
fn retries_are_bounded() {
    let machine = machine();
    for (name, task) in machine.tasks() {
        for retry in &task.retry {
            let waits = retry.max_attempts * retry.max_delay_seconds;
            assert!(waits <= 720, "{name} may wait {waits} s between its tries");
        }
        assert!(
            machine.timeout_seconds > 2 * task.timeout_seconds,
            "an execution has time for {name} and a rollback"
        );
    }
}

#[test]
fn every_run_is_recorded_before_its_execution_ends() {
    let machine = machine();
    let before_record = reachable(&machine.states, machine.start_at, |name| name == "Record");
    for name in before_record {
        match machine.states.get(name).unwrap() {
            State::Fail(_) => panic!("{name} ends the execution before Record"),
            State::Succeed(_) => assert_eq!(name, "Duplicate", "another execution records the run"),
            _ => {}
        }
    }
}

#[test]
fn the_first_error_is_kept() {
    for (name, state) in &machine().states.0 {
        for catch in state.catch() {
            let kept = catch
                .assign
                .iter()
                .find(|(variable, _)| *variable == "error");
            match (*name, catch.next) {
                ("Rollback", "Record") | ("Record", "RecordLost") => {
                    assert_eq!(kept, None, "{name} is reached with an error");
                }
                (_, "Rollback" | "Record") => {
                    let branch = catch.error_equals == [ErrorMatch::BranchStopped];
                    let error = if branch {
                        Expression::BranchError
                    } else {
                        Expression::CaughtError
                    };
                    assert_eq!(kept, Some(&("error", error.into())), "{name}");
                }
                (_, next) => panic!("{name} sends an error to {next}"),
            }
        }
    }
}

/// A failed item would stop the others: a stopped apply leaves part of its resources, and a stopped
/// plan may leave its state locked.
#[test]
fn a_stack_that_fails_does_not_stop_others() {
    machine().each(|placed| {
        let State::Map(map) = placed.state else {
            return;
        };
        let states = &map.item_processor.level.states;
        for (name, state) in &states.0 {
            assert!(!matches!(state, State::Fail(_)), "{name}");
            for catch in state.catch() {
                assert!(states.get(catch.next).is_some(), "{name}");
            }
        }
    });
}

#[test]
fn steps_do_not_return_the_verdict_of_a_failed_stack() {
    let verdicts = [Verdict::NoChanges, Verdict::Auto, Verdict::NeedsApproval];
    for verdict in verdicts {
        assert_ne!(verdict_text(&verdict).unwrap(), FAILED);
    }
}
