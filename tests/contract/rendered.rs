//! The files that `crates/core/workflow` renders: the state machine, its time limits, and the table
//! and the diagram in statemachine/README.md.
//!
//! `UPDATE_EXPECT=1 cargo test -p sluicegate-tests --test contract rendered` updates them.

use crate::text;
use domain::step::Action;
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

/// Returns the path of an action's source: the file with its name, or the crate's `lib.rs`.
fn source(action: Action) -> String {
    let step = action.step().as_str();
    let name = action.as_str().replace('-', "_");
    // The decision on a plan and the request for its approval share a file.
    let shared = if action == Action::RequestApproval {
        "judge"
    } else {
        "lib"
    };
    [name.as_str(), shared]
        .map(|file| format!("crates/lambdas/{step}/src/{file}.rs"))
        .into_iter()
        .find(|path| tests::root().join(path).exists())
        .unwrap_or_else(|| panic!("the source of {step} {name} is not found"))
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
