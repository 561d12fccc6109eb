//! The cases that run in process and on the emulator. Both suites write what they saw as a line;
//! `matrix/compared.txt` has the lines of the walker, and the emulator's must be the same. So the
//! walker cannot drift from an interpreter of the state machine that others use too.

use domain::error::ErrorName;
use domain::error::ErrorName::{ApprovalRejected, BuildFailed, JobLost};
use domain::run::Outcome;
use domain::run::Outcome::{Applied, Failed, NeedsOperator, Rejected, RolledBack};
use domain::run::{Run, StackState};
use std::collections::BTreeSet;

/// The walker's lines, from the repository's root.
pub const FILE: &str = "tests/matrix/compared.txt";

/// Stacks that both suites deliver.
const STACKS: [&str; 2] = ["app", "data"];

/// A Task that fails once.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The state.
    pub state: &'static str,
    /// The error that it raises.
    pub error: &'static str,
    /// Whether it does its work first, so that only the reply is lost.
    pub after: bool,
}

/// What fails in one delivery, and how it ends.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What fails first.
    pub first: Fault,
    /// What fails afterwards.
    pub second: Option<Fault>,
    /// How the run ends.
    pub outcome: Outcome,
    /// The first error of a run that does not succeed.
    pub cause: ErrorName,
    /// How the execution ends.
    pub execution: Execution,
    /// Whether a person approves each plan.
    pub asks: bool,
    /// Whether the fault stops a branch whose states are visited by chance.
    pub races: bool,
}

/// How an execution ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// SUCCEEDED when the run succeeded, otherwise FAILED with its first error.
    AsTheRun,
    /// FAILED after a successful run that could not be recorded in time.
    Unrecorded,
    /// ABORTED: an operator stopped it.
    Stopped,
}

/// What an integration raises when it has no better name; no Retry matches it.
const TASK_FAILED: &str = "States.TaskFailed";

const fn fails(state: &'static str, outcome: Outcome) -> Case {
    Case {
        first: Fault {
            state,
            error: TASK_FAILED,
            after: false,
        },
        second: None,
        outcome,
        cause: JobLost,
        execution: Execution::AsTheRun,
        asks: false,
        races: false,
    }
}

const fn loses_reply(state: &'static str, outcome: Outcome) -> Case {
    let mut case = fails(state, outcome);
    case.first.after = true;
    case
}

/// The cases: an error in a branch, of a Task at the top, of a job in a Map, in a rollback and in
/// Record; a lost reply of a Lambda and of a job; a timeout that has a Catch of its own.
pub const CASES: [Case; 8] = [
    Case {
        cause: BuildFailed,
        races: true,
        ..fails("RunBuild", Failed)
    },
    loses_reply("Validate", Failed),
    fails("RunApply", RolledBack),
    loses_reply("RunApply", Applied),
    loses_reply("StartDeploy", RolledBack),
    Case {
        second: Some(Fault {
            state: "Rollback",
            error: TASK_FAILED,
            after: false,
        }),
        ..fails("RunApply", NeedsOperator)
    },
    Case {
        execution: Execution::Unrecorded,
        ..fails("Record", Applied)
    },
    Case {
        first: Fault {
            state: "AwaitApproval",
            error: "States.Timeout",
            after: false,
        },
        cause: ApprovalRejected,
        asks: true,
        ..fails("AwaitApproval", Rejected)
    },
];

impl Case {
    /// Its faults, in order.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        std::iter::once(&self.first).chain(&self.second)
    }

    /// What happens, in words.
    #[must_use]
    pub fn name(&self) -> String {
        let one = |fault: &Fault| {
            let when = if fault.after { "after" } else { "before" };
            format!("{} raises {} {when} its work", fault.state, fault.error)
        };
        self.faults().map(one).collect::<Vec<_>>().join(", then ")
    }

    /// What a delivery left behind: how the run ended, its stacks with the number of their jobs, and the
    /// states that the execution visited.
    #[must_use]
    pub fn line(&self, run: &Run, visited: &BTreeSet<String>) -> String {
        let cause = run
            .failure()
            .map_or("no error", |failure| failure.error.name.as_str());
        let mut parts = vec![self.name(), format!("{} ({cause})", run.outcome().as_str())];
        if !self.races {
            for name in STACKS {
                let mut stacks = run.forward().stacks().iter();
                if let Some(stack) = stacks.find(|stack| stack.name().as_str() == name) {
                    parts.push(format!("{name} {} {}", state(stack.state()), stack.jobs()));
                }
            }
            parts.push(visited.iter().cloned().collect::<Vec<_>>().join(" "));
        }
        parts.join("; ")
    }
}

fn state(state: &StackState) -> &'static str {
    match state {
        StackState::Pending => "pending",
        StackState::Planning { .. } => "planning",
        StackState::Planned { .. } => "planned",
        StackState::Applying { .. } => "applying",
        StackState::Applied { .. } => "applied",
        StackState::Unchanged => "unchanged",
        StackState::Failed { .. } => "failed",
    }
}
