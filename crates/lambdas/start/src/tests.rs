#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::error::{ErrorClass, ErrorName, StepError};
use engine::fakes::{FakeExecutions, World, samples, throttled};
use engine::{Execution, ExecutionState, Started};

/// Calls the step with an event.
async fn start(world: &World, event: &Trigger) -> Result<Started> {
    let step = Start {
        executions: Arc::new(world.executions.clone()),
    };
    let output = step.run(event.clone()).await?;
    assert_eq!(output.run, event.run_id());
    Ok(output.started)
}

/// The executions of a world in which an event was started once.
fn one(event: &Trigger) -> [(String, Execution); 1] {
    let execution = Execution {
        state: ExecutionState::Running,
        input: serde_json::to_string(event).unwrap(),
    };
    [(FakeExecutions::arn(&event.run_id()), execution)]
}

#[tokio::test]
async fn two_copies_of_an_event_make_one_execution_with_the_name_of_the_run() {
    let world = World::new();
    let event = samples::push_event(1);
    for _ in 0..2 {
        assert_eq!(start(&world, &event).await, Ok(Started::Yes));
    }
    // Another delivery reports the same push later.
    let mut push = samples::push(1);
    push.received_at = samples::after(5);
    let second = Trigger::Push(push);
    assert_ne!(second, event);
    assert_eq!(start(&world, &second).await, Ok(Started::Already));
    assert_eq!(world.executions.all(), one(&event).into());

    let other = samples::push_event(2);
    assert_eq!(start(&world, &other).await, Ok(Started::Yes));
    assert_eq!(world.executions.all().len(), 2);
}

#[tokio::test]
async fn a_copy_that_arrives_after_the_end_starts_nothing() {
    let world = World::new();
    let event = samples::push_event(1);
    start(&world, &event).await.unwrap();
    let arn = FakeExecutions::arn(&event.run_id());
    for state in [ExecutionState::Succeeded, ExecutionState::Aborted] {
        world.executions.end(&arn, state);
        assert_eq!(start(&world, &event).await, Ok(Started::Already));
        let execution = world.executions.all().remove(&arn).unwrap();
        assert_eq!(execution.state, state);
    }
}

#[tokio::test]
async fn a_call_whose_reply_was_lost_is_repeated_and_makes_one_execution() {
    let world = World::new();
    let event = samples::push_event(1);
    let lost = StepError::new(ErrorName::AwsUnavailable, "no reply");
    world.executions.lose_reply("start", lost.clone(), 1);
    assert_eq!(start(&world, &event).await, Err(lost));
    assert_eq!(start(&world, &event).await, Ok(Started::Yes));
    assert_eq!(world.executions.all(), one(&event).into());
}

#[tokio::test]
async fn a_throttled_call_fails_so_that_lambda_repeats_it() {
    let world = World::new();
    let event = samples::push_event(1);
    world.executions.fail_next("start", throttled(), 1);
    let error = start(&world, &event).await.unwrap_err();
    assert_eq!(error.name.class(), ErrorClass::Transient);
    assert!(world.executions.all().is_empty());
    assert_eq!(start(&world, &event).await, Ok(Started::Yes));
    assert_eq!(world.executions.all(), one(&event).into());
}

#[tokio::test]
async fn an_event_of_another_version_is_refused_for_good() {
    let world = World::new();
    let mut push = samples::push(1);
    push.schema += 1;
    let error = start(&world, &Trigger::Push(push)).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
    assert_eq!(error.name.class(), ErrorClass::Permanent);
    assert!(world.executions.all().is_empty());
}

/// The runtime refuses what is not an input of the step, with `ContractViolation`.
#[test]
fn only_an_event_reaches_the_step() {
    let event = serde_json::to_value(samples::push_event(1)).unwrap();
    assert!(serde_json::from_value::<<Start as Step>::Input>(event.clone()).is_ok());
    let (mut unknown, mut more) = (event.clone(), event);
    unknown["kind"] = "comment".into();
    more["more"] = 1.into();
    for text in [
        "{}".to_owned(),
        "null".to_owned(),
        r#"{"action":"start","run":"shop-1"}"#.to_owned(),
        unknown.to_string(),
        more.to_string(),
    ] {
        let read = serde_json::from_str::<<Start as Step>::Input>(&text);
        assert!(read.is_err(), "{text}");
    }
}

#[test]
fn every_error_says_what_happened() {
    let errors = [Error::OtherSchema { schema: 1 }];
    insta::assert_snapshot!(samples::texts(errors));
}
