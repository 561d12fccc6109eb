//! The validation of stacks that are planned after others were applied.

use super::*;
use domain::keys::JobFile;
use domain::run::StackState;

/// Holds the environment, and has the validation job of `app`.
async fn validating() -> (Scene, JobId) {
    let world = Scene::held().await;
    let jobs = world.next_jobs(1).await.unwrap();
    let [data, app] = &*jobs else {
        panic!("{jobs:?}")
    };
    assert!(Verb::Plan.is_of(&data.job) && Verb::Validate.is_of(&app.job));
    let job = app.job.clone();
    (world, job)
}

async fn judge(world: &Scene, job: &JobId, error: Option<CaughtError>) -> Result<JudgeOutput> {
    let input = Judge {
        run: run(1),
        stack: samples::stack("app"),
        job: job.clone(),
        error,
    };
    match world.plan.run(PlanInput::Judge(input)).await? {
        PlanOutput::Judge(output) => Ok(output),
        other => panic!("{other:?}"),
    }
}

async fn app(world: &Scene) -> StackState {
    let run = world.load(1).await;
    run.stack(&samples::stack("app")).unwrap().state().clone()
}

fn valid() -> JobOutcome {
    let dependencies = Some(object(7));
    JobOutcome::Validated { dependencies }
}

#[tokio::test]
async fn a_valid_stack_waits_for_its_plan_which_uses_the_same_modules() {
    let (world, job) = validating().await;
    world.leave(&job, valid());
    for _call in 0..2 {
        let output = judge(&world, &job, None).await.unwrap();
        let stack = samples::stack("app");
        assert_eq!(output, JudgeOutput::Validated { stack });
        assert_eq!(app(&world).await, StackState::Pending);
    }
    let data = world.next(1).await.unwrap()[0].job.clone();
    world.leave_plan(&data, &[]);
    let unchanged = world.judge(&data, None).await.unwrap();
    assert_eq!(unchanged, Verdict::NoChanges);
    let jobs = world.next_jobs(1).await.unwrap();
    let [plan] = &*jobs else { panic!("{jobs:?}") };
    let spec = world.spec(1, &plan.job);
    assert_eq!((spec.verb, spec.attempt), (Verb::Plan, 1));
    let sealed = world.object_of(&run(1), &job, object(7));
    assert_eq!(spec.dependencies, Some(sealed));
    let mut announced: Vec<&str> = Vec::new();
    for data in world.announced() {
        if data.stack == Some(samples::stack("app")) {
            announced.push(data.transition.as_str());
        }
    }
    announced.dedup();
    let expected = ["validation-started", "validation-finished", "plan-started"];
    assert_eq!(announced, expected);
}

#[tokio::test]
async fn a_repeated_selection_returns_the_same_validation() {
    let (world, job) = validating().await;
    let again = world.next_jobs(1).await.unwrap();
    assert_eq!(again[1].job, job);
    let spec = world.spec(1, &job);
    assert!(spec.inputs.is_empty() && spec.plan.is_none());
}

#[tokio::test]
async fn a_mistake_fails_the_stack_before_anything_is_applied() {
    let (world, job) = validating().await;
    world.leave(&job, failed(ErrorName::PlanFailed));
    for _call in 0..2 {
        let error = judge(&world, &job, None).await.unwrap_err();
        assert_eq!(error.name, ErrorName::PlanFailed);
    }
    let side_effects = SideEffects::None;
    assert_eq!(app(&world).await, StackState::Failed { side_effects });
}

#[tokio::test]
async fn a_validation_that_never_started_is_replaced_once() {
    let (world, job) = validating().await;
    let lost = || Some(caught("States.TaskFailed"));
    let JudgeOutput::StartAgain(next) = judge(&world, &job, lost()).await.unwrap() else {
        panic!("the job is not replaced");
    };
    assert!(Verb::Validate.is_of(&next.job) && next.job != job);
    assert_eq!(world.spec(1, &next.job).attempt, 2);
    let key = samples::objects(&run(1)).job(&job, JobFile::Started);
    assert!(world.artifacts.peek(&key).is_some(), "it can start no more");

    let error = judge(&world, &next.job, lost()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::JobLost);
    assert!(matches!(app(&world).await, StackState::Failed { .. }));
}

#[tokio::test]
async fn a_plan_does_not_count_as_a_validation_nor_a_validation_as_a_plan() {
    let (world, job) = validating().await;
    world.leave_plan(&job, &[]);
    let error = judge(&world, &job, None).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);

    let (world, job) = Scene::planning().await;
    world.leave(&job, valid());
    let error = world.judge(&job, None).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
}
