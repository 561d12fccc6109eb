#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::job::{JOB_SCHEMA, JobResult, JobSpec};
use domain::keys::{self, JobFile};
use domain::plan::{
    LegKind, ObjectRef, PlanSummary, SealedPlan, SideEffects, StateVersion, Verdict,
};
use domain::run::{Approval, ApprovalDecision};
use engine::documents::insert;
use engine::fakes::{
    FakeBatch, FakeClock, FakeForge, FakeObjects, FakeStatusQueue, FakeTable, samples,
};
use engine::status::TransitionKind;
use std::collections::BTreeSet;

struct World {
    table: FakeTable,
    objects: FakeObjects,
    batch: FakeBatch,
    status: FakeStatusQueue,
    apply: Apply,
}

impl World {
    /// Creates run 1, which holds the environment and has a sealed plan for its stack `data`.
    async fn new(verdict: Verdict) -> Self {
        let table = FakeTable::new();
        let objects = FakeObjects::new(samples::BUCKET);
        let batch = FakeBatch::new();
        let status = FakeStatusQueue::new();
        let clock = Arc::new(FakeClock::default());
        let repositories: Arc<[EnrolledRepository]> = Arc::new([samples::repository()]);
        let apply = Apply {
            table: Arc::new(table.clone()),
            objects: Arc::new(objects.clone()),
            batch: Arc::new(batch.clone()),
            announcer: Announcer::new(Arc::new(status.clone()), clock.clone())
                .with_commit_statuses(Arc::new(FakeForge::new()), Arc::clone(&repositories)),
            repositories,
            clock,
            states: samples::states(),
        };
        let mut run = samples::sealed_run(1);
        samples::edit(&mut run, "/forward/stacks/0/jobs", 1);
        samples::edit(&mut run, "/forward/stacks/0/state", planned(verdict, None));
        insert(&table, &run).await.unwrap();
        table.give_environment_to(&run);
        Self {
            table,
            objects,
            batch,
            status,
            apply,
        }
    }

    async fn start(&self) -> Result<JobId> {
        let (run, stack) = (run(), samples::stack("data"));
        match self.apply.run(ApplyInput::Start { run, stack }).await? {
            ApplyOutput::Start(StackJob { job, .. }) => Ok(job),
            ApplyOutput::Finish(other) => panic!("{other:?}"),
        }
    }

    async fn finish(&self, job: &JobId) -> Result<ApplyVerdict> {
        let (run, stack, job) = (run(), samples::stack("data"), job.clone());
        let error = Some(CaughtError {
            error: "States.TaskFailed".into(),
            cause: "gone".into(),
        });
        let input = ApplyInput::Finish {
            run,
            stack,
            job,
            error,
        };
        match self.apply.run(input).await? {
            ApplyOutput::Finish(FinishOutput { verdict, .. }) => Ok(verdict),
            ApplyOutput::Start(other) => panic!("{other:?}"),
        }
    }

    async fn state(&self) -> StackState {
        let run = load_run(&self.table, &run()).await.unwrap();
        run.leg().stacks()[0].state().clone()
    }

    async fn set_state(&self, state: StackState) {
        update_run(&self.table, &run(), |run| {
            samples::edit(run, "/forward/stacks/0/state", &state);
            Ok(())
        })
        .await
        .unwrap();
    }

    fn leave(&self, job: &JobId, outcome: JobOutcome) {
        let result = JobResult {
            schema: JOB_SCHEMA,
            run: run(),
            verb: Verb::Apply,
            stack: samples::stack("data"),
            outcome,
            duration_ms: 1,
            exit_code: 0,
        };
        let key = keys::job(&run(), job, JobFile::Result);
        self.objects.set(&key, serde_json::to_vec(&result).unwrap());
    }

    /// Returns the kinds of the status messages in the queue, each id once.
    fn announced(&self) -> Vec<TransitionKind> {
        let mut seen = BTreeSet::new();
        let messages = self.status.messages().into_iter();
        messages
            .filter(|message| seen.insert(message.id.clone()))
            .map(|message| engine::status::parse(&message.body).unwrap())
            .map(|message| message.data.transition)
            .collect()
    }

    /// Returns everything that other processes can see.
    fn shown(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for key in self.table.keys() {
            let record = self.table.peek(&key).unwrap();
            lines.push(format!("{} {}", key.pk, record.doc));
        }
        lines.extend(self.objects.keys());
        let messages = self.status.messages().into_iter();
        lines.extend(messages.map(|message| message.id));
        lines.join("\n")
    }
}

fn run() -> RunId {
    samples::push_event(1).run_id()
}

fn object(n: u8) -> ObjectRef {
    let sha256 = samples::sha256(n);
    ObjectRef {
        key: format!("object-{n}"),
        sha256,
    }
}

fn planned(verdict: Verdict, approval: Option<Approval>) -> StackState {
    StackState::Planned {
        job: JobId::seal("plan", &samples::stack("data"), 1, b"plan"),
        plan: SealedPlan {
            file: object(1),
            json: object(2),
            state: StateVersion {
                lineage: "l".into(),
                serial: 3,
            },
        },
        summary: PlanSummary::default(),
        verdict,
        approval,
    }
}

fn another_plan() -> JobOutcome {
    JobOutcome::Planned {
        plan: object(1),
        json: object(2),
        state: StateVersion {
            lineage: "l".into(),
            serial: 3,
        },
        summary: PlanSummary::default(),
        outputs: None,
    }
}

fn answered(decision: ApprovalDecision) -> Option<Approval> {
    Some(Approval::Decided {
        decision,
        by: "mona".into(),
        at: samples::now(),
    })
}

fn applied() -> JobOutcome {
    JobOutcome::Applied {
        outputs: object(5),
        summary: PlanSummary::default(),
    }
}

fn failed(name: ErrorName, side_effects: SideEffects) -> JobOutcome {
    JobOutcome::Failed {
        error: StepError::new(name, "it broke"),
        side_effects,
        diagnostics: vec!["main.tf:1: it broke here".into()],
    }
}

fn throttled() -> StepError {
    StepError::new(ErrorName::AwsThrottled, "slow down")
}

#[tokio::test]
async fn exactly_the_sealed_plan_is_applied() {
    let world = World::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    let key = keys::job(&run(), &job, JobFile::Spec);
    let bytes = world.objects.peek(&key).unwrap();
    assert!(job.seals(&bytes));
    let record: JobSpec = serde_json::from_slice(&bytes).unwrap();
    let StackState::Planned { plan, .. } = planned(Verdict::Auto, None) else {
        panic!();
    };
    assert_eq!(record.plan, Some(plan));
    assert_eq!((record.verb, record.attempt), (Verb::Apply, 2));
    assert_eq!(record.commit, samples::commit(1));
    assert!(matches!(world.state().await, StackState::Applying { job: known, .. } if known == job));
    // A repeated call returns the same job.
    assert_eq!(world.start().await, Ok(job.clone()));
    world.leave(&job, applied());
    for _ in 0..2 {
        assert_eq!(world.finish(&job).await, Ok(ApplyVerdict::Applied));
    }
    let run = load_run(&world.table, &run()).await.unwrap();
    assert_eq!(run.forward().stacks()[0].outputs(), Some(&object(5)));
}

#[tokio::test]
async fn a_plan_is_used_once() {
    let world = World::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.leave(&job, applied());
    world.finish(&job).await.unwrap();
    let error = world.start().await.unwrap_err();
    assert_eq!(error.name, ErrorName::PlanConsumed);
    assert!(error.message.contains(job.as_str()), "{error}");
}

#[tokio::test]
async fn without_the_lock_nothing_is_applied() {
    let world = World::new(Verdict::Auto).await;
    world.table.give_environment_to(&samples::sealed_run(2));
    let error = world.start().await.unwrap_err();
    assert_eq!(error.name, ErrorName::LockLost);
    let holder = samples::push_event(2).run_id();
    assert!(error.message.contains(holder.as_str()), "{error}");
    assert!(world.objects.keys().is_empty());
    assert_eq!(world.state().await, planned(Verdict::Auto, None));
}

#[tokio::test]
async fn a_plan_that_a_person_has_to_see_waits_for_a_yes() {
    let world = World::new(Verdict::NeedsApproval).await;
    // The wait timed out, and the approval is still requested.
    let asked = Some(Approval::Requested {
        token: "token".into(),
        since: samples::now(),
    });
    let mut errors = Vec::new();
    for approval in [asked, answered(ApprovalDecision::Rejected), None] {
        let state = planned(Verdict::NeedsApproval, approval);
        world.set_state(state.clone()).await;
        let error = world.start().await.unwrap_err();
        assert_eq!(world.start().await, Err(error.clone()), "asked again");
        assert_eq!(error.name, ErrorName::ApprovalRejected);
        assert!(world.objects.keys().is_empty(), "not even a job record");
        assert_eq!(world.state().await, state);
        errors.push(error.to_string());
    }
    assert_eq!(
        world.announced(),
        [TransitionKind::ApprovalDenied],
        "once for all calls"
    );
    let since = samples::now();
    assert_eq!(
        errors,
        [
            format!(
                "ApprovalRejected: the plan of stack data was not approved in time, since {since}; it was not applied"
            ),
            format!("ApprovalRejected: the plan of stack data was rejected by mona at {since}"),
            "ApprovalRejected: the plan of stack data needs approval, and no approval was requested".into(),
        ]
    );
    world
        .set_state(planned(
            Verdict::NeedsApproval,
            answered(ApprovalDecision::Approved),
        ))
        .await;
    assert!(world.start().await.is_ok());
    assert_eq!(
        world.announced(),
        [
            TransitionKind::ApprovalDenied,
            TransitionKind::ApprovalGranted,
            TransitionKind::ApplyStarted
        ]
    );
}

#[tokio::test]
async fn a_refused_plan_stays_refused() {
    let world = World::new(Verdict::Refused).await;
    assert_eq!(
        world.start().await.unwrap_err().name,
        ErrorName::PlanRefused
    );
    assert!(world.objects.keys().is_empty());
}

#[tokio::test]
async fn a_stack_without_a_plan_is_not_applied() {
    let world = World::new(Verdict::Auto).await;
    let side_effects = SideEffects::None;
    for state in [
        StackState::Pending,
        StackState::Unchanged,
        StackState::Failed { side_effects },
    ] {
        world.set_state(state).await;
        let error = world.start().await.unwrap_err();
        assert_eq!(error.name, ErrorName::ContractViolation);
    }
}

#[tokio::test]
async fn a_stale_plan_is_made_again_once() {
    let world = World::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.leave(&job, failed(ErrorName::StalePlan, SideEffects::None));
    for _ in 0..2 {
        assert_eq!(world.finish(&job).await, Ok(ApplyVerdict::Stale));
    }
    assert_eq!(world.state().await, StackState::Pending);
    world.set_state(planned(Verdict::Auto, None)).await;
    let again = world.start().await.unwrap();
    assert_ne!(again, job, "another attempt is another job");
    world.leave(&again, failed(ErrorName::StalePlan, SideEffects::None));
    for _ in 0..2 {
        let error = world.finish(&again).await.unwrap_err();
        assert_eq!(error.name, ErrorName::StalePlan);
    }
    let run = load_run(&world.table, &run()).await.unwrap();
    assert!(!run.has_side_effects());
}

#[tokio::test]
async fn a_failed_apply_says_where_and_what_it_may_have_touched() {
    for side_effects in [SideEffects::None, SideEffects::Possible] {
        let world = World::new(Verdict::Auto).await;
        let job = world.start().await.unwrap();
        world.leave(&job, failed(ErrorName::ApplyFailed, side_effects));
        for _ in 0..2 {
            let error = world.finish(&job).await.unwrap_err();
            assert_eq!(error.name, ErrorName::ApplyFailed);
            assert!(error.message.contains("main.tf:1"), "{error}");
        }
        assert_eq!(world.state().await, StackState::Failed { side_effects });
    }
}

#[tokio::test]
async fn a_job_without_a_result_may_have_touched_something() {
    let world = World::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    for _ in 0..2 {
        let error = world.finish(&job).await.unwrap_err();
        assert_eq!(error.name, ErrorName::JobLost);
        assert!(error.message.contains("gone"), "{error}");
    }
    let side_effects = SideEffects::Possible;
    assert_eq!(world.state().await, StackState::Failed { side_effects });
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_is_ended_before_anything_is_decided() {
    let world = World::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    // The reply to its submission was lost, and the job is still queued in Batch.
    world.batch.submit(&job);
    let error = world.finish(&job).await.unwrap_err();
    assert_eq!(
        error.name,
        ErrorName::AwsUnavailable,
        "asked again: {error}"
    );
    assert!(matches!(world.state().await, StackState::Applying { .. }));
    assert!(!world.batch.has_open(&job));
    let error = world.finish(&job).await.unwrap_err();
    assert_eq!(error.name, ErrorName::JobLost);
    assert!(error.message.contains("no longer waits for it"), "{error}");
    let side_effects = SideEffects::Possible;
    assert_eq!(world.state().await, StackState::Failed { side_effects });
}

#[tokio::test]
async fn what_batch_refuses_to_say_does_not_keep_a_job_from_being_lost() {
    let world = World::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    let denied = StepError::new(ErrorName::AwsDenied, "ListJobs: no right");
    world.batch.fail_next("find", denied, 1);
    let error = world.finish(&job).await.unwrap_err();
    assert_eq!(error.name, ErrorName::JobLost);
}

#[tokio::test]
async fn the_result_of_another_verb_is_refused() {
    let world = World::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.leave(&job, another_plan());
    let error = world.finish(&job).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
}

#[tokio::test]
async fn the_end_of_a_job_that_nobody_waits_for_changes_nothing() {
    let world = World::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    let other = JobId::seal("apply", &samples::stack("data"), 9, b"other");
    let before = world.state().await;
    assert!(world.finish(&other).await.is_err());
    world.leave(&other, applied());
    assert!(world.finish(&other).await.is_err());
    assert_eq!(world.state().await, before);
    world.leave(&job, applied());
    assert_eq!(world.finish(&job).await, Ok(ApplyVerdict::Applied));
}

/// The state machine repeats the call, so the failure must not be recorded.
#[tokio::test]
async fn a_result_that_cannot_be_read_now_is_read_later() {
    let world = World::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.leave(&job, applied());
    world.objects.fail_next("get", throttled(), 1);
    assert_eq!(world.finish(&job).await, Err(throttled()));
    assert_eq!(world.finish(&job).await, Ok(ApplyVerdict::Applied));
}

#[tokio::test]
async fn a_rollback_applies_the_last_good_source() {
    let world = World::new(Verdict::Auto).await;
    let good = samples::last_good(2);
    update_run(&world.table, &run(), |run| {
        let side_effects = SideEffects::Possible;
        let failed = StackState::Failed { side_effects };
        samples::edit(run, "/forward/stacks/0/state", failed);
        let error = StepError::new(ErrorName::ApplyFailed, "no");
        run.handle_error(samples::now(), error, Some(&good), samples::now())?;
        assert_eq!(run.leg().kind(), LegKind::Rollback);
        samples::edit(
            run,
            "/rollback/stacks/0/state",
            planned(Verdict::Auto, None),
        );
        Ok(())
    })
    .await
    .unwrap();
    let job = world.start().await.unwrap();
    let key = keys::job(&run(), &job, JobFile::Spec);
    let record: JobSpec = serde_json::from_slice(&world.objects.peek(&key).unwrap()).unwrap();
    assert_eq!((record.source, record.commit), (good.source, good.commit));
}

/// Every call to an outside system fails, or loses its reply after it took effect. The state
/// machine repeats the action until it succeeds, and the result is the same as without faults.
#[tokio::test]
async fn what_is_asked_again_is_done_once() {
    async fn story(faults: impl Fn(&World)) -> String {
        let world = World::new(Verdict::Auto).await;
        faults(&world);
        let job = loop {
            if let Ok(job) = world.start().await {
                break job;
            }
        };
        world.leave(&job, applied());
        faults(&world);
        while world.finish(&job).await.is_err() {}
        world.shown()
    }
    let good = story(|_| {}).await;
    for operation in ["get", "replace"] {
        let failed = story(|it| it.table.fail_next(operation, throttled(), 2)).await;
        assert_eq!(failed, good);
        let lost = story(|it| it.table.lose_reply(operation, throttled(), 2)).await;
        assert_eq!(lost, good);
    }
    for operation in ["get", "put"] {
        let failed = story(|it| it.objects.fail_next(operation, throttled(), 2)).await;
        assert_eq!(failed, good);
        let lost = story(|it| it.objects.lose_reply(operation, throttled(), 2)).await;
        assert_eq!(lost, good);
    }
}
