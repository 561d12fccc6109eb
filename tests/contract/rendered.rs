//! The files that `crates/core/workflow` renders: the state machine, its time limits, and the table
//! and the diagram in statemachine/README.md.
//!
//! `UPDATE_EXPECT=1 cargo test -p sluicegate-tests --test contract rendered` updates them.

use crate::text;
use domain::step::{Action, Step};
use workflow::deliver::deliver;
use workflow::limits::Limits;
use workflow::page;

const README: &str = "statemachine/README.md";

/// Compares a committed file with its expected content, or updates it.
fn expect(path: &str, expected: &str) {
    let full = tests::root().join(path);
    let current = std::fs::read_to_string(&full).unwrap_or_default();
    if current == expected {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_EXPECT").is_some(),
        "{path} is not current: run `UPDATE_EXPECT=1 cargo test -p sluicegate-tests --test contract rendered`"
    );
    std::fs::write(full, expected).unwrap();
}

/// Returns the path of an action's source: the file with its name.
fn source(action: Action) -> String {
    let step = action.step().as_str();
    let name = action.as_str().replace('-', "_");
    format!("crates/lambdas/{step}/src/{name}.rs")
}

/// Replaces the text between the markers `begin NAME` and `end NAME` of a README.
fn with_section(readme: &str, name: &str, section: &str) -> String {
    let begin = format!("<!-- begin {name}: rendered by tests/contract/rendered.rs -->\n");
    let end = format!("<!-- end {name} -->\n");
    let (head, rest) = readme
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{README} has no line {begin:?}"));
    let (_, tail) = rest
        .split_once(&end)
        .unwrap_or_else(|| panic!("{README} has no line {end:?}"));
    format!("{head}{begin}{section}{end}{tail}")
}

#[test]
fn the_state_machine_is_current() {
    expect(tests::STATE_MACHINE, &deliver().unwrap().render().unwrap());
}

#[test]
fn the_time_limits_are_current() {
    let limits = Limits::of(&deliver().unwrap());
    expect("statemachine/limits.json", &limits.render().unwrap());
}

#[test]
fn the_readme_is_current() {
    let machine = deliver().unwrap();
    let readme = text(README);
    let readme = with_section(&readme, "table of states", &page::table(&machine, source));
    let readme = with_section(&readme, "diagram", &page::diagram(&machine));
    expect(README, &readme);
}

#[test]
fn every_action_says_what_undoes_it_and_why_it_can_run_twice() {
    for action in Action::ALL {
        let path = source(action);
        let source = text(&path);
        let head = source.split("\nuse ").next().unwrap();
        let title = format!("//! The action `{}`: ", action.as_str());
        assert!(head.starts_with(&title), "{path} begins with {title:?}");
        for part in ["Decides", "Undo: ", "Running it twice is safe."] {
            assert!(head.contains(part), "{path} says {part:?} at its top");
        }
        let errors = head.contains("Fails with") || head.contains("aises no error");
        assert!(errors, "{path} says at its top which errors it raises");
    }
}

/// A variant that no test builds is missing in the snapshot of its Lambda's errors.
#[test]
fn the_text_of_every_error_of_a_step_is_in_a_snapshot() {
    for step in Step::ALL {
        let folder = format!("crates/lambdas/{}/src", step.as_str());
        if !tests::root().join(&folder).join("error.rs").exists() {
            continue;
        }
        let errors = text(&format!("{folder}/error.rs"));
        let snapshot = text(&format!("{folder}/tests.rs"));
        let variants: Vec<&str> = errors
            .split("\nimpl ")
            .next()
            .unwrap()
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
            .map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap())
            .collect();
        assert!(!variants.is_empty(), "{folder}/error.rs");
        for variant in variants {
            let built = format!("Error::{variant} ");
            assert!(
                snapshot.contains(&built),
                "{folder}/tests.rs has no {built:?}"
            );
        }
    }
}
