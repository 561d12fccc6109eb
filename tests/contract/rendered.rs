//! Files that are rendered from the code: the state machine, its time limits, and the marked sections of
//! READMEs.
//!
//! `UPDATE_EXPECT=1 cargo test -p sluicegate-tests --test contract rendered` updates them.

use crate::{crates, text};
use domain::step::{Action, Step};
use workflow::deliver::deliver;
use workflow::limits::Limits;
use workflow::page;
use workflow::state::Call;

const STATES: &str = "statemachine/README.md";
const CRATES: &str = "crates/README.md";

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

/// Returns the path of a call's source, from `crates/`.
fn source_of_call(call: Call) -> String {
    match call {
        Call::Lambda(action) | Call::LambdaWithToken(action) => {
            source(action).replacen("crates/", "", 1)
        }
        Call::Job(_) => "runner/src/job.rs".to_owned(),
        Call::Build(kind) => format!("../terraform/modules/build/{kind}.yml"),
    }
}

/// Compares the sections of a README, or updates them: the text between the markers `begin NAME` and
/// `end NAME`.
fn expect_sections(readme: &str, sections: &[(&str, String)]) {
    let mut expected = text(readme);
    for (name, section) in sections {
        let begin = format!("<!-- begin {name}: rendered by tests/contract/rendered.rs -->\n");
        let end = format!("<!-- end {name} -->\n");
        let (head, rest) = expected
            .split_once(&begin)
            .unwrap_or_else(|| panic!("{readme} has no line {begin:?}"));
        let (_, tail) = rest
            .split_once(&end)
            .unwrap_or_else(|| panic!("{readme} has no line {end:?}"));
        expected = format!("{head}{begin}{section}{end}{tail}");
    }
    expect(readme, &expected);
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
fn the_readme_of_the_state_machine_is_current() {
    let machine = deliver().unwrap();
    let sections = [
        ("table of states", page::table(&machine, source)),
        ("diagram", page::diagram(&machine)),
    ];
    expect_sections(STATES, &sections);
}

#[test]
fn the_readme_of_the_crates_is_current() {
    let machine = deliver().unwrap();
    let sections = [
        ("table of crates", crates::table()),
        ("stations", page::stations(&machine, source_of_call)),
    ];
    expect_sections(CRATES, &sections);
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

/// Returns the literal parts of the text of each error in a file: of `#[error("run {run} has no end")]`, the
/// parts `run ` and ` has no end`.
fn error_texts(source: &str) -> Vec<Vec<String>> {
    let texts = source.split("#[error(").skip(1).map(str::trim_start);
    texts
        .filter_map(|text| text.strip_prefix('"'))
        .map(|text| {
            let (mut parts, mut depth, mut chars) = (vec![String::new()], 0, text.chars());
            loop {
                match chars.next().expect("the end of a text") {
                    '"' => break parts,
                    '{' => depth += 1,
                    '}' => {
                        depth -= 1;
                        parts.push(String::new());
                    }
                    // A line break in the source.
                    '\\' => chars = chars.as_str().trim_start().chars(),
                    c if depth == 0 => parts.last_mut().unwrap().push(c),
                    _ => {}
                }
            }
        })
        .collect()
}

fn has_parts(mut line: &str, parts: &[String]) -> bool {
    parts
        .iter()
        .all(|part| match line.split_once(part.as_str()) {
            Some((_, rest)) => {
                line = rest;
                true
            }
            None => false,
        })
}

/// The snapshot of a Lambda's errors has a line for each variant. A variant without a sample has none.
#[test]
fn the_text_of_every_error_of_a_step_is_in_a_snapshot() {
    for step in Step::ALL {
        let folder = format!("crates/lambdas/{}/src", step.as_str());
        let Ok(source) = std::fs::read_to_string(tests::root().join(&folder).join("error.rs"))
        else {
            continue;
        };
        let snapshots = std::fs::read_dir(tests::root().join(&folder).join("snapshots")).unwrap();
        let path = snapshots
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_str().unwrap().contains("tests__every_error"))
            .unwrap_or_else(|| panic!("{folder} has no snapshot of its errors"));
        let snapshot = std::fs::read_to_string(path).unwrap();
        let (_, shown) = snapshot.rsplit_once("---\n").unwrap();
        let mut lines: Vec<&str> = shown.lines().collect();
        let texts = error_texts(&source);
        assert!(!texts.is_empty(), "{folder}/error.rs");
        for parts in texts {
            let before = lines.len();
            lines.retain(|line| !has_parts(line, &parts));
            assert!(lines.len() < before, "{folder}: no line shows {parts:?}");
        }
        assert!(lines.is_empty(), "{folder}: {lines:?} is not of error.rs");
    }
}

#[test]
fn the_parts_of_a_text_are_found_in_their_order() {
    let source = "#[error(transparent)] #[error(\n  \"run {run} has \\\n   no {}\", what)]";
    let texts = error_texts(source);
    assert_eq!(texts, [["run ", " has no ", ""]]);
    assert!(has_parts("Internal: run 1 has no end", &texts[0]));
    assert!(!has_parts("Internal: has no run ", &texts[0]));
}
