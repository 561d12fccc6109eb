//! Executions whose run belongs to another execution, or was not claimed.

use super::*;

#[tokio::test]
async fn a_run_that_is_not_this_executions_is_left_alone() {
    let world = Scene::new();
    let output = world.record(2, None).await.unwrap();
    assert_eq!(
        (output.verdict, output.error.as_str()),
        (RecordVerdict::Failed, "RunNotFound")
    );
    world.add(2, QueueRule::Newest).await;
    world
        .change(2, |run| samples::edit(run, "/execution", "another"))
        .await;
    let before = world.stored(2).await;
    world.record(2, Some("PlanFailed")).await.unwrap();
    assert_eq!(world.stored(2).await, before);
    assert!(world.audit.keys().is_empty());
}

#[tokio::test]
async fn an_event_that_failed_before_its_claim_is_audited_once() {
    let world = Scene::new();
    for _ in 0..2 {
        let output = world.record(2, Some("AwsUnavailable")).await.unwrap();
        assert_eq!(output.error, "AwsUnavailable");
    }
    let entries = world.audit_entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].outcome, Outcome::Failed);
    // No item is kept for a repository that is not enrolled.
    let world = Scene::new();
    let step = world.step();
    world.enrolments.remove(samples::repository().key);
    let input = RecordRun {
        event: Box::new(samples::push_event(2)),
        execution: "one".into(),
        error: Some(CaughtError {
            error: "NotEnrolled".into(),
            cause: String::new(),
        }),
    };
    step.run(RecordInput::Record(input)).await.unwrap();
    assert!(world.audit.keys().is_empty());
}

/// The table did not respond until validate and record had given up. The rule on ended executions
/// then calls record again.
#[tokio::test]
async fn an_execution_whose_run_could_not_be_claimed_is_audited_once() {
    let world = Scene::new();
    let event = serde_json::to_string(&samples::push_event(2)).unwrap();
    world.executions.begin("execution-2", &event);
    world.executions.begin("execution-4", "{\"what\": 1}");
    let away = StepError::new(ErrorName::AwsUnavailable, "no answer");
    world.executions.fail_next("describe", away, 1);
    let error = world.ended(2, ExecutionState::Failed).await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsUnavailable, "it is tried again");
    for _ in 0..2 {
        let output = world.ended(2, ExecutionState::Failed).await.unwrap();
        assert_eq!(output.error, "Internal");
    }
    for n in [3, 4] {
        let output = world.ended(n, ExecutionState::Failed).await.unwrap();
        assert_eq!(output.error, "RunNotFound", "execution {n} is not ours");
    }
    // Another copy of the event has its own execution, and no run.
    world.executions.begin("execution-5", &event);
    world.ended(5, ExecutionState::Aborted).await.unwrap();
    let entries = world.audit_entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (&entries[0].run, entries[0].outcome),
        (&id(2), Outcome::Failed)
    );
}
