//! Which Task fails how, and how its run is to end.

use anyhow::ensure;
use domain::error::ErrorName;
use domain::error::ErrorName::{ApprovalRejected, BuildFailed, JobLost};
use domain::run::Outcome;
use domain::run::Outcome::{Applied, Failed, NeedsOperator, Rejected, RolledBack};
use std::collections::{BTreeMap, BTreeSet};

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
    /// The first cause of a run that is not good.
    pub(super) cause: ErrorName,
    pub(super) execution: Execution,
    /// Whether a person is asked before each apply, and agrees.
    pub(super) asks: bool,
}

/// How an execution is to end beside its run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Execution {
    /// As the run: SUCCEEDED when it is good, else FAILED with its first cause.
    AsTheRun,
    /// FAILED after a run that is good: its own end could not be recorded, so that Step Functions'
    /// event on the failed execution hands the run to `record` once more.
    Unrecorded,
    /// ABORTED: a person stopped it.
    Stopped,
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
        // What TASK_FAILED and a job without a result are called.
        cause: JobLost,
        execution: Execution::AsTheRun,
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

    const fn because(mut self, cause: ErrorName) -> Self {
        self.cause = cause;
        self
    }

    const fn unrecorded(mut self) -> Self {
        self.execution = Execution::Unrecorded;
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
            } else {
                "fails"
            };
            let by = match fault.error {
                TASK_FAILED => String::new(),
                error => format!(" with {error}"),
            };
            format!("{} {end}{by}", fault.state)
        };
        self.faults().map(one).collect::<Vec<_>>().join(", then ")
    }
}

/// Every Task state, once before its work and once after it.
pub(super) const CASES: &[Case] = &[
    fails("Validate", Failed),
    fails("DecideBuild", Failed),
    fails("RunBuild", Failed).because(BuildFailed),
    fails("FinishBuild", Failed),
    fails("AcquireLock", Failed),
    fails("SelectFirstStacks", Failed),
    fails("RunFirstPlan", Failed),
    fails("JudgeFirstPlan", Failed),
    fails("StartApply", Failed),
    // A job without a result may have changed something.
    fails("RunApply", RolledBack),
    fails("FinishApply", RolledBack),
    fails("SelectNextStacks", RolledBack),
    fails("RunPlan", RolledBack),
    fails("JudgePlan", RolledBack),
    fails("StartDeploy", RolledBack),
    fails("CheckDeploy", RolledBack),
    fails("Promote", RolledBack),
    // Step Functions' own event hands the run to `record` once more.
    fails("Record", Applied).unrecorded(),
    // An error while an error is handled: a person has to look.
    fails("RunApply", NeedsOperator).and(fault("Rollback", false)),
    lost("Validate", Failed),
    lost("DecideBuild", Failed),
    // An image of a build that is said to have failed is not trusted.
    lost("RunBuild", Failed).because(BuildFailed),
    lost("FinishBuild", Failed),
    lost("AcquireLock", Failed),
    lost("SelectFirstStacks", Failed),
    // A job's result is read, whatever Step Functions heard of the job.
    lost("RunFirstPlan", Applied),
    lost("JudgeFirstPlan", Failed),
    lost("StartApply", RolledBack),
    lost("RunApply", Applied),
    lost("FinishApply", RolledBack),
    lost("SelectNextStacks", RolledBack),
    lost("RunPlan", Applied),
    lost("JudgePlan", RolledBack),
    lost("StartDeploy", RolledBack),
    lost("CheckDeploy", RolledBack),
    // The commit was verified and promoted: a lost reply does not undo that.
    lost("Promote", Applied),
    lost("Record", Applied).unrecorded(),
    // The way back was decided and nobody heard of it.
    fails("RunApply", NeedsOperator).and(fault("Rollback", true)),
    // The same where it is asked again: there is one way back.
    fails("RunApply", RolledBack).and(retried("Rollback", "AwsThrottled", false)),
    fails("RunApply", RolledBack).and(retried("Rollback", "Lambda.Unknown", true)),
];

/// The same where a person is asked.
pub(super) const ASKING: &[Case] = &[
    fails("AwaitApproval", Failed).asking(),
    lost("AwaitApproval", Failed).asking(),
    // Nobody answers in time.
    fails("AwaitApproval", Rejected)
        .by("States.Timeout")
        .because(ApprovalRejected)
        .asking(),
];

/// What each Task on the way may say once, before its work or after it, and be tried again.
pub(super) const RETRIED: &[(&str, &str)] = &[
    ("Validate", "ForgeUnavailable"),
    ("DecideBuild", "AwsUnavailable"),
    ("RunBuild", "CodeBuild.ThrottlingException"),
    ("FinishBuild", "RecordConflict"),
    ("AcquireLock", "Lambda.TooManyRequestsException"),
    ("SelectFirstStacks", "Lambda.ServiceException"),
    ("RunFirstPlan", "Batch.TooManyRequestsException"),
    ("JudgeFirstPlan", "Lambda.SdkClientException"),
    ("AwaitApproval", "Lambda.ClientExecutionTimeoutException"),
    ("StartApply", "Lambda.Unknown"),
    ("RunApply", "Batch.ServerException"),
    ("FinishApply", "Sandbox.Timedout"),
    ("SelectNextStacks", "Runtime.ExitError"),
    ("RunPlan", "Batch.AWSBatchException"),
    ("JudgePlan", "AwsThrottled"),
    ("StartDeploy", "AwsThrottled"),
    ("CheckDeploy", "Lambda.AWSLambdaException"),
    ("Promote", "RecordConflict"),
    ("Record", "AwsUnavailable"),
];

/// A fault that a Retry of its Task deals with.
pub(super) const fn retried(state: &'static str, error: &'static str, after: bool) -> Fault {
    Fault {
        state,
        error,
        after,
    }
}

/// A Task state that is added to the state machine needs its cases here.
pub(super) fn every_task_has_its_cases(definition: &str) -> anyhow::Result<()> {
    let machine: serde_json::Value = serde_json::from_str(definition)?;
    let mut tasks = BTreeMap::new();
    collect_tasks(&machine, &mut tasks);
    ensure!(
        tasks.len() > 15,
        "only {:?} were found in the definition",
        tasks.keys()
    );
    let faults: Vec<&Fault> = CASES.iter().chain(ASKING).flat_map(Case::faults).collect();
    for (task, retries) in &tasks {
        for after in [false, true] {
            ensure!(
                faults
                    .iter()
                    .any(|fault| fault.state == task && fault.after == after),
                "Task state {task} has no case in the failure matrix where it fails {} its work",
                if after { "after" } else { "before" }
            );
        }
        let tried = |fault: &&&Fault| fault.state == task && retries.contains(fault.error);
        let listed = RETRIED.iter().find(|(state, _)| state == task);
        let error = match (listed, faults.iter().find(tried)) {
            (Some((_, error)), _) => *error,
            (None, Some(fault)) => fault.error,
            (None, None) => "",
        };
        ensure!(
            retries.contains(error),
            "expected a case where Task state {task} fails with one of {retries:?}, found {error:?}"
        );
    }
    let unknown = RETRIED
        .iter()
        .find(|(state, _)| !tasks.contains_key(*state));
    ensure!(unknown.is_none(), "{unknown:?} names no Task state");
    Ok(())
}

/// Task states, with the errors that their Retries name.
type Tasks = BTreeMap<String, BTreeSet<String>>;

fn collect_tasks(value: &serde_json::Value, tasks: &mut Tasks) {
    match value {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::Object(states)) = fields.get("States") {
                for (name, state) in states.iter().filter(|(_, s)| s["Type"] == "Task") {
                    let rules = state["Retry"].as_array().into_iter().flatten();
                    let errors = rules.flat_map(|rule| rule["ErrorEquals"].as_array());
                    let names = errors.flatten().filter_map(|name| name.as_str());
                    tasks.insert(name.clone(), names.map(str::to_owned).collect());
                }
            }
            fields
                .values()
                .for_each(|field| collect_tasks(field, tasks));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_tasks(item, tasks)),
        _ => {}
    }
}
