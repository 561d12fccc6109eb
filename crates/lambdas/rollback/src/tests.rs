#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
use domain::error::{ErrorName, StepError};
use domain::ids::RunId;
use domain::plan::LegKind;
use domain::run::{ErrorDecision, Outcome, RollbackOutcome, Run};
use domain::step::{CaughtError, DecideRollback};
use engine::fakes::{World, samples};
use std::ops::Deref;

/// A run that changed a stack. It holds its environment, where commit 1 was verified.
struct Scene {
    world: World,
    run: RunId,
}

impl Deref for Scene {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Scene {
    async fn new() -> Self {
        let mut run = samples::sealed_run(2);
        samples::fail_apply(&mut run, "data");
        let world = Self {
            world: World::new(),
            run: run.id().clone(),
        };
        world.insert(&run).await;
        world.table.deliver(&samples::last_good(1));
        world.table.give_environment_to(&run);
        world
    }

    /// Calls the step with an error, at the given second.
    async fn error(&self, name: &str, second: i64) -> Result<ErrorDecision> {
        let step = Rollback {
            table: Arc::new(self.table.clone()),
            announcer: self.announcer(),
            clock: self.clock(),
        };
        let input = DecideRollback {
            run: self.run.clone(),
            error: CaughtError {
                error: name.into(),
                cause: "{\"errorMessage\":\"it broke\"}".into(),
            },
            entered_at: samples::after(second),
        };
        let output = step.run(RollbackInput::Decide(input)).await;
        output.map(|output| output.verdict)
    }

    async fn set(&self, run: Run) {
        self.change_run(&self.run, |stored| *stored = run.clone())
            .await;
    }

    async fn stored(&self) -> Run {
        self.world.run(&self.run).await
    }
}

#[tokio::test]
async fn the_first_error_starts_the_rollback_however_often_it_is_reported() {
    let world = Scene::new().await;
    for _ in 0..3 {
        assert_eq!(
            world.error("ApplyFailed", 1).await,
            Ok(ErrorDecision::RollBack)
        );
    }
    let run = world.stored().await;
    assert_eq!(run.leg().kind(), LegKind::Rollback);
    assert_eq!(run.rollback_outcome(), None);
    let failure = &run.failure().unwrap().error;
    assert_eq!(failure, &StepError::new(ErrorName::ApplyFailed, "it broke"));
    assert!(world.table.environment().frozen().is_none());
}

#[tokio::test]
async fn a_lost_write_is_completed_by_the_retry() {
    let world = Scene::new().await;
    let lost = StepError::new(ErrorName::AwsUnavailable, "no reply");
    world.table.lose_reply("replace", lost, 1);
    world.error("ApplyFailed", 1).await.unwrap_err();
    assert_eq!(
        world.error("ApplyFailed", 1).await,
        Ok(ErrorDecision::RollBack)
    );
    assert_eq!(world.stored().await.handled_errors().len(), 1);
}

#[tokio::test]
async fn an_error_of_the_rollback_freezes_the_environment_once() {
    let world = Scene::new().await;
    world.error("ApplyFailed", 1).await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            world.error("States.Timeout", 2).await,
            Ok(ErrorDecision::Record)
        );
    }
    let run = world.stored().await;
    assert_eq!(run.outcome(), Outcome::NeedsOperator);
    assert_eq!(run.failure().unwrap().error.name, ErrorName::ApplyFailed);
    let frozen = world.table.environment().frozen().unwrap().clone();
    assert_eq!(frozen.run, world.run);
    insta::assert_snapshot!(frozen.reason);
}

#[tokio::test]
async fn a_crash_between_run_and_environment_is_completed() {
    let world = Scene::new().await;
    world.error("ApplyFailed", 1).await.unwrap();
    // The write of the run succeeds; the write of the environment fails.
    let down = StepError::new(ErrorName::AwsUnavailable, "down");
    let table = world.table.clone();
    world
        .table
        .race_next_write(move || table.fail_next("get", down, 1));
    world.error("PlanFailed", 2).await.unwrap_err();
    assert!(world.table.environment().frozen().is_none());
    assert_eq!(
        world.error("PlanFailed", 2).await,
        Ok(ErrorDecision::Record)
    );
    assert!(world.table.environment().frozen().is_some());
}

#[tokio::test]
async fn a_late_call_does_not_freeze_what_an_operator_repaired() {
    let world = Scene::new().await;
    world.error("ApplyFailed", 1).await.unwrap();
    world.error("PlanFailed", 2).await.unwrap();
    assert!(world.table.environment().frozen().is_some());
    // The run ends, an operator repairs and unfreezes the environment, and the next run gets it.
    world.table.change_environment(|environment| {
        environment.release(&world.run, samples::now());
        environment.unfreeze(samples::now());
    });
    world.table.give_environment_to(&samples::sealed_run(3));
    let before = world.table.environment();
    for second in [2, 3] {
        assert_eq!(
            world.error("PlanFailed", second).await,
            Ok(ErrorDecision::Record)
        );
    }
    assert_eq!(world.table.environment(), before);
}

#[tokio::test]
async fn a_run_that_loses_the_environment_while_it_decides_does_not_freeze_it() {
    let world = Scene::new().await;
    world.error("ApplyFailed", 1).await.unwrap();
    // The first write is the run's. Just before the environment's, another run gets the
    // environment.
    let table = world.table.clone();
    world.table.race_next_write(|| ());
    world
        .table
        .race_next_write(move || table.give_environment_to(&samples::sealed_run(3)));
    assert_eq!(
        world.error("PlanFailed", 2).await,
        Ok(ErrorDecision::Record)
    );
    let environment = world.table.environment();
    assert!(environment.frozen().is_none());
    assert!(environment.is_held_by(samples::sealed_run(3).id()));
}

#[tokio::test]
async fn a_refused_rollback_is_for_an_operator_and_freezes_nothing() {
    let world = Scene::new().await;
    world.error("ApplyFailed", 1).await.unwrap();
    assert_eq!(
        world.error("PlanRefused", 2).await,
        Ok(ErrorDecision::Record)
    );
    assert_eq!(world.stored().await.outcome(), Outcome::NeedsOperator);
    assert!(world.table.environment().frozen().is_none());
}

#[tokio::test]
async fn a_plan_that_no_one_approved_ends_the_run_and_undoes_what_was_applied_before_it() {
    // Another stack was applied already, so the run rolls back.
    let world = Scene::new().await;
    assert_eq!(
        world.error("ApprovalRejected", 1).await,
        Ok(ErrorDecision::RollBack)
    );
    let stored = world.stored().await;
    assert_eq!(
        stored.failure().unwrap().error.name,
        ErrorName::ApprovalRejected
    );
    assert!(world.table.environment().frozen().is_none());

    // Nothing was applied, so there is nothing to roll back.
    let world = Scene::new().await;
    world.set(samples::sealed_run(2)).await;
    assert_eq!(
        world.error("ApprovalRejected", 1).await,
        Ok(ErrorDecision::Record)
    );
    let run = world.stored().await;
    assert_eq!(run.rollback_outcome(), Some(RollbackOutcome::NotNeeded));
    assert_eq!(run.failure().unwrap().error.message, "it broke");
    assert_eq!(run.outcome(), Outcome::Rejected);
    assert!(world.table.environment().frozen().is_none());
}

#[tokio::test]
async fn there_may_be_nothing_to_undo_or_no_last_good_commit() {
    let world = Scene::new().await;
    let run = world.stored().await;
    let world = Scene {
        world: World::new(),
        ..world
    };
    world.insert(&run).await;
    world.table.give_environment_to(&run);
    assert_eq!(
        world.error("ApplyFailed", 1).await,
        Ok(ErrorDecision::Record)
    );
    assert_eq!(
        world.stored().await.rollback_outcome(),
        Some(RollbackOutcome::NoLastGood)
    );

    // The commit was promoted, but the item of the run was not updated.
    let world = Scene::new().await;
    world.table.deliver(&samples::last_good(2));
    assert_eq!(
        world.error("AwsUnavailable", 1).await,
        Ok(ErrorDecision::Record)
    );
    let promoted = world.stored().await;
    assert!(promoted.promoted_at().is_some() && promoted.failure().is_none());

    let world = Scene::new().await;
    world.set(samples::claimed_run(2)).await;
    assert_eq!(
        world.error("ConfigInvalid", 1).await,
        Ok(ErrorDecision::Record)
    );
    assert_eq!(world.stored().await.outcome(), Outcome::Rejected);
}

#[tokio::test]
async fn an_error_after_the_end_changes_nothing() {
    let world = Scene::new().await;
    let mut ended = world.stored().await;
    ended.close(None, 1, samples::now()).unwrap();
    world.set(ended.clone()).await;
    let decision = world.error("ApplyFailed", 1).await;
    assert_eq!(decision, Ok(ErrorDecision::Record));
    assert_eq!(world.stored().await, ended);
}
