//! The table of states in statemachine/README.md, made from the file itself.
//!
//! `UPDATE_EXPECT=1 cargo test -p sluicegate-tests` rewrites it.

use crate::{deliver, text};
use std::fmt::Write as _;
use tests::asl::{BRANCH_STOPPED, Resource, State};

const README: &str = "statemachine/README.md";
const BEGIN: &str = "<!-- the table of states: made by tests/contract/readme.rs -->\n";
const END: &str = "<!-- the end of the table -->\n";

/// Where the source of a step's action is: the file of that name, else the crate's lib.
fn file(function: &str, action: &str) -> String {
    let folder = function.replace('_', "-");
    let action = match action {
        "request-approval" => "judge",
        other => other,
    };
    let candidates = [
        format!("crates/lambdas/{folder}/src/{action}.rs"),
        format!("crates/lambdas/{folder}/src/lib.rs"),
    ];
    candidates
        .into_iter()
        .find(|path| tests::root().join(path).exists())
        .unwrap()
}

fn calls(state: &State) -> String {
    let State::Task(task) = state else {
        return match state {
            State::Parallel(_) => "branches, at once",
            State::Map(_) => "each stack, at once",
            State::Choice(_) => "branches on a word",
            State::Wait(_) => "waits",
            State::Pass(_) => "nothing",
            State::Succeed(_) => "ends SUCCEEDED",
            State::Fail(fail) if fail.error == BRANCH_STOPPED => "ends all branches by its error",
            State::Fail(_) => "ends FAILED",
            State::Task(_) => unreachable!(),
        }
        .to_owned();
    };
    match task.resource {
        Resource::Lambda | Resource::LambdaWithToken => {
            let function = task.function().unwrap();
            let action = task.action().unwrap();
            let file = file(function, action);
            let waits = if task.resource == Resource::LambdaWithToken {
                ", then waits for its token"
            } else {
                ""
            };
            let name = function.replace('_', "-");
            format!("[`{name} {action}`](../{file}){waits}")
        }
        Resource::Batch => {
            let verb = task.arguments["ContainerOverrides"]["Command"][0]
                .as_str()
                .unwrap();
            format!("Batch: [`runner {verb}`](../crates/runner/src/{verb}.rs)")
                .replace("src/plan.rs", "src/job.rs")
                .replace("src/apply.rs", "src/job.rs")
        }
        Resource::CodeBuild => {
            "CodeBuild: [`buildspec.yml`](../terraform/modules/build/buildspec.yml)".to_owned()
        }
    }
}

fn caught(state: &State) -> String {
    let parts: Vec<String> = state
        .catch()
        .iter()
        .map(|catcher| {
            let names = match catcher.error_equals.join(", ") {
                all if all == "States.ALL" => "all else".to_owned(),
                names => names,
            };
            format!("{names} → {}", catcher.next)
        })
        .collect();
    parts.join("; ")
}

/// What takes a state's effect back.
fn undo(name: &str) -> &'static str {
    match name {
        "Validate" => "Record: ends the claimed run",
        "DecideBuild" | "RunBuild" | "FinishBuild" => {
            "none: an image that nobody deploys harms nobody"
        }
        "AcquireLock" => "Record: gives the environment back",
        "RunFirstPlan" | "RunPlan" | "JudgeFirstPlan" | "JudgePlan" | "NameFirstStacks"
        | "NameNextStacks" => "none: a plan changes nothing",
        "AwaitApproval" => "none: an answer to a plan that is not applied means nothing",
        "StartApply" => "none: a plan that was used stays used",
        "RunApply" | "FinishApply" => "Rollback: plans and applies the last good commit's stacks",
        "StartDeploy" | "CheckDeploy" => "Rollback: rolls the previous image out",
        "Promote" => "none: only what was verified is promoted",
        "Rollback" => "none: there is no way back from the way back",
        "Record" => "none: it ends the run; repeated, it changes nothing",
        other => panic!("{other} is a new task: say here what takes it back"),
    }
}

fn table() -> String {
    let mut table = String::from(
        "| State | Calls | Errors caught → next state | Undo |\n| --- | --- | --- | --- |\n",
    );
    deliver().each(|placed| {
        let indent = "· ".repeat(placed.within.len());
        let undo = match placed.state {
            State::Task(_) => undo(placed.name),
            _ => "",
        };
        let row = format!(
            "| {indent}{} | {} | {} | {undo} |",
            placed.name,
            calls(placed.state),
            caught(placed.state)
        );
        writeln!(
            table,
            "{}",
            row.replace("|  |", "| |").replace("|  |", "| |")
        )
        .unwrap();
    });
    table
}

#[test]
fn the_table_of_states_is_current() {
    let readme = text(README);
    let (head, rest) = readme.split_once(BEGIN).expect("the table's begin");
    let (stands, tail) = rest.split_once(END).expect("the table's end");
    let table = table();
    if stands == table {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_EXPECT").is_some(),
        "the table of states in {README} is not current: run this test with UPDATE_EXPECT=1"
    );
    let path = tests::root().join(README);
    std::fs::write(path, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
}
