//! The state machine `deliver`: one run, from the claim to the audit entry.

use crate::expression::{Expression, Template};
use crate::limits;
use crate::parts::{
    OnError, branches, choice, commit_retry, fail, from_input, level, pass, run, stop_branches,
    succeed, wait,
};
use crate::state::{Level, Machine, States, Task};
use domain::build::BuildKind;
use domain::environment::LockVerdict;
use domain::run::ErrorDecision;
use domain::step::{
    Action, BuildOrder, BuildVerdict, CheckDeployVerdict, ClaimVerdict, DecideBuildOutput,
    FinishTestOutput, RecordVerdict, StartDeployVerdict,
};

const ROLLBACK: &str = "Rollback";
const RECORD: &str = "Record";
const BUILD_STOPPED: &str = "BuildStopped";

const PLAN_CHANGES_NOTHING: &str = "none: a plan changes nothing";
const IMAGE_IS_HARMLESS: &str = "none: an image that is not deployed has no effect";
const ROLLBACK_APPLIES: &str = "Rollback: plans and applies the stacks of the last good commit";
const ROLLBACK_DEPLOYS: &str = "Rollback: deploys the previous image";

/// Returns the condition that the input's verdict is the one that a step returns.
macro_rules! is {
    ($verdict:expr) => {
        Expression::verdict_is(&$verdict)
    };
}

// After the macro that it uses.
mod stacks;

use stacks::{LATER, STACKS_TO_PLAN, apply, environment, plan};

/// Returns the state machine.
///
/// # Errors
/// Fails when a verdict cannot be rendered as text.
pub fn deliver() -> serde_json::Result<Machine> {
    let states = claim()?
        .and(prepare()?)
        .and(apply()?)
        .and(plan(&LATER)?)
        .and(deploy()?)
        .and(finish()?);
    Ok(Machine {
        comment: "Delivers one commit: validates it, builds it beside the first plans, applies, deploys and verifies it; an error rolls back to the last good commit.",
        query_language: "JSONata",
        start_at: "Validate",
        timeout_seconds: limits::EXECUTION,
        states,
    })
}

fn claim() -> serde_json::Result<States> {
    let claim = Task::lambda(
        Action::Claim,
        [
            ("event", Expression::Input.into()),
            ("execution", Expression::ExecutionId.into()),
        ],
    );
    Ok(States::new([
        (
            "Validate",
            claim
                .about(
                    "Claims the run, fetches the commit by its full id, checks it and seals its source.",
                    "Record: ends the claimed run",
                )
                .limit(300)
                .retry_also(commit_retry())
                .on_error(OnError::Keep(RECORD))
                .assign("run", Expression::PayloadField("run").into())
                .assign("error", Template::Null)
                .then("IsClaimed"),
        ),
        (
            "IsClaimed",
            choice(
                "A second event for the same run ends here.",
                [(is!(ClaimVerdict::Duplicate)?, "Duplicate")],
                "BuildBesidePlans",
            ),
        ),
        ("Duplicate", succeed("Another execution has this run.")),
    ]))
}

fn prepare() -> serde_json::Result<States> {
    Ok(States::new([
        (
            "BuildBesidePlans",
            branches(
                "The build runs beside the wait for the environment and the first plans; nothing is applied before it succeeded.",
                vec![build()?, environment()?],
                ROLLBACK,
                Expression::SecondUnlessFirstFailed.into(),
                "HasChanges",
            ),
        ),
        (
            "HasChanges",
            choice(
                "A superseded run ends; the selection of stacks raises a build's error; a run without stacks goes on to its deployment.",
                [
                    (is!(LockVerdict::Superseded)?, RECORD),
                    (is!(BuildVerdict::Failed)?, LATER.select),
                    (is!(STACKS_TO_PLAN)?, "ApplyStacks"),
                ],
                "StartDeploy",
            ),
        ),
    ]))
}

/// A build for an output of which only the verdict matters.
const ANY_BUILD: BuildOrder = BuildOrder {
    project: String::new(),
    source: String::new(),
    environment: Vec::new(),
};

fn build() -> serde_json::Result<Level> {
    let stop = || OnError::stop_branches(BUILD_STOPPED);
    Ok(level(States::new([
        (
            "DecideBuild",
            Task::lambda(Action::DecideBuild, [run()])
                .about(
                    "Looks for a test of the same source and an image of the same context; what is missing is made.",
                    IMAGE_IS_HARMLESS,
                )
                .on_error(stop())
                .then("IsBuildNeeded"),
        ),
        (
            "IsBuildNeeded",
            choice(
                "A source that passed its test is not tested again.",
                [
                    (is!(DecideBuildOutput::Test(ANY_BUILD))?, "RunTest"),
                    (is!(DecideBuildOutput::Image(ANY_BUILD))?, "RunImage"),
                ],
                "ImageKnown",
            ),
        ),
        (
            "RunTest",
            Task::build(BuildKind::Test)
                .about(
                    "Tests the source in a project that cannot push images; whatever its end, its result is read next.",
                    "none: a test changes nothing",
                )
                .then_read(&[], "FinishTest"),
        ),
        (
            "FinishTest",
            Task::lambda(Action::FinishTest, [run(), from_input("error")])
                .about(
                    "Records the test that passed, and looks for an image of the same context.",
                    "none: a test changes nothing",
                )
                .on_error(stop())
                .then("IsImageNeeded"),
        ),
        (
            "IsImageNeeded",
            choice(
                "An image that exists is not built again.",
                [(is!(FinishTestOutput::Image(ANY_BUILD))?, "RunImage")],
                "ImageKnown",
            ),
        ),
        (
            "RunImage",
            Task::build(BuildKind::Image)
                .about(
                    "Builds the image from a new copy of the sealed source, and pushes it.",
                    IMAGE_IS_HARMLESS,
                )
                .then_read(&[], "FinishBuild"),
        ),
        (
            "FinishBuild",
            Task::lambda(Action::FinishBuild, [run(), from_input("error")])
                .about(
                    "Finds the image by its tag and keeps its digest.",
                    IMAGE_IS_HARMLESS,
                )
                .on_error(stop())
                .end(),
        ),
        (
            "ImageKnown",
            pass("The image is in the registry, the repository has none, or its test failed."),
        ),
        (
            BUILD_STOPPED,
            stop_branches("Stops the other branch too: a run without its image is not applied, and does not wait for its environment."),
        ),
    ])))
}

fn deploy() -> serde_json::Result<States> {
    Ok(States::new([
        (
            "StartDeploy",
            Task::lambda(Action::StartDeploy, [run()])
                .about(
                    "Starts the rollout of the run's image; in a rollback, of the last good one.",
                    ROLLBACK_DEPLOYS,
                )
                .on_error(OnError::Keep(ROLLBACK))
                .then("IsDeployNeeded"),
        ),
        (
            "IsDeployNeeded",
            choice(
                "A repository may have no application.",
                [(is!(StartDeployVerdict::None)?, "Promote")],
                "WaitForRollout",
            ),
        ),
        (
            "WaitForRollout",
            wait(
                "ECS does not report the end of a rollout; the rollout's own deadline ends this loop.",
                limits::ROLLOUT_INTERVAL,
                "CheckDeploy",
            ),
        ),
        (
            "CheckDeploy",
            Task::lambda(Action::CheckDeploy, [run()])
                .about(
                    "Observes the rollout, then the application's address.",
                    ROLLBACK_DEPLOYS,
                )
                .on_error(OnError::Keep(ROLLBACK))
                .then("IsHealthy"),
        ),
        (
            "IsHealthy",
            choice(
                "The application is healthy when its address answers with this commit.",
                [(is!(CheckDeployVerdict::Healthy)?, "Promote")],
                "WaitForRollout",
            ),
        ),
        (
            "Promote",
            Task::lambda(Action::Promote, [run()])
                .about(
                    "Makes the commit the environment's last good one; in a rollback, marks a commit that caused the error as bad.",
                    "none: only a verified commit is promoted",
                )
                .limit(150)
                .on_error(OnError::Keep(ROLLBACK))
                .then(RECORD),
        ),
    ]))
}

fn finish() -> serde_json::Result<States> {
    let rollback = Task::lambda(
        Action::DecideRollback,
        [
            run(),
            ("error", Expression::Error.into()),
            ("entered_at", Expression::StateEnteredTime.into()),
        ],
    );
    let record = Task::lambda(
        Action::Record,
        [
            ("event", Expression::ExecutionInput.into()),
            ("execution", Expression::ExecutionId.into()),
            ("error", Expression::Error.into()),
        ],
    );
    Ok(States::new([
        (
            ROLLBACK,
            rollback
                .about(
                    "Keeps the error and decides: record the run, or roll back to the last good commit through the same states.",
                    "none: a rollback is not rolled back",
                )
                .on_error(OnError::KeepFirst(RECORD))
                .output(Template::object([
                    ("verdict", Expression::PayloadField("verdict").into()),
                    ("failures", Template::List(Vec::new())),
                ]))
                .then("IsRollbackNeeded"),
        ),
        (
            "IsRollbackNeeded",
            choice(
                "A rollback passes the same plans, verdicts and applies.",
                [(is!(ErrorDecision::RollBack)?, LATER.select)],
                RECORD,
            ),
        ),
        (
            RECORD,
            record
                .about(
                    "Releases the environment and writes the audit entry, however the run ended.",
                    "none: it ends the run; repeated, it changes nothing",
                )
                .limit(150)
                .on_error(OnError::Pass(
                    "RecordLost",
                    Template::object([("lost", Expression::CaughtError.into())]),
                ))
                .then("IsSuccess"),
        ),
        (
            "IsSuccess",
            choice(
                "A run that failed or was rolled back ends FAILED.",
                [(is!(RecordVerdict::Succeeded)?, "Delivered")],
                "NotDelivered",
            ),
        ),
        (
            "Delivered",
            succeed("Applied, without changes, or superseded."),
        ),
        (
            "NotDelivered",
            fail(
                "The first error, and what to do next.",
                Expression::InputField("error"),
                Expression::InputField("cause"),
            ),
        ),
        (
            "RecordLost",
            fail(
                "The run could not be recorded now; the rule on ended executions calls record again.",
                Expression::UnrecordedError,
                Expression::UnrecordedCause,
            ),
        ),
    ]))
}
