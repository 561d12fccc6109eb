//! The states of the stacks: the wait for the environment, the plans and the applies.

use super::{PLAN_CHANGES_NOTHING, ROLLBACK, ROLLBACK_APPLIES};
use crate::errors::{AwsError, ErrorMatch};
use crate::expression::{Expression, Template};
use crate::limits;
use crate::parts::{
    OnError, choice, each_stack, from_input, job_end_retry, level, pass, run, stop_branches,
};
use crate::state::{Level, States, Task};
use domain::environment::LockVerdict;
use domain::ids::{JobDefinition, JobId, StackName};
use domain::job::Verb;
use domain::plan::Verdict;
use domain::step::{Action, FinishApplyOutput, JudgeOutput, SelectStacksOutput, StackJob};
use serde::de::Error as _;

const PLANS_STOPPED: &str = "PlansStopped";

/// The output of the selection of stacks, when there are stacks to plan.
pub(super) const STACKS_TO_PLAN: SelectStacksOutput = SelectStacksOutput::Plan { jobs: Vec::new() };

/// Returns the branch that waits for the environment and makes the first plans.
pub(super) fn environment() -> serde_json::Result<Level> {
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
pub(super) struct Wave {
    pub(super) select: &'static str,
    has_stacks: &'static str,
    plan_stacks: &'static str,
    run_plan: &'static str,
    judge_plan: &'static str,
    is_plan_read: &'static str,
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
    is_plan_read: "IsFirstPlanRead",
    plan_ended: "FirstPlanEnded",
    all_planned: "AllFirstPlanned",
    planned: "FirstPlansMade",
    no_stacks: "NoStacks",
    on_error: || OnError::stop_branches(PLANS_STOPPED),
};

pub(super) const LATER: Wave = Wave {
    select: "SelectNextStacks",
    has_stacks: "HasStacks",
    plan_stacks: "PlanStacks",
    run_plan: "RunPlan",
    judge_plan: "JudgePlan",
    is_plan_read: "IsPlanRead",
    plan_ended: "PlanEnded",
    all_planned: "AllPlanned",
    planned: "ApplyStacks",
    no_stacks: "StartDeploy",
    on_error: || OnError::Keep(ROLLBACK),
};

/// Returns the states that plan the stacks whose needs are applied.
pub(super) fn plan(wave: &Wave) -> serde_json::Result<States> {
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
                    "The runner makes the plan, or validates a stack that is planned later; whatever its end, its result is read next.",
                    PLAN_CHANGES_NOTHING,
                )
                .then_read(&["stack", "job"], wave.judge_plan),
        ),
        (
            wave.judge_plan,
            judge
                .about(
                    "Reads the plan, judges it and seals it; of a validation, records it; or raises the job's error.",
                    PLAN_CHANGES_NOTHING,
                )
                .retry_also(job_end_retry())
                .on_error(OnError::fail_stack(wave.plan_ended))
                .then(wave.is_plan_read),
        ),
        (
            wave.is_plan_read,
            choice(
                "A job that never started is replaced, once.",
                [(is!(JudgeOutput::StartAgain(any_job()?))?, wave.run_plan)],
                wave.plan_ended,
            ),
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
                    "Raises what failed, else selects the stacks whose needs are applied and writes their plan jobs, and before the first apply the validation jobs of the others.",
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

/// Returns a job for an output of which only the verdict matters.
fn any_job() -> serde_json::Result<StackJob> {
    let stack = StackName::parse("any").map_err(serde_json::Error::custom)?;
    let job = JobId::seal(Verb::Plan.as_str(), &stack, 1, &[]);
    let definition = JobDefinition::parse("arn:aws:batch:::job-definition/any:1")
        .map_err(serde_json::Error::custom)?;
    Ok(StackJob {
        stack,
        job,
        definition,
    })
}

fn verdict(output: &SelectStacksOutput) -> serde_json::Result<String> {
    crate::expression::verdict_text(output)
}

/// Returns the states that apply the stacks that were planned together.
pub(super) fn apply() -> serde_json::Result<States> {
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
                .retry_also(job_end_retry())
                .on_error(fail_stack())
                .then("IsApplyRead"),
        ),
        (
            "IsApplyRead",
            choice(
                "A job that never started is replaced, once.",
                [(is!(FinishApplyOutput::StartAgain(any_job()?))?, "RunApply")],
                ended,
            ),
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
