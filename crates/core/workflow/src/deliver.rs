//! The state machine `deliver`: one run, from the claim to the audit entry.

use crate::errors::{AwsError, ErrorMatch};
use crate::expression::{Expression, Template};
use crate::limits;
use crate::parts::{
    OnError, branches, choice, commit_retry, each_stack, fail, from_input, level, pass, run,
    stop_branches, succeed, wait,
};
use crate::state::{Level, Machine, States, Task};
use domain::environment::LockVerdict;
use domain::job::Verb;
use domain::plan::Verdict;
use domain::run::ErrorDecision;
use domain::step::{
    Action, CheckDeployVerdict, ClaimVerdict, DecideBuildOutput, RecordVerdict, SelectStacksOutput,
    StartDeployVerdict,
};

const ROLLBACK: &str = "Rollback";
const RECORD: &str = "Record";
const PLANS_STOPPED: &str = "PlansStopped";
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
                Expression::BranchResult(1).into(),
                "HasChanges",
            ),
        ),
        (
            "HasChanges",
            choice(
                "A superseded run ends; one without stacks goes on to its deployment.",
                [
                    (is!(LockVerdict::Superseded)?, RECORD),
                    (is!(STACKS_TO_PLAN)?, "ApplyStacks"),
                ],
                "StartDeploy",
            ),
        ),
    ]))
}

/// The output of the selection of stacks, when there are stacks to plan.
const STACKS_TO_PLAN: SelectStacksOutput = SelectStacksOutput::Plan { jobs: Vec::new() };

/// The output of `build-trigger decide` when an image must be built.
const IMAGE_TO_BUILD: DecideBuildOutput = DecideBuildOutput::Build {
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
                    "Looks for an image of the same files; without one, returns the build's parameters.",
                    IMAGE_IS_HARMLESS,
                )
                .on_error(stop())
                .then("IsBuildNeeded"),
        ),
        (
            "IsBuildNeeded",
            choice(
                "An image that exists is not built again.",
                [(is!(IMAGE_TO_BUILD)?, "RunBuild")],
                "ImageKnown",
            ),
        ),
        (
            "RunBuild",
            Task::build()
                .about(
                    "Tests the application, builds its image and pushes it.",
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
            pass("The image is in the registry, or the repository has none."),
        ),
        (
            BUILD_STOPPED,
            stop_branches("Stops the other branch too: a run without its image is not applied."),
        ),
    ])))
}

fn environment() -> serde_json::Result<Level> {
    let acquire = Task::wait_for_token(
        Action::Acquire,
        [run(), ("token", Expression::TaskToken.into())],
        limits::ENVIRONMENT,
    );
    let first = States::new([
        (
            "AcquireLock",
            acquire
                .about(
                    "Waits until the run holds the environment, or a newer commit supersedes it.",
                    "Record: releases the environment",
                )
                .on_error(OnError::stop_branches(PLANS_STOPPED))
                .output(Template::object([
                    ("verdict", Expression::TokenVerdict.into()),
                    ("failures", Template::List(Vec::new())),
                ]))
                .then("IsSuperseded"),
        ),
        (
            "IsSuperseded",
            choice(
                "A superseded run is built and recorded, but not deployed.",
                [(is!(LockVerdict::Superseded)?, "Superseded")],
                FIRST.select,
            ),
        ),
        ("Superseded", pass("A newer commit is delivered instead.")),
    ]);
    let last = States::new([
        ("NoStacks", pass("There is nothing to plan.")),
        ("FirstPlansMade", pass("The build may still be running.")),
        (
            PLANS_STOPPED,
            stop_branches("Stops the build too: its image would not be deployed."),
        ),
    ]);
    Ok(level(first.and(plan(&FIRST)?).and(last)))
}

/// The names of a wave's states, and the states that follow them. The first wave runs in a branch,
/// at the same time as the build.
struct Wave {
    select: &'static str,
    has_stacks: &'static str,
    plan_stacks: &'static str,
    run_plan: &'static str,
    judge_plan: &'static str,
    plan_ended: &'static str,
    all_planned: &'static str,
    /// The next state after the wave's plans are made.
    planned: &'static str,
    /// The next state if there are no stacks to plan.
    no_stacks: &'static str,
    on_error: fn() -> OnError,
}

const FIRST: Wave = Wave {
    select: "SelectFirstStacks",
    has_stacks: "HasFirstStacks",
    plan_stacks: "PlanFirstStacks",
    run_plan: "RunFirstPlan",
    judge_plan: "JudgeFirstPlan",
    plan_ended: "FirstPlanEnded",
    all_planned: "AllFirstPlanned",
    planned: "FirstPlansMade",
    no_stacks: "NoStacks",
    on_error: || OnError::stop_branches(PLANS_STOPPED),
};

const LATER: Wave = Wave {
    select: "SelectNextStacks",
    has_stacks: "HasStacks",
    plan_stacks: "PlanStacks",
    run_plan: "RunPlan",
    judge_plan: "JudgePlan",
    plan_ended: "PlanEnded",
    all_planned: "AllPlanned",
    planned: "ApplyStacks",
    no_stacks: "StartDeploy",
    on_error: || OnError::Keep(ROLLBACK),
};

/// Returns the states that plan the stacks whose needs are applied.
fn plan(wave: &Wave) -> serde_json::Result<States> {
    let select = Task::lambda(Action::SelectStacks, [run(), from_input("failures")]);
    let judge = Task::lambda(
        Action::Judge,
        [
            run(),
            from_input("stack"),
            from_input("job"),
            from_input("error"),
        ],
    );
    let each = level(States::new([
        (
            wave.run_plan,
            Task::job(Verb::Plan)
                .about(
                    "The runner makes the plan; whatever its end, its result is read next.",
                    PLAN_CHANGES_NOTHING,
                )
                .then_read(&["stack", "job"], wave.judge_plan),
        ),
        (
            wave.judge_plan,
            judge
                .about(
                    "Reads the plan, judges it and seals it, or raises the job's error.",
                    PLAN_CHANGES_NOTHING,
                )
                .on_error(OnError::fail_stack(wave.plan_ended))
                .then(wave.plan_ended),
        ),
        (
            wave.plan_ended,
            pass(
                "A stack that failed does not stop the plans of the others; its error is raised when stacks are selected again.",
            ),
        ),
    ]));
    let output = Template::object([
        ("verdict", Template::text(verdict(&STACKS_TO_PLAN)?)),
        ("plans", Expression::Result.into()),
        ("failures", Expression::FailedItems.into()),
    ]);
    Ok(States::new([
        (
            wave.select,
            select
                .about(
                    "Raises what failed, else selects the stacks whose needs are applied and writes their plan jobs.",
                    PLAN_CHANGES_NOTHING,
                )
                .on_error((wave.on_error)())
                .then(wave.has_stacks),
        ),
        (
            wave.has_stacks,
            choice(
                "Without stacks left, the application is deployed.",
                [(is!(STACKS_TO_PLAN)?, wave.plan_stacks)],
                wave.no_stacks,
            ),
        ),
        (
            wave.plan_stacks,
            each_stack(
                "Stacks that do not depend on one another are planned at the same time.",
                Expression::InputField("jobs"),
                each,
                (wave.on_error)(),
                output,
                wave.all_planned,
            ),
        ),
        (
            wave.all_planned,
            choice(
                "If a plan failed, nothing of the wave is applied: selecting stacks again raises the error.",
                [(Expression::AnyPlanFailed, wave.select)],
                wave.planned,
            ),
        ),
    ]))
}

fn verdict(output: &SelectStacksOutput) -> serde_json::Result<String> {
    crate::expression::verdict_text(output)
}

fn apply() -> serde_json::Result<States> {
    let ended = "ApplyEnded";
    let fail_stack = || OnError::fail_stack(ended);
    let approval = Task::wait_for_token(
        Action::RequestApproval,
        [
            run(),
            from_input("stack"),
            ("token", Expression::TaskToken.into()),
        ],
        limits::APPROVAL,
    );
    let finish = Task::lambda(
        Action::FinishApply,
        [
            run(),
            from_input("stack"),
            from_input("job"),
            from_input("error"),
        ],
    );
    let each = level(States::new([
        (
            "IsApplyNeeded",
            choice(
                "A plan without changes is not applied.",
                [
                    (is!(Verdict::NeedsApproval)?, "AwaitApproval"),
                    (is!(Verdict::Auto)?, "StartApply"),
                ],
                ended,
            ),
        ),
        (
            "AwaitApproval",
            approval
                .about(
                    "Waits for an approval; StartApply reads the decision, also when none was made in time.",
                    "none: an approval of a plan that is not applied has no effect",
                )
                .on(
                    ErrorMatch::Aws(AwsError::Timeout),
                    "StartApply",
                    Expression::Input.into(),
                )
                .on_error(fail_stack())
                .output(Expression::Input.into())
                .then("StartApply"),
        ),
        (
            "StartApply",
            Task::lambda(Action::StartApply, [run(), from_input("stack")])
                .about(
                    "Consumes the sealed plan, once, and writes the apply job.",
                    "none: a consumed plan stays consumed",
                )
                .on_error(fail_stack())
                .then("RunApply"),
        ),
        (
            "RunApply",
            Task::job(Verb::Apply)
                .about(
                    "The runner applies exactly that plan; whatever its end, its result is read next.",
                    ROLLBACK_APPLIES,
                )
                .then_read(&["stack", "job"], "FinishApply"),
        ),
        (
            "FinishApply",
            finish
                .about(
                    "Reads the apply's result; a stale plan is made again once.",
                    ROLLBACK_APPLIES,
                )
                .on_error(fail_stack())
                .then(ended),
        ),
        (
            ended,
            pass("A stack that failed does not stop the applies of the others; SelectNextStacks raises its error."),
        ),
    ]));
    Ok(States::new([(
        "ApplyStacks",
        each_stack(
            "Stacks that were planned together are applied together.",
            Expression::InputField("plans"),
            each,
            OnError::Keep(ROLLBACK),
            Template::object([("failures", Expression::FailedItems.into())]),
            LATER.select,
        ),
    )]))
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
                    "Makes the commit the environment's last good one; in a rollback, marks the failed commit as bad.",
                    "none: only a verified commit is promoted",
                )
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
                    "Writes the audit entry and releases the environment, however the run ended.",
                    "none: it ends the run; repeated, it changes nothing",
                )
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
