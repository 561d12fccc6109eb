//! Which Task fails how, and how its run is to end.

use anyhow::ensure;
use domain::run::Outcome;
use domain::run::Outcome::{Applied, Failed, NeedsOperator, Rejected, RolledBack};

/// A Task state that fails once.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    pub(super) state: &'static str,
    pub(super) error: &'static str,
    /// Whether the state does its work first and only its reply is lost.
    pub(super) after: bool,
}

/// What fails in one run, and how the run is to end.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) first: Fault,
    pub(super) second: Option<Fault>,
    pub(super) outcome: Outcome,
    /// Whether a person is asked before each apply, and agrees.
    pub(super) asks: bool,
}

/// What an integration says that has nothing better; no Retry names it.
const TASK_FAILED: &str = "States.TaskFailed";

const fn fault(state: &'static str, after: bool) -> Fault {
    Fault {
        state,
        error: TASK_FAILED,
        after,
    }
}

const fn case(first: Fault, outcome: Outcome) -> Case {
    Case {
        first,
        second: None,
        outcome,
        asks: false,
    }
}

const fn fails(state: &'static str, outcome: Outcome) -> Case {
    case(fault(state, false), outcome)
}

const fn lost(state: &'static str, outcome: Outcome) -> Case {
    case(fault(state, true), outcome)
}

impl Case {
    const fn and(mut self, second: Fault) -> Self {
        self.second = Some(second);
        self
    }

    const fn by(mut self, error: &'static str) -> Self {
        self.first.error = error;
        self
    }

    const fn asking(mut self) -> Self {
        self.asks = true;
        self
    }

    pub(super) fn faults(&self) -> impl Iterator<Item = &Fault> {
        std::iter::once(&self.first).chain(&self.second)
    }

    pub(super) fn name(&self) -> String {
        let one = |fault: &Fault| {
            let end = if fault.after {
                "does its work and its reply is lost"
            } else if fault.error == TASK_FAILED {
                "fails"
            } else {
                return format!("{} fails with {}", fault.state, fault.error);
            };
            format!("{} {end}", fault.state)
        };
        self.faults().map(one).collect::<Vec<_>>().join(", then ")
    }
}

/// Every Task state, once before its work and once after it.
pub(super) const CASES: &[Case] = &[
    fails("Validate", Failed),
    fails("DecideBuild", Failed),
    fails("RunBuild", Failed),
    fails("FinishBuild", Failed),
    fails("AcquireLock", Failed),
    fails("NameFirstStacks", Failed),
    fails("RunFirstPlan", Failed),
    fails("JudgeFirstPlan", Failed),
    fails("StartApply", Failed),
    // A job without a result may have changed something.
    fails("RunApply", RolledBack),
    fails("FinishApply", RolledBack),
    fails("NameNextStacks", RolledBack),
    fails("RunPlan", RolledBack),
    fails("JudgePlan", RolledBack),
    fails("StartDeploy", RolledBack),
    fails("CheckDeploy", RolledBack),
    fails("Promote", RolledBack),
    // Step Functions' own event hands the run to `record` once more.
    fails("Record", Applied),
    // An error while an error is handled: a person has to look.
    fails("RunApply", NeedsOperator).and(fault("Rollback", false)),
    lost("Validate", Failed),
    lost("DecideBuild", Failed),
    // An image of a build that is said to have failed is not trusted.
    lost("RunBuild", Failed),
    lost("FinishBuild", Failed),
    lost("AcquireLock", Failed),
    lost("NameFirstStacks", Failed),
    // A job's result is read, whatever Step Functions heard of the job.
    lost("RunFirstPlan", Applied),
    lost("JudgeFirstPlan", Failed),
    lost("StartApply", RolledBack),
    lost("RunApply", Applied),
    lost("FinishApply", RolledBack),
    lost("NameNextStacks", RolledBack),
    lost("RunPlan", Applied),
    lost("JudgePlan", RolledBack),
    lost("StartDeploy", RolledBack),
    lost("CheckDeploy", RolledBack),
    // The commit was verified and promoted: a lost reply does not undo that.
    lost("Promote", Applied),
    lost("Record", Applied),
    // The way back was decided and nobody heard of it.
    fails("RunApply", NeedsOperator).and(fault("Rollback", true)),
];

/// The same where a person is asked.
pub(super) const ASKING: &[Case] = &[
    fails("AwaitApproval", Failed).asking(),
    lost("AwaitApproval", Failed).asking(),
    // Nobody answers in time.
    fails("AwaitApproval", Rejected)
        .by("States.Timeout")
        .asking(),
];

/// A Task state that is added to the state machine needs its cases here.
pub(super) fn every_task_has_its_cases(definition: &str) -> anyhow::Result<()> {
    let machine: serde_json::Value = serde_json::from_str(definition)?;
    let mut tasks = Vec::new();
    collect_tasks(&machine, &mut tasks);
    ensure!(
        tasks.len() > 15,
        "only {tasks:?} were found in the definition"
    );
    let faults: Vec<&Fault> = CASES.iter().chain(ASKING).flat_map(Case::faults).collect();
    for task in tasks {
        for after in [false, true] {
            ensure!(
                faults
                    .iter()
                    .any(|fault| fault.state == task && fault.after == after),
                "Task state {task} has no case in the failure matrix where it fails {} its work",
                if after { "after" } else { "before" }
            );
        }
    }
    Ok(())
}

fn collect_tasks(value: &serde_json::Value, tasks: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::Object(states)) = fields.get("States") {
                let task = |state: &serde_json::Value| state["Type"] == "Task";
                tasks.extend(
                    states
                        .iter()
                        .filter(|(_, s)| task(s))
                        .map(|(name, _)| name.clone()),
                );
            }
            fields
                .values()
                .for_each(|field| collect_tasks(field, tasks));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_tasks(item, tasks)),
        _ => {}
    }
}
