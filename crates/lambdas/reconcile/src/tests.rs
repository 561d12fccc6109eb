#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
mod pushes;

use super::*;
use domain::environment::QueueRule;
use domain::error::{ErrorName, StepError};
use domain::ids::{JobId, RunId};
use domain::run::{Outcome, Run, StackState};
use engine::fakes::{SetStatus, World, samples};
use engine::{CommitState, ExecutionState};
use std::ops::Deref;

struct Scene(World);

impl Deref for Scene {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl Scene {
    fn new() -> Self {
        Self(World::new())
    }

    fn step(&self) -> Reconcile {
        Reconcile {
            table: Arc::new(self.table.clone()),
            closing: self.closing(),
            audit: self.audit_log(),
            executions: Arc::new(self.executions.clone()),
            tips: Arc::new(self.forge.clone()),
            bus: Arc::new(self.bus.clone()),
            enrolments: self.enrolments(),
            clock: self.clock(),
        }
    }

    async fn reconcile(&self) -> ReconcileOutput {
        self.step().run(ReconcileInput::Reconcile).await.unwrap()
    }

    /// Stores a run of commit `n` whose execution runs, and which requested its environment. The
    /// first such run holds it.
    async fn add(&self, n: u8) -> RunId {
        let mut config = samples::config();
        config.queue = QueueRule::Every;
        let run = samples::accepted_run(n, config);
        self.queue_run(run, &execution(n), &format!("token-{n}"))
            .await
    }

    async fn stored(&self, n: u8) -> Run {
        self.run(&samples::run_id(n)).await
    }
}

fn execution(n: u8) -> String {
    format!("execution-{n}")
}

fn nothing() -> ReconcileOutput {
    ReconcileOutput::default()
}

#[tokio::test]
async fn an_execution_was_stopped_and_its_event_was_lost() {
    let world = Scene::new();
    let (stopped, next) = (world.add(2).await, world.add(3).await);
    assert_eq!(world.reconcile().await, nothing(), "both executions run");

    world.executions.end(&execution(2), ExecutionState::Aborted);
    let output = world.reconcile().await;
    assert_eq!(output.ended, std::slice::from_ref(&stopped));
    assert_eq!(output.audited, std::slice::from_ref(&stopped));

    let run = world.stored(2).await;
    assert_eq!(run.outcome(), Outcome::Failed);
    let error = &run.failure().unwrap().error;
    assert_eq!(error.name, ErrorName::Interrupted);
    assert_eq!(error.message, "execution execution-2 was stopped");
    assert_eq!(world.holder(), Some(next));
    assert!(
        !world.tokens.is_open("token-3"),
        "the next run was notified"
    );
    assert_eq!(world.audit_entries()[0].run, stopped);
    let files = world.forge.audit_files(samples::repository().key);
    assert_eq!(files.len(), 1);
    assert_eq!(
        world
            .announced()
            .last()
            .map(|sent| sent.transition.as_str()),
        Some("finished")
    );
    assert_eq!(world.reconcile().await, nothing(), "once is enough");
}

#[tokio::test]
async fn what_a_stopped_run_may_have_changed_freezes_its_environment() {
    let world = Scene::new();
    let stopped = world.add(2).await;
    world.add(3).await;
    world
        .change_run(&stopped, |run| samples::begin_apply(run, "data"))
        .await;
    let job = applying(&world.stored(2).await);
    world.batch.submit(&job);
    world.claim_job(&stopped, &job);
    world
        .executions
        .end(&execution(2), ExecutionState::TimedOut);

    // The job may still write: it is ended first.
    assert_eq!(world.reconcile().await, nothing());
    assert!(!world.batch.has_open(&job), "it was terminated");
    assert!(!world.stored(2).await.is_ended());
    assert_eq!(world.holder(), Some(stopped.clone()));

    let output = world.reconcile().await;
    assert_eq!(output.ended, std::slice::from_ref(&stopped));
    let environment = world.table.environment();
    assert_eq!(environment.holder(), None);
    assert_eq!(environment.frozen().unwrap().run, stopped);
    assert_eq!(world.stored(2).await.outcome(), Outcome::NeedsOperator);
    let (token, error) = world.tokens.errors().remove(0);
    assert_eq!(
        (token.as_str(), error.name),
        ("token-3", ErrorName::EnvironmentFrozen)
    );
}

/// The job waited in its queue when the execution was stopped.
#[tokio::test]
async fn a_job_that_never_started_does_not_freeze_the_environment_of_a_stopped_run() {
    let world = Scene::new();
    let (stopped, next) = (world.add(2).await, world.add(3).await);
    world
        .change_run(&stopped, |run| samples::begin_apply(run, "data"))
        .await;
    let job = applying(&world.stored(2).await);
    world.batch.submit(&job);
    world.executions.end(&execution(2), ExecutionState::Aborted);
    for _ in 0..2 {
        world.reconcile().await;
    }
    assert!(!world.batch.has_open(&job));
    assert_eq!(world.stored(2).await.outcome(), Outcome::Failed);
    assert!(world.table.environment().frozen().is_none());
    assert_eq!(world.holder(), Some(next));
}

fn applying(run: &Run) -> JobId {
    match run.forward().stacks()[0].state() {
        StackState::Applying { job, .. } => job.clone(),
        other => panic!("{other:?}"),
    }
}

/// Step Functions forgets an execution after 90 days, and answers late for a new one.
#[tokio::test]
async fn an_execution_that_is_not_known_counts_as_ended_after_a_while() {
    let world = Scene::new();
    let id = world.add(2).await;
    world
        .change_run(&id, |run| samples::edit(run, "/execution", "gone"))
        .await;
    world.clock.advance(14 * 60);
    assert_eq!(world.reconcile().await, nothing());
    world.clock.advance(2 * 60);
    assert_eq!(world.reconcile().await.ended, [id]);
    let failure = world.stored(2).await.failure().unwrap().clone();
    assert!(failure.error.message.contains("does not exist"));
}

#[tokio::test]
async fn a_promoted_run_whose_end_was_not_recorded_ends_applied() {
    let world = Scene::new();
    let id = world.add(2).await;
    world
        .change_run(&id, |run| {
            samples::build(run, 2);
            samples::find_unchanged(run);
            samples::roll_out(run, 2);
            run.promoted(samples::now()).unwrap();
        })
        .await;
    world.executions.end(&execution(2), ExecutionState::Failed);
    world.reconcile().await;
    assert_eq!(world.stored(2).await.outcome(), Outcome::Applied);
}

/// A process stopped between the end of its run and the release of the environment.
#[tokio::test]
async fn the_environment_of_an_ended_run_is_handed_on() {
    let world = Scene::new();
    let (ended, next) = (world.add(2).await, world.add(3).await);
    world
        .change_run(&ended, |run| {
            run.close(None, 1, samples::now()).unwrap();
        })
        .await;
    let output = world.reconcile().await;
    assert_eq!(output.released, std::slice::from_ref(&ended));
    assert_eq!(output.audited, [ended]);
    assert_eq!(world.holder(), Some(next));
    assert!(world.table.environment().outbox().is_empty());
    assert!(!world.tokens.is_open("token-3"));
}

/// A process stopped between the write of a reply and its call.
#[tokio::test]
async fn a_reply_that_was_not_sent_is_sent() {
    let world = Scene::new();
    let holder = world.add(2).await;
    world.tokens.open("second token");
    let waiter = samples::waiter(&world.stored(2).await, "second token");
    world.table.change_environment(|environment| {
        environment.acquire(waiter.clone(), QueueRule::Every, samples::now());
    });
    assert!(!world.table.environment().outbox().is_empty());
    assert_eq!(world.reconcile().await, nothing());
    assert!(!world.tokens.is_open("second token"));
    assert!(world.table.environment().outbox().is_empty());
    assert_eq!(world.holder(), Some(holder), "it keeps its environment");
}

#[tokio::test]
async fn missing_entries_are_written_in_order_without_a_gap() {
    let world = Scene::new();
    let denied = || StepError::new(ErrorName::AwsDenied, "PutObject: denied");
    for n in 2..5 {
        let id = world.add(n).await;
        let run = world.closing().end(&id, None).await.unwrap();
        world.audit.fail_next("put_if_absent", denied(), 1);
        world.audit_log().record(run).await.unwrap_err();
    }
    assert!(world.audit.keys().is_empty());
    let ids = [2, 3, 4].map(samples::run_id);
    assert_eq!(world.reconcile().await.audited, ids);
    let written: Vec<RunId> = world
        .audit_entries()
        .into_iter()
        .map(|entry| entry.run)
        .collect();
    assert_eq!(written, ids);
    let files = world.forge.audit_files(samples::repository().key);
    assert_eq!(files.len(), 3);
    assert_eq!(world.reconcile().await, nothing());
}

#[tokio::test]
async fn a_problem_with_one_run_does_not_stop_the_others() {
    let world = Scene::new();
    let (first, second) = (world.add(2).await, world.add(3).await);
    for n in [2, 3] {
        world.executions.end(&execution(n), ExecutionState::Aborted);
    }
    let denied = StepError::new(ErrorName::AwsDenied, "PutObject: denied");
    world.audit.fail_next("put_if_absent", denied, 1);
    let error = world.step().run(ReconcileInput::Reconcile).await;
    assert_eq!(error.unwrap_err().name, ErrorName::AwsDenied);
    for n in [2, 3] {
        assert!(world.stored(n).await.is_ended(), "run {n}");
    }
    assert_eq!(world.holder(), None);
    assert_eq!(world.audit_entries()[0].run, second);
    assert_eq!(world.reconcile().await.audited, [first]);
    assert_eq!(world.audit_entries().len(), 2);
}

/// The fake of the table has three items on a page, as DynamoDB has at most 1 MB.
#[tokio::test]
async fn every_open_run_is_looked_at_however_many_there_are() {
    let world = Scene::new();
    let runs = 2..22;
    for n in runs.clone() {
        world.add(n).await;
        world.executions.end(&execution(n), ExecutionState::Aborted);
    }
    let expected: Vec<RunId> = runs.map(samples::run_id).collect();
    let output = world.reconcile().await;
    assert_eq!(output.ended, expected);
    assert_eq!(output.audited, expected);
    assert_eq!(world.holder(), None);
    assert!(world.table.environment().queue().is_empty());
    assert_eq!(world.reconcile().await, nothing());
}

/// The audit bucket refuses for an hour. The end of the run is on the commit and in the queue once.
#[tokio::test]
async fn an_end_is_announced_once_although_its_entry_cannot_be_written() {
    let world = Scene::new();
    let id = world.add(2).await;
    world.executions.end(&execution(2), ExecutionState::Aborted);
    let denied = || StepError::new(ErrorName::AwsDenied, "PutObject: denied");
    world.audit.fail_next("put_if_absent", denied(), 12);
    for _ in 0..12 {
        let error = world.step().run(ReconcileInput::Reconcile).await;
        assert_eq!(error.unwrap_err().name, ErrorName::AwsDenied);
        world.clock.advance(300);
    }
    assert_eq!(world.reconcile().await.audited, [id]);
    let announced = world.announced();
    let ends = announced
        .iter()
        .filter(|sent| sent.transition.as_str() == "finished");
    assert_eq!(ends.count(), 1);
    let statuses = world.forge.statuses();
    let failed = |set: &&SetStatus| set.status.state == CommitState::Failure;
    assert_eq!(statuses.iter().filter(failed).count(), 1);
}

/// No later entry names the newest one.
#[tokio::test]
async fn a_deleted_newest_audit_entry_is_reported_by_each_call() {
    let world = Scene::new();
    world.add(2).await;
    world.executions.end(&execution(2), ExecutionState::Aborted);
    world.reconcile().await;
    for key in world.audit.keys() {
        world.audit.remove(&key);
    }
    for _ in 0..2 {
        let error = world.step().run(ReconcileInput::Reconcile).await;
        let error = error.unwrap_err();
        assert_eq!(error.name, ErrorName::Internal);
        assert!(error.message.contains("find out who deleted it"), "{error}");
    }
}

/// A list that cannot be read does not keep the others from being looked at.
#[tokio::test]
async fn a_list_that_cannot_be_read_does_not_stop_the_call() {
    let world = Scene::new();
    let id = world.add(2).await;
    world.executions.end(&execution(2), ExecutionState::Aborted);
    let denied = StepError::new(ErrorName::AwsDenied, "Query: denied");
    world.table.fail_next("page", denied, 1);
    let error = world.step().run(ReconcileInput::Reconcile).await;
    assert_eq!(error.unwrap_err().name, ErrorName::AwsDenied);
    assert!(world.run(&id).await.is_recorded());
}

/// `record` may be at work on the same run.
#[tokio::test]
async fn two_calls_at_once_make_one_end_and_one_entry() {
    let world = Scene::new();
    world.add(2).await;
    world.executions.end(&execution(2), ExecutionState::Aborted);
    let other = world.step();
    let world_table = world.table.clone();
    let racing = tokio::spawn(async move { other.run(ReconcileInput::Reconcile).await });
    let own = world.step().run(ReconcileInput::Reconcile).await;
    racing.await.unwrap().unwrap();
    own.unwrap();
    assert_eq!(world.audit_entries().len(), 1);
    assert_eq!(world_table.environment().holder(), None);
}
