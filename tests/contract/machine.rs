//! The form of the state machine.

use crate::deliver;
use serde_json::json;
use std::collections::BTreeSet;
use tests::asl::{BRANCH_STOPPED, Catcher, FILE, Machine, Resource, State, States};

fn levels(machine: &Machine) -> Vec<(String, String, States)> {
    let mut levels = vec![(
        "the top".to_owned(),
        machine.start_at.clone(),
        machine.states.clone(),
    )];
    machine.each(|placed| {
        for (start, states) in placed.state.inside() {
            levels.push((placed.name.to_owned(), start.to_owned(), states.clone()));
        }
    });
    levels
}

fn reachable<'s>(
    states: &'s States,
    start: &'s str,
    closed: impl Fn(&str) -> bool,
) -> BTreeSet<&'s str> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![start];
    while let Some(name) = todo.pop() {
        if seen.insert(name)
            && !closed(name)
            && let Some(state) = states.get(name)
        {
            todo.extend(state.followers());
        }
    }
    seen
}

#[test]
fn every_way_leads_to_a_state_and_every_state_is_on_a_way() {
    for (level, start, states) in levels(&deliver()) {
        let names: BTreeSet<&str> = states.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(reachable(&states, &start, |_| false), names, "in {level}");
    }
}

#[test]
fn every_state_goes_on_or_ends() {
    let machine = deliver();
    machine.each(|placed| {
        let name = placed.name;
        let (next, ends) = placed.state.next_or_end();
        match placed.state {
            State::Choice(_) => {}
            State::Fail(fail) if fail.error == BRANCH_STOPPED => {
                let outer = placed.within.last().and_then(|outer| machine.find(outer));
                assert!(
                    matches!(outer, Some(State::Parallel(_))),
                    "{name} ends no branch of a Parallel"
                );
            }
            State::Succeed(_) | State::Fail(_) => {
                assert!(placed.within.is_empty(), "{name} ends more than its level");
            }
            State::Task(_)
            | State::Parallel(_)
            | State::Map(_)
            | State::Pass(_)
            | State::Wait(_) => {
                assert!(
                    next.is_some() != ends,
                    "{name} has either Next or End: true"
                );
                assert!(
                    !(placed.within.is_empty() && ends),
                    "{name} ends the execution; only Succeed and Fail do"
                );
            }
        }
    });
}

#[test]
fn names_are_unique_at_all_depths_and_in_pascal_case() {
    let mut names = BTreeSet::new();
    deliver().each(|placed| {
        let name = placed.name;
        assert!(
            names.insert(name.to_owned()),
            "{name} comes twice: history could not tell them apart"
        );
        assert!(
            name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.chars().all(|c| c.is_ascii_alphanumeric())
                && name.len() <= 80,
            "{name} is not in PascalCase"
        );
    });
}

#[test]
fn every_state_says_what_it_is_for() {
    let machine = deliver();
    assert!(machine.comment.ends_with('.'));
    machine.each(|placed| {
        let comment = placed.state.comment();
        assert!(
            comment.len() > 15 && comment.ends_with('.'),
            "{}: {comment:?} is no sentence",
            placed.name
        );
    });
}

#[test]
fn every_task_ends_in_time_and_is_retried_within_bounds() {
    let machine = deliver();
    let mut longest = 0;
    for (name, task) in machine.tasks() {
        longest = longest.max(task.timeout_seconds);
        assert!(task.timeout_seconds > 0, "{name} has a timeout");
        assert!(!task.retry.is_empty(), "{name} retries what may pass");
        for retrier in &task.retry {
            assert!(
                (1..=12).contains(&retrier.max_attempts)
                    && retrier.backoff_rate > 1.0
                    && retrier.interval_seconds >= 1
                    && retrier.interval_seconds < retrier.max_delay_seconds,
                "{name}: {retrier:?}"
            );
            let waits = retrier.max_attempts * retrier.max_delay_seconds;
            assert!(waits <= 720, "{name} may wait {waits} s between its tries");
            for wildcard in ["States.ALL", "States.TaskFailed"] {
                assert!(
                    !retrier.error_equals.iter().any(|name| name == wildcard),
                    "{name} retries errors by their names, not by {wildcard}"
                );
            }
        }
    }
    assert!(
        machine.timeout_seconds > 2 * longest,
        "an execution has time for its longest task and the way back"
    );
}

#[test]
fn all_tasks_of_a_kind_are_retried_alike() {
    let tasks = deliver().tasks();
    let kind = |resource: Resource| match resource {
        Resource::Lambda | Resource::LambdaWithToken => "Lambda",
        Resource::Batch => "Batch",
        Resource::CodeBuild => "CodeBuild",
    };
    for (name, task) in &tasks {
        let (first, like) = tasks
            .iter()
            .find(|(_, other)| kind(other.resource) == kind(task.resource))
            .unwrap();
        let mut retry = task.retry.clone();
        if name == "Validate" {
            // A push is announced before every replica of the forge has the commit.
            let own = retry.pop().unwrap();
            assert_eq!(own.error_equals, ["CommitNotFound"]);
        }
        let mut like = like.retry.clone();
        like.retain(|retrier| retrier.error_equals != ["CommitNotFound"]);
        assert_eq!(retry, like, "{name} and {first}");
    }
}

fn has_catch_all(catch: &[Catcher]) -> bool {
    catch
        .last()
        .is_some_and(|last| last.error_equals == ["States.ALL"])
}

#[test]
fn every_state_that_may_fail_catches_errors_by_name_before_the_rest() {
    deliver().each(|placed| {
        let (name, catch) = (placed.name, placed.state.catch());
        if !matches!(
            placed.state,
            State::Task(_) | State::Map(_) | State::Parallel(_)
        ) {
            assert!(catch.is_empty(), "{name}");
            return;
        }
        assert!(has_catch_all(catch), "{name} ends its Catch by States.ALL");
        assert!(catch.len() > 1, "{name} catches something by its name");
        let named: Vec<&String> = catch[..catch.len() - 1]
            .iter()
            .flat_map(|catcher| &catcher.error_equals)
            .collect();
        let unique: BTreeSet<&String> = named.iter().copied().collect();
        assert_eq!(unique.len(), named.len(), "{name} names an error once");
        assert!(
            !unique.contains(&"States.ALL".to_owned()),
            "{name}: States.ALL stands alone"
        );
    });
}

/// `States.ALL` does not catch `States.DataLimitExceeded`: without its name an answer that grew
/// too large would end the execution without a record.
#[test]
fn an_answer_that_is_too_large_is_caught_too() {
    let machine = deliver();
    machine.each(|placed| {
        let catch = placed.state.catch();
        let mut named = catch.iter().flat_map(|catcher| &catcher.error_equals);
        assert!(
            catch.is_empty() || named.any(|error| error == "States.DataLimitExceeded"),
            "{}",
            placed.name
        );
    });
}

#[test]
fn nothing_ends_before_it_was_recorded() {
    let machine = deliver();
    let before_record = reachable(&machine.states, &machine.start_at, |name| name == "Record");
    for name in before_record {
        match machine.states.get(name).unwrap() {
            State::Fail(_) => panic!("{name} ends the execution, but nobody recorded the run"),
            State::Succeed(_) => assert_eq!(name, "Duplicate", "another execution records the run"),
            _ => {}
        }
    }
}

#[test]
fn an_error_keeps_its_first_cause() {
    let machine = deliver();
    for (name, state) in &machine.states.0 {
        for catcher in state.catch() {
            let kept = catcher.assign.get("error");
            match (name.as_str(), catcher.next.as_str()) {
                // The error that led there stands in the variable already.
                ("Rollback", "Record") | ("Record", "RecordLost") => {
                    assert_eq!(kept, None, "{name}");
                }
                (_, "Rollback") if catcher.error_equals == [BRANCH_STOPPED] => {
                    assert_eq!(kept.unwrap(), "{% $parse($states.errorOutput.Cause) %}");
                }
                (_, "Rollback" | "Record") => {
                    assert_eq!(kept.unwrap(), "{% $states.errorOutput %}", "{name}");
                }
                (_, next) => panic!("{name} sends an error to {next}"),
            }
        }
    }
}

/// A branch cannot leave to Rollback: a Fail in it ends the other branch and hands the error,
/// whatever its name, to the Parallel. Its cause may have 32,768 characters; escaped for JSON, 5,000
/// have at most six times as many.
#[test]
fn an_error_in_a_branch_reaches_what_the_branch_is_in() {
    let mut ways = 0;
    deliver().each(|placed| {
        let State::Parallel(parallel) = placed.state else {
            return;
        };
        assert_eq!(parallel.catch[0].error_equals, [BRANCH_STOPPED]);
        for branch in &parallel.branches {
            for (name, state) in &branch.states.0 {
                for catcher in state.catch() {
                    assert_eq!(
                        catcher.output.as_ref().unwrap(),
                        &json!({"error": "{% $states.errorOutput %}"}),
                        "{name}"
                    );
                    // What a build ended with is read by the next step, which raises it.
                    let next = branch.states.get(&catcher.next);
                    assert!(
                        matches!(next, Some(State::Fail(_)))
                            || (name.as_str(), catcher.next.as_str()) == ("RunBuild", "FinishBuild"),
                        "{name} sends an error to {}",
                        catcher.next
                    );
                }
                let State::Fail(fail) = state else { continue };
                assert_eq!(fail.error, BRANCH_STOPPED, "{name}");
                assert_eq!(
                    fail.cause,
                    "{% $string({'Error': $states.input.error.Error, 'Cause': $substring($states.input.error.Cause ? $states.input.error.Cause : '', 0, 5000)}) %}",
                    "{name}"
                );
                ways += 1;
            }
        }
    });
    assert_eq!(ways, 2, "one in each branch");
}

/// A failed iteration stops all others where they are. An apply that is stopped in the middle
/// leaves half of its resources, a plan that is stopped may leave its state locked.
#[test]
fn a_stack_that_fails_stops_no_other() {
    let machine = deliver();
    machine.each(|placed| {
        let State::Map(map) = placed.state else {
            return;
        };
        let states = &map.item_processor.states;
        for (name, state) in &states.0 {
            if matches!(state, State::Task(_)) {
                assert!(has_catch_all(state.catch()), "{name}");
            }
            for catcher in state.catch() {
                assert!(states.get(&catcher.next).is_some(), "{name}");
            }
        }
    });
}

#[test]
fn the_first_plans_are_made_as_all_others() {
    let machine = deliver();
    let show = |name: &str| {
        let State::Map(map) = machine.find(name).unwrap() else {
            panic!("{name} is no Map");
        };
        let mut states: Vec<String> = map
            .item_processor
            .states
            .0
            .iter()
            .map(|state| format!("{state:?}"))
            .map(|state| state.replace("NameFirstStacks", "NameNextStacks"))
            .map(|state| state.replace("First", ""))
            .collect();
        states.sort();
        let start = map.item_processor.start_at.replace("First", "");
        (map.items.clone(), map.max_concurrency, start, states)
    };
    assert_eq!(show("PlanFirstStacks"), show("PlanStacks"));
}

#[test]
fn the_file_is_written_as_a_person_reads_it() {
    let text = crate::text(FILE);
    assert!(text.ends_with("}\n") && !text.contains('\t'));
    assert!(text.lines().all(|line| line == line.trim_end()));
}
