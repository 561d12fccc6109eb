//! The verdict is computed from the sealed plan, whatever the job's result says.

use super::*;

/// A plan job for stack `data` whose plan deletes a database.
async fn deleting() -> (Scene, JobId) {
    let (world, job) = Scene::planning().await;
    world.leave_plan(&job, &[("aws_db_instance", Action::Delete)]);
    (world, job)
}

fn key(job: &JobId) -> String {
    samples::objects(&run(1)).job(job, JobFile::PlanJson)
}

/// Checks that the plan of stack `data` failed with this error, each time that it is judged, and that
/// it cannot be applied.
async fn refused(world: &Scene, job: &JobId, name: ErrorName, parts: &[&str]) {
    for _ in 0..2 {
        let error = world.judge(job, None).await.unwrap_err();
        assert_eq!(error.name, name);
        for part in parts.iter().chain(&["stack data", &key(job)]) {
            assert!(error.message.contains(part), "{part:?}: {error}");
        }
    }
    let run = world.load(1).await;
    let stack = run.stack(&samples::stack("data")).unwrap();
    let side_effects = SideEffects::None;
    assert_eq!(*stack.state(), StackState::Failed { side_effects });
    assert!(stack.plan_to_apply().is_none() && stack.plan().is_none());
}

/// A result with outputs claims that nothing changes.
#[tokio::test]
async fn a_result_that_claims_no_changes_does_not_hide_a_deletion() {
    let (world, job) = deleting().await;
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::NeedsApproval));
    let run = world.load(1).await;
    let plan = run.forward().stacks()[0].plan().unwrap();
    let reason = "deletes aws_db_instance.this, which may hold data";
    assert_eq!(plan.reasons.in_brief(), reason);
    assert_eq!(plan.counts.delete, 1);
}

#[tokio::test]
async fn a_result_cannot_say_what_a_plan_changes() {
    let (world, job) = deleting().await;
    let result = samples::objects(&run(1)).job(&job, JobFile::Result);
    let mut forged: serde_json::Value =
        serde_json::from_slice(&world.artifacts.peek(&result).unwrap()).unwrap();
    let nothing = domain::plan::PlanSummary::default();
    forged["outcome"]["summary"] = serde_json::to_value(nothing).unwrap();
    world.artifacts.set(&result, forged.to_string());
    let error = world.judge(&job, None).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
    assert!(error.message.contains("unknown field `summary`"), "{error}");
}

#[tokio::test]
async fn a_plan_that_was_changed_after_its_job_is_refused() {
    let (world, job) = deleting().await;
    let harmless = plan_of(&[("aws_sqs_queue", Action::Create)]);
    world.artifacts.set(&key(&job), harmless.to_bytes());
    let parts = ["someone changed the object", "push a new commit"];
    refused(&world, &job, ErrorName::PlanTampered, &parts).await;
}

#[tokio::test]
async fn a_plan_that_was_deleted_after_its_job_is_refused() {
    let (world, job) = deleting().await;
    world.artifacts.remove(&key(&job));
    let parts = ["where its job wrote it", "push a new commit"];
    refused(&world, &job, ErrorName::PlanTampered, &parts).await;
}

/// The runner refuses such a plan: someone else wrote this one.
#[tokio::test]
async fn a_plan_that_is_too_large_for_the_function_is_refused() {
    let (world, job) = deleting().await;
    let large = vec![b' '; domain::plan::MAX_PLAN_JSON + 1];
    world.artifacts.set(&key(&job), large);
    let parts = ["larger than 64 MiB", "into another stack"];
    refused(&world, &job, ErrorName::PlanFailed, &parts).await;
}

/// The texts of the parser's errors would quote a value.
#[tokio::test]
async fn a_plan_of_another_form_is_refused_without_a_value() {
    let (world, job) = deleting().await;
    let other = br#"{"format_version":"1.2","resource_changes":"canary"}"#;
    let mut outcome = world.planned(&job, &plan_of(&[]));
    world.artifacts.set(&key(&job), other.to_vec());
    let JobOutcome::Planned { json, .. } = &mut outcome else {
        panic!("{outcome:?}");
    };
    json.sha256 = domain::ids::Sha256Digest::of(other);
    world.leave(&job, outcome);
    let error = world.judge(&job, None).await.unwrap_err();
    assert!(!error.message.contains("canary"), "{error}");
    let parts = ["line 1, column 51"];
    refused(&world, &job, ErrorName::ContractViolation, &parts).await;
}

/// The state machine repeats the call, so the failure must not be recorded.
#[tokio::test]
async fn a_plan_that_cannot_be_read_now_is_judged_later() {
    let (world, job) = deleting().await;
    world.artifacts.fail_next("get_limited", throttled(), 1);
    assert_eq!(world.judge(&job, None).await, Err(throttled()));
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::NeedsApproval));
}
