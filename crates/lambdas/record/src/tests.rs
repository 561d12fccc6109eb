#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
mod chain;
mod claims;
mod stopped;

use super::*;
use domain::environment::QueueRule;
use domain::error::{ErrorName, StepError};
use domain::ids::RunId;
use domain::plan::LegKind;
use domain::reconcile::ExecutionState;
use domain::run::{Lock, Outcome, Run};
use domain::step::{
    CaughtError, ExecutionEnded, Promote, RecordRun, RecordRunOutput, RecordVerdict,
};
use engine::fakes::{FakeTable, World, samples};
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

    fn step(&self) -> Record {
        Record {
            table: Arc::new(self.table.clone()),
            closing: self.closing(),
            audit: self.audit_log(),
            executions: Arc::new(self.executions.clone()),
            announcer: self.announcer(),
            enrolments: self.enrolments(),
            clock: self.clock(),
        }
    }

    /// Stores a run of commit `n` that requested its environment. The first such run holds it.
    async fn add(&self, n: u8, rule: QueueRule) -> Run {
        let mut config = samples::config();
        config.queue = rule;
        let run = samples::accepted_run(n, config);
        let (execution, token) = (format!("execution-{n}"), format!("token-{n}"));
        self.queue_run(run, &execution, &token).await;
        self.stored(n).await
    }

    async fn change(&self, n: u8, change: impl Fn(&mut Run)) {
        self.change_run(&id(n), change).await;
    }

    async fn stored(&self, n: u8) -> Run {
        self.run(&id(n)).await
    }

    async fn promote(&self, n: u8) -> Result<()> {
        let input = RecordInput::Promote(Promote { run: id(n) });
        self.step().run(input).await.map(|_| ())
    }

    async fn call(&self, input: RecordInput) -> Result<RecordRunOutput> {
        match self.step().run(input).await? {
            RecordOutput::Record(output) => Ok(output),
            other @ RecordOutput::Promote(_) => panic!("{other:?}"),
        }
    }

    async fn record(&self, n: u8, error: Option<&str>) -> Result<RecordRunOutput> {
        let input = RecordRun {
            event: Box::new(samples::push_event(n)),
            execution: format!("execution-{n}"),
            error: error.map(|error| CaughtError {
                error: error.into(),
                cause: "{\"errorMessage\":\"it broke\"}".into(),
            }),
        };
        self.call(RecordInput::Record(input)).await
    }

    async fn ended(&self, n: u8, status: ExecutionState) -> Result<RecordRunOutput> {
        let input = ExecutionEnded {
            execution: format!("execution-{n}"),
            status,
        };
        self.call(RecordInput::ExecutionEnded(input)).await
    }
}

fn id(n: u8) -> RunId {
    samples::run_id(n)
}

/// Completes and verifies the run.
fn finish(run: &mut Run, n: u8) {
    samples::build(run, n);
    samples::find_unchanged(run);
    samples::roll_out(run, n);
}

#[tokio::test]
async fn a_verified_run_is_promoted_recorded_and_releases_its_environment() {
    let world = Scene::new();
    world.add(2, QueueRule::Newest).await;
    world.change(2, |run| finish(run, 2)).await;
    world.promote(2).await.unwrap();
    world.promote(2).await.unwrap();
    let good = world.table.environment().last_good().unwrap().clone();
    assert_eq!(
        (good.run, good.artifact, good.releases),
        (id(2), Some(samples::artifact(2)), vec![samples::release(2)])
    );

    let output = world.record(2, None).await.unwrap();
    assert_eq!(
        (output.verdict, output.error.as_str()),
        (RecordVerdict::Succeeded, "applied")
    );
    let run = world.stored(2).await;
    assert_eq!(run.end().unwrap().audit_seq, Some(1));
    assert_eq!(world.holder(), None);
    let files = world.forge.audit_files(samples::repository().key);
    assert_eq!(files.len(), 1);
    assert_eq!(
        files.values().next(),
        world.audit.peek(&world.audit.keys()[0]).as_ref()
    );
    insta::assert_snapshot!(String::from_utf8(files.values().next().unwrap().clone()).unwrap());
}

#[tokio::test]
async fn what_was_not_verified_is_not_promoted() {
    let world = Scene::new();
    world.add(2, QueueRule::Newest).await;
    let error = world.promote(2).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ImageMissing);
    world.change(2, |run| samples::build(run, 2)).await;
    let error = world.promote(2).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
    world.change(2, samples::find_unchanged).await;
    world
        .change(2, |run| {
            run.rollout_started(LegKind::Forward, samples::rollout(2))
                .unwrap();
        })
        .await;
    let error = world.promote(2).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
    world.change(2, |run| samples::roll_out(run, 2)).await;
    world
        .table
        .change_environment(|it| it.release(&id(2), samples::now()));
    assert_eq!(
        world.promote(2).await.unwrap_err().name,
        ErrorName::LockLost
    );
    assert_eq!(world.table.environment().last_good(), None);
}

#[tokio::test]
async fn a_rolled_back_run_marks_its_commit_and_fails_with_its_first_error() {
    let world = Scene::new();
    world.add(2, QueueRule::Newest).await;
    world
        .change(2, |run| {
            finish(run, 2);
            let (error, now) = (
                StepError::new(ErrorName::Unhealthy, "no answer"),
                samples::now(),
            );
            run.handle_error(now, error, Some(&samples::last_good(1)), now)
                .unwrap();
            samples::roll_out(run, 1);
        })
        .await;
    world.promote(2).await.unwrap();
    assert!(world.table.environment().is_bad(&samples::commit(2)));
    let output = world.record(2, Some("Unhealthy")).await.unwrap();
    assert_eq!(output.error, "Unhealthy");
    insta::assert_snapshot!(output.cause);
    assert_eq!(world.stored(2).await.outcome(), Outcome::RolledBack);
    assert!(world.table.environment().frozen().is_none());
}

#[tokio::test]
async fn the_next_run_gets_the_environment_and_the_one_between_is_superseded() {
    let world = Scene::new();
    for n in 2..5 {
        world.add(n, QueueRule::Newest).await;
    }
    assert!(matches!(
        world.stored(3).await.lock(),
        Lock::Superseded { .. }
    ));
    world.record(3, None).await.unwrap();
    assert_eq!(world.holder(), Some(id(2)));
    world.record(2, Some("PlanFailed")).await.unwrap();
    assert_eq!(world.holder(), Some(id(4)));
    let outputs = world.tokens.outputs();
    assert!(
        outputs.contains(&("token-4".into(), "{\"verdict\":\"held\"}".into())),
        "{outputs:?}"
    );
    let entries = world.audit_entries();
    assert_eq!(entries[0].outcome, Outcome::Superseded);
    assert_eq!(entries[0].superseded_by, Some(samples::commit(4)));
    assert_eq!(entries[1].outcome, Outcome::Failed);
}

#[tokio::test]
async fn an_aborted_execution_is_closed_and_what_it_touched_is_frozen() {
    let world = Scene::new();
    world.add(2, QueueRule::Newest).await;
    world.add(3, QueueRule::Newest).await;
    world
        .change(2, |run| samples::fail_apply(run, "data"))
        .await;
    for _ in 0..2 {
        let output = world.ended(2, ExecutionState::Aborted).await.unwrap();
        assert_eq!(output.error, "Interrupted");
    }
    let environment = world.table.environment();
    assert_eq!(environment.frozen().unwrap().run, id(2));
    assert_eq!(environment.holder(), None);
    let (token, error) = world.tokens.errors().remove(0);
    assert_eq!(
        (token.as_str(), error.name),
        ("token-3", ErrorName::EnvironmentFrozen)
    );
    assert!(error.message.contains("Interrupted"), "{error}");
    assert_eq!(world.audit_entries()[0].outcome, Outcome::NeedsOperator);

    // A late repetition does not undo what an operator repaired.
    world.table.change_environment(|environment| {
        environment.unfreeze(samples::now());
    });
    world.ended(2, ExecutionState::Aborted).await.unwrap();
    assert!(world.table.environment().frozen().is_none());
    assert_eq!(world.audit_entries().len(), 1);
}

#[tokio::test]
async fn executions_that_end_early_have_the_outcome_that_they_earned() {
    let world = Scene::new();
    world.add(2, QueueRule::Newest).await;
    world.change(2, |run| finish(run, 2)).await;
    world.promote(2).await.unwrap();
    world.ended(2, ExecutionState::TimedOut).await.unwrap();
    assert_eq!(world.stored(2).await.outcome(), Outcome::Applied);

    world.add(3, QueueRule::Newest).await;
    world.ended(3, ExecutionState::Failed).await.unwrap();
    assert_eq!(world.stored(3).await.outcome(), Outcome::Failed);
    assert_eq!(world.holder(), None);

    let output = world.ended(9, ExecutionState::Failed).await.unwrap();
    assert_eq!(output.error, "RunNotFound");
}

#[tokio::test]
async fn a_refused_rollback_lets_a_newer_commit_go_on() {
    let world = Scene::new();
    world.add(2, QueueRule::Newest).await;
    world.add(3, QueueRule::Newest).await;
    world
        .change(2, |run| {
            finish(run, 2);
            let (now, later) = (samples::now(), samples::after(1));
            let error = StepError::new(ErrorName::Unhealthy, "no answer");
            run.handle_error(now, error, Some(&samples::last_good(1)), now)
                .unwrap();
            let error = StepError::new(ErrorName::PlanRefused, "would delete a table");
            run.handle_error(later, error, None, later).unwrap();
        })
        .await;
    world.record(2, None).await.unwrap();
    assert_eq!(world.stored(2).await.outcome(), Outcome::NeedsOperator);
    assert_eq!(world.holder(), Some(id(3)));
}

#[tokio::test]
async fn an_unreachable_forge_delays_only_the_branch() {
    let world = Scene::new();
    world.forge.set_unreachable(true);
    world.add(2, QueueRule::Newest).await;
    let output = world.record(2, None).await.unwrap();
    assert_eq!(output.verdict, RecordVerdict::Succeeded);
    assert!(
        world
            .forge
            .audit_files(samples::repository().key)
            .is_empty()
    );
    world.forge.set_unreachable(false);
    world.add(3, QueueRule::Newest).await;
    world.record(3, None).await.unwrap();
    let files = world.forge.audit_files(samples::repository().key);
    let paths: Vec<_> = files.keys().cloned().collect();
    assert_eq!(
        paths,
        [
            format!("runs/00000001-{}.json", id(2)),
            format!("runs/00000002-{}.json", id(3))
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_hangs_does_not_take_the_steps_own_time() {
    let world = Scene::new();
    world.forge.hang();
    world.add(2, QueueRule::Newest).await;
    let start = tokio::time::Instant::now();
    let output = world.record(2, None).await.unwrap();
    assert_eq!(output.verdict, RecordVerdict::Succeeded);
    assert!(start.elapsed() < std::time::Duration::from_secs(90));
    assert!(world.holder().is_none());
}

/// A key of S3 or a permission is missing. The next run does not wait for its repair.
#[tokio::test]
async fn an_audit_that_cannot_be_written_does_not_hold_the_environment() {
    let denied = || StepError::new(ErrorName::AwsDenied, "PutObject: denied by the key");
    for operation in ["get", "put_if_absent"] {
        let world = Scene::new();
        world.add(2, QueueRule::Newest).await;
        world.record(2, None).await.unwrap();
        world.add(3, QueueRule::Newest).await;
        world.add(4, QueueRule::Newest).await;
        world.audit.fail_next(operation, denied(), 1);
        let output = world.record(3, Some("PlanFailed")).await.unwrap();
        assert_eq!(output.error, "PlanFailed", "the execution ends as its run");

        let run = world.stored(3).await;
        assert!(run.is_ended() && !run.is_recorded(), "{operation}");
        assert_eq!(world.holder(), Some(id(4)), "{operation}");
        assert!(!world.tokens.is_open("token-4"), "{operation}");
        let last = world.forge.statuses().pop().unwrap();
        assert_eq!(last.commit, samples::commit(3), "its end is announced");
        assert_eq!(last.status.state, engine::CommitState::Failure);

        // The next entry takes the number. The missing one follows when the call is repeated.
        world.record(4, None).await.unwrap();
        world.record(3, Some("PlanFailed")).await.unwrap();
        let runs: Vec<RunId> = world
            .audit_entries()
            .into_iter()
            .map(|entry| entry.run)
            .collect();
        assert_eq!(runs, [id(2), id(4), id(3)], "{operation}");
    }
}

#[tokio::test]
async fn a_crash_anywhere_is_completed_by_the_retry() {
    let down = || StepError::new(ErrorName::AwsUnavailable, "down");
    // Each call that the step makes is lost once, before or after its effect.
    for nth in 0..40 {
        let world = Scene::new();
        for n in [2, 3] {
            world.add(n, QueueRule::Newest).await;
        }
        let operations = [
            "get",
            "replace",
            "insert",
            "audit get",
            "audit put",
            "succeed",
        ];
        let (operation, after) = (operations[nth % 6], nth / 6 % 2 == 1);
        match (operation, after) {
            ("audit get", _) => world.audit.fail_next("get", down(), 1),
            ("audit put", false) => world.audit.fail_next("put_if_absent", down(), 1),
            ("audit put", true) => world.audit.lose_reply("put_if_absent", down(), 1),
            ("succeed", false) => world.tokens.fail_next("succeed", down(), 1),
            ("succeed", true) => world.tokens.lose_reply("succeed", down(), 1),
            // A later write of the table fails each time.
            (table, _) => race(&world.table, nth / 12, table, after),
        }
        let mut tries = 0;
        while world.record(2, Some("PlanFailed")).await.is_err() {
            tries += 1;
            assert!(tries < 5, "{operation} {after} never heals");
        }
        let entries = world.audit_entries();
        assert_eq!(entries.len(), 1, "{operation} {after}");
        assert_eq!(world.holder(), Some(id(3)), "{operation} {after}");
        assert!(
            world.table.environment().outbox().is_empty(),
            "{operation} {after}"
        );
        assert!(!world.tokens.is_open("token-3"), "{operation} {after}");
        assert!(world.stored(2).await.is_ended());
        assert_eq!(world.forge.audit_files(samples::repository().key).len(), 1);
    }
}

/// Makes a call to the table fail after `writes` more writes.
fn race(table: &FakeTable, writes: usize, name: &'static str, after: bool) {
    let down = StepError::new(ErrorName::AwsUnavailable, "down");
    if writes == 0 {
        if after {
            table.lose_reply(name, down, 1);
        } else {
            table.fail_next(name, down, 1);
        }
        return;
    }
    let next = table.clone();
    table.race_next_write(move || race(&next, writes - 1, name, after));
}

#[test]
fn every_error_says_what_happened() {
    let run = || samples::run_id(1);
    let execution = || samples::EXECUTION.to_owned();
    let errors = [
        Error::NeverClaimed { run: run() },
        Error::OtherExecution {
            run: run(),
            execution: execution(),
        },
        Error::NoRun {
            execution: execution(),
        },
    ];
    insta::assert_snapshot!(samples::texts(errors));
}
