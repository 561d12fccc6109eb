#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::fakes::{World, samples};
use domain::environment::QueueRule;
use std::ops::Deref;

/// Runs of commits 1 to 3. None has requested the environment.
struct Scene(World);

impl Deref for Scene {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        for n in [1, 2, 3] {
            world.insert(&samples::sealed_run(n)).await;
        }
        Self(world)
    }

    /// Like `new`, but run 1 holds the environment and run 2 waits on the token `t2`.
    async fn with_a_run_that_waits() -> Self {
        let world = Self::new().await;
        for n in [1, 2] {
            world.acquire(n, &format!("t{n}")).await.unwrap();
        }
        assert!(world.tokens.is_open("t2"));
        world
    }

    async fn acquire(&self, n: u8, token: &str) -> Result<Vec<Run>> {
        self.tokens.open(token);
        let announcer = self.announcer();
        self.environments().acquire(&id(n), token, &announcer).await
    }

    async fn run(&self, n: u8) -> Run {
        self.0.run(&id(n)).await
    }

    async fn owned(&self, n: u8) -> Result<Owned> {
        owned(&self.table, &self.run(n).await).await
    }

    async fn end(&self, n: u8) {
        update_run(&self.table, &id(n), |run| {
            run.close(None, 1, samples::now())?;
            run.audited(1)?;
            Ok(())
        })
        .await
        .unwrap();
    }

    /// The replies to runs, as `token reply`.
    fn replies(&self) -> Vec<String> {
        let succeeded = self.tokens.outputs().into_iter();
        let failed = self.tokens.errors().into_iter();
        succeeded
            .map(|(token, output)| format!("{token} {output}"))
            .chain(failed.map(|(token, error)| format!("{token} {}", error.name)))
            .collect()
    }
}

fn id(n: u8) -> RunId {
    samples::run_id(n)
}

fn unhealthy() -> StepError {
    StepError::new(ErrorName::Unhealthy, "no answer")
}

fn no_reply() -> StepError {
    StepError::new(ErrorName::AwsUnavailable, "no reply")
}

fn lock_lost<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.name, ErrorName::LockLost);
    error.message
}

#[tokio::test]
async fn a_frozen_environment_fails_the_run_that_waits_with_what_to_do_next() {
    let world = Scene::with_a_run_that_waits().await;
    let run = world.run(1).await;
    freeze(&world.table, &run, &unhealthy(), samples::now())
        .await
        .unwrap();
    assert!(world.tokens.is_open("t2"), "the outbox keeps the notice");
    world.environments().release(&run).await.unwrap();
    let errors = world.tokens.errors();
    insta::assert_snapshot!(errors[0].1.to_string());
    assert_eq!(
        world.replies(),
        ["t1 {\"verdict\":\"held\"}", "t2 EnvironmentFrozen"]
    );

    // A run that asks for a frozen environment does not wait, and no run gets the environment.
    world.acquire(3, "t3").await.unwrap();
    assert_eq!(world.replies().last().unwrap(), "t3 EnvironmentFrozen");
    assert_eq!(world.holder(), None);
    let (repository, name) = (samples::repository().key, samples::environment());
    let unfreeze = async || {
        let environments = world.environments();
        environments.unfreeze(repository, &name).await.unwrap()
    };
    assert_eq!(unfreeze().await.unwrap().run, id(1));
    assert_eq!(unfreeze().await, None);
    world.acquire(3, "t3 again").await.unwrap();
    assert_eq!(world.holder(), Some(id(3)));
}

#[tokio::test]
async fn a_bad_commit_fails_its_run_and_the_next_commit_gets_the_environment() {
    let world = Scene::new().await;
    let bad = samples::commit(1);
    world
        .table
        .change_environment(|it| it.mark_bad(bad, id(9), samples::now()));
    world.acquire(1, "t1").await.unwrap();
    insta::assert_snapshot!(world.tokens.errors()[0].1.to_string());
    world.acquire(2, "t2").await.unwrap();
    assert_eq!(world.holder(), Some(id(2)));
}

#[tokio::test]
async fn a_failure_whose_reply_was_lost_is_sent_again_and_ends_the_wait_once() {
    let world = Scene::with_a_run_that_waits().await;
    let run = world.run(1).await;
    freeze(&world.table, &run, &unhealthy(), samples::now())
        .await
        .unwrap();
    world.tokens.lose_reply("fail", no_reply(), 1);
    let lost = world.environments().release(&run).await;
    assert_eq!(lost.unwrap_err(), no_reply());
    // The wait has ended, but the notification is still in the outbox.
    assert_eq!(world.tokens.errors().len(), 1);
    assert_eq!(world.table.environment().outbox().len(), 1);

    world.environments().release(&run).await.unwrap();
    assert_eq!(world.tokens.errors().len(), 1);
    assert!(world.table.environment().outbox().is_empty());
    assert_eq!(world.holder(), None);
}

#[tokio::test]
async fn a_failure_that_was_not_sent_is_sent_by_the_next_call() {
    let world = Scene::with_a_run_that_waits().await;
    let run = world.run(1).await;
    freeze(&world.table, &run, &unhealthy(), samples::now())
        .await
        .unwrap();
    world.tokens.fail_next("fail", no_reply(), 1);
    world.environments().release(&run).await.unwrap_err();
    assert!(world.tokens.is_open("t2"));
    world.acquire(3, "t3").await.unwrap();
    assert!(!world.tokens.is_open("t2"));
    assert!(world.table.environment().outbox().is_empty());
}

#[tokio::test]
async fn two_processes_that_drain_at_once_lose_no_notification() {
    let world = Scene::with_a_run_that_waits().await;
    // Another process records that it sent the notification, just before this process does.
    let table = world.table.clone();
    world.table.race_next_write(|| ());
    world.table.race_next_write(|| ());
    world.table.race_next_write(move || {
        table.change_environment(|environment| {
            for notification in environment.outbox().to_vec() {
                environment.mark_sent(&notification);
            }
        });
    });
    let run = world.run(1).await;
    world.environments().release(&run).await.unwrap();
    assert_eq!(world.holder(), Some(id(2)));
    assert_eq!(world.replies().len(), 2);
    assert!(world.table.environment().outbox().is_empty());
}

#[tokio::test]
async fn a_closed_token_frees_only_the_environment_of_a_run_that_ended() {
    // Another process sent the notification and stopped before it recorded that. The run continues.
    let world = Scene::new().await;
    let run = world.run(2).await;
    world.table.change_environment(|environment| {
        let waiter = samples::waiter(&run, "used");
        environment.acquire(waiter, QueueRule::Newest, samples::now());
    });
    world.acquire(3, "t3").await.unwrap();
    assert_eq!(world.holder(), Some(id(2)));

    // The run ended while it waited, and still got the environment.
    let world = Scene::new().await;
    world.end(2).await;
    world.table.change_environment(|environment| {
        let waiter = samples::waiter(&run, "used");
        environment.acquire(waiter, QueueRule::Newest, samples::now());
    });
    world.acquire(3, "t3").await.unwrap();
    assert_eq!(world.holder(), Some(id(3)));
}

#[tokio::test]
async fn a_run_that_ended_leaves_no_wait_behind() {
    let world = Scene::with_a_run_that_waits().await;
    world.end(3).await;
    world.acquire(3, "t3").await.unwrap();
    let environment = world.table.environment();
    assert!(environment.runs().all(|run| *run != id(3)));
}

#[tokio::test]
async fn a_run_that_holds_its_environment_can_prove_it() {
    let world = Scene::new().await;
    world.acquire(1, "t1").await.unwrap();
    let first = world.owned(1).await.unwrap();
    assert_eq!(first.fence(), 1);
    assert!(first.environment().is_held_by(&id(1)));
    let again = world.owned(1).await.unwrap();
    assert_eq!(again.fence(), first.fence());
}

#[tokio::test]
async fn a_run_that_ended_or_lost_the_environment_cannot_prove_that_it_holds_it() {
    let world = Scene::new().await;
    let mut lost = vec![lock_lost(world.owned(1).await)];
    world.acquire(1, "t1").await.unwrap();
    lost.push(lock_lost(world.owned(2).await));

    let held = world.run(1).await;
    world.end(1).await;
    lost.push(lock_lost(world.owned(1).await));

    // A step that read the run before its end finds that another run holds the environment.
    world.table.give_environment_to(&world.run(2).await);
    lost.push(lock_lost(owned(&world.table, &held).await));
    insta::assert_snapshot!(lost.join("\n"));
}

#[tokio::test]
async fn a_proof_is_worth_nothing_once_another_run_holds_the_environment() {
    let world = Scene::new().await;
    world.acquire(1, "t1").await.unwrap();
    let proof = world.owned(1).await.unwrap();
    let (table, other) = (world.table.clone(), world.run(2).await);
    world
        .table
        .race_next_write(move || table.give_environment_to(&other));
    let good = samples::last_good(1);
    lock_lost(promote(&world.table, &proof, &good).await);
    let run = world.run(1).await;
    lock_lost(record_rollback(&world.table, &proof, &run, samples::now()).await);
    let environment = world.table.environment();
    assert_eq!(environment.last_good(), None);
    assert!(!environment.is_bad(&samples::commit(1)));

    // The proof of one run does not promote the commit of another run.
    world.table.give_environment_to(&world.run(3).await);
    lock_lost(promote(&world.table, &world.owned(3).await.unwrap(), &good).await);
}

/// The call that ends the wait of run 1 fails after run 1 was marked as superseded. Then the newer
/// run ends, and the state machine retries: run 1 asks again on another token.
#[tokio::test]
async fn a_superseded_run_that_asks_again_may_get_the_environment() {
    let world = Scene::new().await;
    world.acquire(2, "t2").await.unwrap();
    let throttled = StepError::new(ErrorName::AwsThrottled, "SendTaskSuccess: Rate exceeded");
    world.tokens.fail_next("succeed", throttled, 1);
    world.acquire(1, "t1").await.unwrap_err();
    assert!(matches!(
        world.run(1).await.lock(),
        domain::run::Lock::Superseded { .. }
    ));

    world.end(2).await;
    let ended = world.run(2).await;
    world.environments().release(&ended).await.unwrap();
    world.acquire(1, "t1 again").await.unwrap();
    assert_eq!(
        world.replies().last().map(String::as_str),
        Some(r#"t1 again {"verdict":"held"}"#)
    );
    assert!(world.owned(1).await.is_ok());
}
