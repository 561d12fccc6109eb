//! The cases that run both in process and on the emulator. Each suite records its observations as a
//! line. `matrix/compared.txt` has the lines of the walker, and those of the emulator must be equal, so
//! the walker cannot deviate from an independent interpreter of the state machine.

use domain::error::ErrorName;
use domain::error::ErrorName::{ApprovalRejected, BuildFailed, JobLost};
use domain::run::Outcome;
use domain::run::Outcome::{Applied, Failed, NeedsOperator, Rejected, RolledBack};
use domain::run::{Run, StackState};
use std::collections::BTreeSet;

/// The file with the walker's lines, from the repository's root.
pub const FILE: &str = "tests/matrix/compared.txt";

/// The stacks that both suites deliver.
const STACKS: [&str; 2] = ["app", "data"];

/// An injected failure of a Task. It occurs once.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The state.
    pub state: &'static str,
    /// The error.
    pub error: &'static str,
    /// Whether the Task does its work first, so that only its reply is lost.
    pub after: bool,
}

/// The faults of one delivery, and its expected end.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The first fault.
    pub first: Fault,
    /// A second fault, after the first.
    pub second: Option<Fault>,
    /// The run's outcome.
    pub outcome: Outcome,
    /// The first error of a run that does not succeed.
    pub cause: ErrorName,
    /// How the execution ends.
    pub execution: Execution,
    /// Whether a person approves each plan.
    pub asks: bool,
    /// Whether the fault stops a branch, so that the visited states of the branch vary.
    pub races: bool,
}

/// How an execution ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// SUCCEEDED if the run succeeded, otherwise FAILED with the run's first error.
    AsTheRun,
    /// FAILED after a successful run that was not recorded in time.
    Unrecorded,
    /// ABORTED: an operator stopped it.
    Stopped,
}

/// The error that an integration raises if no more specific name applies. No Retry matches it.
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

/// The cases: an error in a branch, of a Task at the top level, of a job in a Map, in a rollback and
/// in Record; a lost reply of a Lambda and of a job; a timeout with its own Catch.
pub const CASES: [Case; 8] = [
    Case {
        cause: BuildFailed,
        races: true,
        ..fails("RunImage", Failed)
    },
    loses_reply("Validate", Failed),
    fails("RunApply", Applied),
    loses_reply("RunApply", Applied),
    loses_reply("StartDeploy", RolledBack),
    Case {
        second: Some(Fault {
            state: "Rollback",
            error: TASK_FAILED,
            after: false,
        }),
        ..fails("StartDeploy", NeedsOperator)
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
    /// Returns the faults in order.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        std::iter::once(&self.first).chain(&self.second)
    }

    /// Returns a description of the case.
    #[must_use]
    pub fn name(&self) -> String {
        let one = |fault: &Fault| {
            let when = if fault.after { "after" } else { "before" };
            format!("{} raises {} {when} its work", fault.state, fault.error)
        };
        self.faults().map(one).collect::<Vec<_>>().join(", then ")
    }

    /// Returns the result of a delivery: the run's outcome, its stacks with the number of their jobs, and
    /// the states that the execution visited.
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
        StackState::Validating { .. } => "validating",
        StackState::Planning { .. } => "planning",
        StackState::Planned { .. } => "planned",
        StackState::Applying { .. } => "applying",
        StackState::Applied { .. } => "applied",
        StackState::Unchanged => "unchanged",
        StackState::Skipped { .. } => "skipped",
        StackState::Failed { .. } => "failed",
        StackState::Left => "left",
    }
}
