//! Jobs that left no result.

use super::*;

#[tokio::test]
async fn a_job_that_never_started_is_replaced_once_and_cannot_start_any_more() {
    let world = Scene::new(Verdict::NeedsApproval).await;
    world
        .set_state(planned(
            Verdict::NeedsApproval,
            answered(ApprovalDecision::Approved),
        ))
        .await;
    let lost = world.start().await.unwrap();
    let throttle = throttled();
    // The first reply is lost, after the claim was written.
    world
        .artifacts
        .lose_reply("put_if_absent", throttle.clone(), 1);
    assert_eq!(world.finish(&lost).await, Err(throttle));
    let job = world.replacement(&lost).await;
    assert_ne!(job, lost);
    assert_eq!(world.replacement(&lost).await, job, "once");
    let plan = |job| world.job_spec(&run(), job).plan;
    assert_eq!(plan(&job), plan(&lost), "the plan was not used");

    for _ in 0..2 {
        let error = world.finish(&job).await.unwrap_err();
        assert_eq!(error.name, ErrorName::JobLost);
    }
    let side_effects = SideEffects::None;
    assert_eq!(world.state().await, StackState::Failed { side_effects });
    assert!(!world.run(&run()).await.has_side_effects());
    for job in [lost, job] {
        let started = samples::objects(&run()).job(&job, JobFile::Started);
        assert!(world.artifacts.peek(&started).is_some());
    }
}

#[tokio::test]
async fn a_replacement_applies_the_plan() {
    let world = Scene::new(Verdict::Auto).await;
    let lost = world.start().await.unwrap();
    let job = world.replacement(&lost).await;
    world.leave(&job, applied());
    world.finish(&job).await.unwrap();
    assert!(world.is_applied().await);
}

#[tokio::test]
async fn a_job_that_waited_until_the_time_limit_is_not_replaced() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    let input = FinishApply {
        run: run(),
        stack: samples::stack("data"),
        job,
        error: Some(CaughtError {
            error: "States.Timeout".into(),
            cause: String::new(),
        }),
    };
    let error = world.apply.run(ApplyInput::Finish(input)).await;
    assert_eq!(error.unwrap_err().name, ErrorName::JobLost);
    let side_effects = SideEffects::None;
    assert_eq!(world.state().await, StackState::Failed { side_effects });
}

#[tokio::test]
async fn a_job_without_a_result_may_have_side_effects() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.claim_job(&run(), &job);
    for _ in 0..2 {
        let error = world.finish(&job).await.unwrap_err();
        assert_eq!(error.name, ErrorName::JobLost);
        assert!(error.message.contains("gone"), "{error}");
    }
    let side_effects = SideEffects::Unrecorded;
    assert_eq!(world.state().await, StackState::Failed { side_effects });
}

/// S3 took neither the state nor the job's result. A rollback from the old state would lose what the apply
/// made.
#[tokio::test]
async fn a_lost_job_that_kept_a_state_is_not_rolled_back() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.claim_job(&run(), &job);
    let kept = samples::objects(&run()).job(&job, JobFile::ErroredState);
    world.artifacts.set(&kept, "{}");
    for _ in 0..2 {
        let error = world.finish(&job).await.unwrap_err();
        assert_eq!(error.name, ErrorName::JobLost);
    }
    let side_effects = SideEffects::Unwritten;
    assert_eq!(world.state().await, StackState::Failed { side_effects });
}

#[tokio::test]
async fn an_orphaned_job_is_terminated_before_its_result_counts() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    // The reply to its submission was lost, and the job runs.
    world.batch.submit(&job);
    world.claim_job(&run(), &job);
    let error = world.finish(&job).await.unwrap_err();
    assert_eq!(error.name, ErrorName::JobEnding, "asked again: {error}");
    assert!(matches!(world.state().await, StackState::Applying { .. }));
    assert!(!world.batch.has_open(&job));
    let error = world.finish(&job).await.unwrap_err();
    assert_eq!(error.name, ErrorName::JobLost);
    assert!(error.message.contains("no longer waits for it"), "{error}");
    let side_effects = SideEffects::Unrecorded;
    assert_eq!(world.state().await, StackState::Failed { side_effects });
}

#[tokio::test]
async fn a_job_that_batch_does_not_describe_is_lost() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    let denied = StepError::new(ErrorName::AwsDenied, "ListJobs: no right");
    world.claim_job(&run(), &job);
    world.batch.fail_next("find", denied, 1);
    let error = world.finish(&job).await.unwrap_err();
    assert_eq!(error.name, ErrorName::JobLost);
}
