#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::fakes::{World, samples};
use crate::status::{TransitionKind, parse};
use domain::error::{ErrorName, StepError};
use domain::warning::{Warning, WarningKind, Warnings};
use proptest::prelude::*;

fn down() -> StepError {
    StepError::new(ErrorName::AwsUnavailable, "SendMessage: 503")
}

#[tokio::test]
async fn a_transition_is_a_message_and_a_status() {
    let world = World::new();
    let run = samples::sealed_run(1);
    world.announcer().announce(&run, Transition::Sealed).await;

    let sent = world.status.messages();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].group, run.id().as_str());
    assert_eq!(
        parse(&sent[0].body).unwrap().data.transition,
        TransitionKind::Sealed
    );
    let set = world.forge.statuses();
    assert_eq!(set.len(), 1);
    assert_eq!(&set[0].commit, run.trigger().commit());
    assert_eq!(set[0].status.state, CommitState::Pending);
    assert_eq!(set[0].status.context, "sluicegate/production");
}

#[tokio::test]
async fn most_transitions_do_not_change_the_commits_status() {
    let world = World::new();
    let run = samples::sealed_run(1);
    let transition = Transition::ImageReady;
    world.announcer().announce(&run, transition).await;
    assert_eq!(world.status.messages().len(), 1);
    assert!(world.forge.statuses().is_empty());
}

#[tokio::test]
async fn the_status_of_a_wait_ends_when_the_run_gets_the_environment() {
    let world = World::new();
    let mut run = samples::sealed_run(1);
    let description = async |run: &Run, transition: Transition| {
        world.announcer().announce(run, transition).await;
        world.forge.statuses().pop().unwrap().status.description
    };
    let held = description(&run, Transition::LockHeld).await;
    assert_eq!(
        held,
        "Environment acquired. Next: build and plan what changed."
    );
    samples::build(&mut run, 1);
    let held = description(&run, Transition::LockHeld).await;
    assert_eq!(held, "Environment acquired. Next: plan what changed.");

    // A repository without stacks.
    let mut run = samples::claimed_run(2);
    let mut config = samples::config();
    config.stacks.clear();
    config.deploy = None;
    run.accept(samples::source(2), config, samples::now())
        .unwrap();
    let sealed = description(&run, Transition::Sealed).await;
    assert_eq!(sealed, "Checked. Next: build what changed.");
    samples::build(&mut run, 2);
    let held = description(&run, Transition::LockHeld).await;
    assert_eq!(held, "Environment acquired. There is no stack to plan.");
}

#[tokio::test]
async fn a_run_that_waits_names_the_run_that_it_waits_for() {
    let world = World::new();
    let (run, other) = (samples::sealed_run(2), samples::push_event(1).run_id());
    let waits = Transition::LockWaiting(other.clone());
    world.announcer().announce(&run, waits).await;
    let description = world.forge.statuses().remove(0).status.description;
    assert_eq!(
        description,
        format!("Waiting for run {other}, which holds this environment.")
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_is_sent_again_and_then_given_up() {
    let world = World::new();
    let run = samples::sealed_run(1);
    world.status.fail_next("send", down(), 2);
    world.announcer().announce(&run, Transition::Sealed).await;
    assert_eq!(world.status.messages().len(), 1);

    world.status.fail_next("send", down(), 3);
    world.announcer().announce(&run, Transition::LockHeld).await;
    assert_eq!(world.status.messages().len(), 1);
    assert_eq!(world.status.calls("send"), 6);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_no_second_message() {
    let world = World::new();
    let run = samples::sealed_run(1);
    world.status.lose_reply("send", down(), 1);
    world.announcer().announce(&run, Transition::Sealed).await;
    assert_eq!(world.status.calls("send"), 2);
    assert_eq!(world.status.messages().len(), 1);
}

#[tokio::test]
async fn an_unreachable_forge_stops_nothing() {
    let world = World::new();
    world.forge.set_unreachable(true);
    let run = samples::sealed_run(1);
    world.announcer().announce(&run, Transition::Sealed).await;
    assert_eq!(world.status.messages().len(), 1);
    assert!(world.forge.statuses().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_silent_forge_is_waited_for_five_seconds() {
    let world = World::new();
    world.forge.hang();
    let start = tokio::time::Instant::now();
    let run = samples::sealed_run(1);
    world.announcer().announce(&run, Transition::Sealed).await;
    assert_eq!(start.elapsed(), PATIENCE);
    assert_eq!(world.status.messages().len(), 1);
}

#[tokio::test]
async fn the_end_says_what_went_wrong() {
    let world = World::new();
    let mut run = samples::sealed_run(1);
    let message = format!("stack data: {}", "AccessDenied\n".repeat(30));
    let (error, now) = (
        StepError::new(ErrorName::ApplyFailed, message),
        samples::now(),
    );
    run.handle_error(now, error, None, now).unwrap();
    world
        .announcer()
        .announce(&run, Transition::Finished(Outcome::Failed))
        .await;
    let status = world.forge.statuses().remove(0).status;
    assert_eq!(status.state, CommitState::Failure);
    assert!(
        status
            .description
            .starts_with("ApplyFailed: stack data: AccessDenied AccessDenied"),
        "{}",
        status.description
    );
    assert_eq!(status.description.chars().count(), DESCRIPTION_LIMIT);
}

#[tokio::test]
async fn the_end_says_which_stacks_were_not_planned() {
    let world = World::new();
    let mut run = samples::sealed_run(2);
    let good = samples::last_good(1);
    for stack in good.outputs.keys() {
        let same = samples::same_stack(&good, stack.as_str());
        run.skipped(&same, samples::now()).unwrap();
    }
    for outcome in [Outcome::Applied, Outcome::NoOp] {
        let end = Transition::Finished(outcome);
        world.announcer().announce(&run, end).await;
    }
    let statuses = world.forge.statuses();
    let texts: Vec<&str> = statuses
        .iter()
        .map(|it| it.status.description.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "Delivered and verified. Not planned, same as in 01010101: data, app.",
            "Nothing had to change. Not planned, same as in 01010101: data, app.",
        ]
    );
}

#[tokio::test]
async fn the_end_of_a_run_with_warnings_says_so() {
    let world = World::new();
    let mut run = samples::sealed_run(1);
    let check = Warning::new(
        WarningKind::Check,
        "main.tf:3: Check block assertion failed",
    );
    let mut texts = Vec::new();
    for warnings in [vec![check.clone()], vec![check, other("deprecated")]] {
        let warnings = Warnings::new(warnings);
        samples::edit(&mut run, "/forward/stacks/0/warnings", warnings);
        for outcome in [Outcome::Applied, Outcome::NoOp] {
            let end = Transition::Finished(outcome);
            world.announcer().announce(&run, end).await;
            texts.push(world.forge.statuses().pop().unwrap().status.description);
        }
    }
    assert_eq!(
        texts,
        [
            "Delivered and verified, with 1 warning.",
            "Nothing had to change, with 1 warning.",
            "Delivered and verified, with 2 warnings.",
            "Nothing had to change, with 2 warnings.",
        ]
    );
}

fn other(text: &str) -> Warning {
    Warning::new(WarningKind::Other, text)
}

#[tokio::test]
async fn a_run_without_a_configuration_has_a_status_too() {
    let world = World::new();
    let mut run = samples::claimed_run(1);
    let error = StepError::new(ErrorName::ConfigInvalid, "sluicegate.yaml:3:1: CF010");
    let now = samples::now();
    run.handle_error(now, error, None, now).unwrap();
    world
        .announcer()
        .announce(&run, Transition::Finished(Outcome::Rejected))
        .await;
    let status = world.forge.statuses().remove(0).status;
    assert_eq!(status.context, "sluicegate");
    assert_eq!(
        status.description,
        "ConfigInvalid: sluicegate.yaml:3:1: CF010"
    );
}

proptest! {
    #[test]
    fn a_description_is_one_short_line(text in "(?s).{0,400}") {
        let line = short(&text);
        prop_assert!(line.chars().count() <= DESCRIPTION_LIMIT);
        prop_assert!(!line.chars().any(char::is_control));
    }
}
