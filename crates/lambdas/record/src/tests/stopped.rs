//! Executions that were stopped while jobs were open.

use super::*;
use domain::ids::JobId;
use domain::run::StackState;

impl Scene {
    /// Adds a run of commit 2 that holds the environment, with run 3 behind it. Its apply job of the stack `data` was
    /// submitted. Returns the job.
    async fn applying(&self) -> JobId {
        self.add(2, QueueRule::Every).await;
        self.add(3, QueueRule::Every).await;
        self.change(2, |run| samples::begin_apply(run, "data"))
            .await;
        let stored = self.stored(2).await;
        let StackState::Applying { job, .. } = stored.forward().stacks()[0].state() else {
            panic!("{stored:?}");
        };
        self.batch.submit(job);
        job.clone()
    }

    /// Asserts that run 2 holds the environment and has no end.
    async fn assert_open(&self) {
        assert!(!self.stored(2).await.is_ended());
        assert_eq!(self.holder(), Some(id(2)));
        assert!(self.audit.keys().is_empty());
    }
}

/// The job waits in its queue, or the reply to its submission was lost and Step Functions does not know it.
#[tokio::test]
async fn a_job_that_a_stopped_execution_left_in_the_queue_does_not_freeze_the_environment() {
    let world = Scene::new();
    let job = world.applying().await;
    world.ended(2, ExecutionState::Aborted).await.unwrap();

    assert!(!world.batch.has_open(&job));
    let run = world.stored(2).await;
    assert_eq!(run.outcome(), Outcome::Failed);
    assert!(!run.has_side_effects());
    let environment = world.table.environment();
    assert!(environment.frozen().is_none());
    assert!(environment.is_held_by(&id(3)), "the next run goes on");
    let error = &run.failure().unwrap().error;
    assert_eq!(error.name, ErrorName::Interrupted);
    assert_eq!(world.audit_entries()[0].outcome, Outcome::Failed);
}

/// Batch may be unable to say anything about a job whose container cannot do anything.
#[tokio::test]
async fn a_job_that_cannot_start_is_not_waited_for() {
    let world = Scene::new();
    let job = world.applying().await;
    for operation in ["find", "terminate"] {
        let denied = StepError::new(ErrorName::AwsDenied, "no right");
        world.batch.fail_next(operation, denied, 1);
    }
    world.ended(2, ExecutionState::TimedOut).await.unwrap();
    assert!(world.batch.has_open(&job));
    assert_eq!(world.stored(2).await.outcome(), Outcome::Failed);
    assert_eq!(world.holder(), Some(id(3)));
}

#[tokio::test]
async fn a_run_whose_job_works_is_not_ended_before_the_job() {
    let world = Scene::new();
    let job = world.applying().await;
    world.claim_job(&id(2), &job);
    let down = StepError::new(ErrorName::AwsUnavailable, "no reply");
    world.batch.fail_next("find", down.clone(), 1);
    let error = world.ended(2, ExecutionState::Aborted).await.unwrap_err();
    assert_eq!(error, down, "the call is repeated");
    world.assert_open().await;

    let output = world.ended(2, ExecutionState::Aborted).await.unwrap();
    assert_eq!(
        (output.verdict, output.error.as_str()),
        (RecordVerdict::Failed, "JobEnding")
    );
    insta::assert_snapshot!(output.cause);
    assert!(!world.batch.has_open(&job), "it was terminated");
    world.assert_open().await;

    // The job has ended. What it changed is not known.
    world.ended(2, ExecutionState::Aborted).await.unwrap();
    assert_eq!(world.stored(2).await.outcome(), Outcome::NeedsOperator);
    let environment = world.table.environment();
    assert_eq!(environment.frozen().unwrap().run, id(2));
    assert_eq!(environment.holder(), None);
    assert_eq!(world.audit_entries()[0].outcome, Outcome::NeedsOperator);
}
