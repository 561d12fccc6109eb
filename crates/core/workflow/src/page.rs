//! The generated parts of READMEs: the table of states and the diagram in `statemachine/`, and the path of
//! a push in `crates/`.

use crate::errors::ErrorMatch;
use crate::state::{Call, Level, Machine, State, States};
use domain::step::Action;
use std::fmt::Write as _;

/// Returns the table of states. `source` returns the path of an action's source file, from the
/// repository's root.
#[must_use]
pub fn table(machine: &Machine, source: impl Fn(Action) -> String) -> String {
    let mut rows =
        String::from("| State | Does | On an error | Undo |\n| --- | --- | --- | --- |\n");
    machine.each(|placed| {
        let cells = [
            "· ".repeat(placed.within.len()) + placed.name,
            does(placed.state, &source),
            on_error(placed.state),
            match placed.state {
                State::Task(task) => task.undo.to_owned(),
                _ => String::new(),
            },
        ];
        for cell in cells {
            rows.push('|');
            if !cell.is_empty() {
                rows.push(' ');
                rows.push_str(&cell);
            }
            rows.push(' ');
        }
        rows.push_str("|\n");
    });
    rows
}

fn does(state: &State, source: impl Fn(Action) -> String) -> String {
    let lambda = |action: Action| {
        let (step, name) = (action.step().as_str(), action.as_str());
        format!("[`{step} {name}`](../{})", source(action))
    };
    match state {
        State::Task(task) => match task.call {
            Call::Lambda(action) => lambda(action),
            Call::LambdaWithToken(action) => lambda(action) + ", then waits for the task token",
            Call::Job(verb) => format!(
                "Batch: [`runner {}`](../crates/runner/README.md)",
                verb.as_str()
            ),
            Call::Build(kind) => {
                format!("CodeBuild: [`{kind}.yml`](../terraform/modules/build/{kind}.yml)")
            }
        },
        State::Choice(_) => "branches on a verdict".to_owned(),
        State::Parallel(_) => "runs its branches at the same time".to_owned(),
        State::Map(_) => "runs its states for each stack at the same time".to_owned(),
        State::Pass(_) => "passes its input on".to_owned(),
        State::Wait(wait) => format!("waits {} s", wait.seconds),
        State::Succeed(_) => "ends SUCCEEDED".to_owned(),
        State::Fail(fail) if ends_branches(fail) => "ends all branches with its error".to_owned(),
        State::Fail(_) => "ends FAILED".to_owned(),
    }
}

/// Returns the source files that the state machine calls, in the order of a delivery, each with the
/// states that call it and their comments. `source` returns the path of a call's
/// source file, from `crates/`.
#[must_use]
pub fn stations(machine: &Machine, source: impl Fn(Call) -> String) -> String {
    let mut stations: Vec<(String, Vec<String>, Vec<&str>)> = Vec::new();
    for (name, task) in machine.tasks() {
        let (path, name) = (source(task.call), format!("`{name}`"));
        match stations.iter_mut().find(|(other, ..)| *other == path) {
            Some((_, names, comments)) => {
                names.push(name);
                if !comments.contains(&task.comment) {
                    comments.push(task.comment);
                }
            }
            None => stations.push((path, vec![name], vec![task.comment])),
        }
    }
    let mut lines = String::new();
    for (path, names, comments) in stations {
        let (names, comments) = (names.join(", "), comments.join(" "));
        line(
            &mut lines,
            "",
            format_args!("- [`{path}`]({path}) ({names}): {comments}"),
        );
    }
    lines
}

fn ends_branches(fail: &crate::state::Fail) -> bool {
    fail.error == crate::expression::Template::text(ErrorMatch::BranchStopped.as_str())
}

/// Returns the destinations of errors: those with a catch of their own, and all others.
fn on_error(state: &State) -> String {
    let Some(rest) = state.catch().last() else {
        return String::new();
    };
    let named: Vec<String> = state
        .catch()
        .iter()
        .filter(|catch| catch.next != rest.next)
        .map(|catch| {
            let names = catch.error_equals.iter().map(|error| error.as_str());
            let names: Vec<&str> = names.collect();
            format!("{} → {}", names.join(", "), catch.next)
        })
        .collect();
    if named.is_empty() {
        format!("→ {}", rest.next)
    } else {
        format!("{}; any other → {}", named.join("; "), rest.next)
    }
}

/// Returns a Mermaid diagram. Dotted arrows are errors that have a catch of their own, or that
/// leave a composite state.
#[must_use]
pub fn diagram(machine: &Machine) -> String {
    let mut lines = String::from("```mermaid\nstateDiagram-v2\n");
    let level = Level {
        start_at: machine.start_at,
        states: machine.states.clone(),
    };
    draw(&mut lines, &level, 1);
    lines.push_str("```\n");
    lines
}

fn draw(lines: &mut String, level: &Level, depth: usize) {
    let indent = "  ".repeat(depth);
    line(lines, &indent, format_args!("[*] --> {}", level.start_at));
    for (name, state) in &level.states.0 {
        let inner = state.levels();
        if !inner.is_empty() {
            line(lines, &indent, format_args!("state {name} {{"));
            for (index, inside) in inner.iter().enumerate() {
                if index > 0 {
                    line(lines, &indent, format_args!("  --"));
                }
                draw(lines, inside, depth + 1);
            }
            line(lines, &indent, format_args!("}}"));
        }
        if let State::Choice(choice) = state {
            for rule in &choice.choices {
                let label = label(&rule.condition.to_string());
                line(
                    lines,
                    &indent,
                    format_args!("{name} --> {}: {label}", rule.next),
                );
            }
            line(
                lines,
                &indent,
                format_args!("{name} --> {}: otherwise", choice.default),
            );
        } else {
            let next = state.successors();
            for next in &next {
                line(lines, &indent, format_args!("{name} --> {next}"));
            }
            for next in error_targets(&level.states, state) {
                if !state.successors().contains(&next) {
                    line(lines, &indent, format_args!("{name} --> {next}: error"));
                }
            }
            if next.is_empty() {
                line(lines, &indent, format_args!("{name} --> [*]"));
            }
        }
    }
}

fn error_targets(states: &States, state: &State) -> Vec<&'static str> {
    let mut targets: Vec<&'static str> = Vec::new();
    for catch in state.catch() {
        if states.get(catch.next).is_some() && !targets.contains(&catch.next) {
            targets.push(catch.next);
        }
    }
    targets
}

/// Returns the verdict in a condition.
fn label(condition: &str) -> String {
    condition.split('\'').nth(1).unwrap_or(condition).to_owned()
}

fn line(lines: &mut String, indent: &str, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _written = writeln!(lines, "{indent}{text}");
}
