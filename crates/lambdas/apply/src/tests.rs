#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
mod lost;

use super::*;
use domain::environment::Infrastructure;
use domain::error::{ErrorName, StepError};
use domain::ids::{JobId, RunId};
use domain::job::{JobOutcome, Verb};
use domain::keys::JobFile;
use domain::plan::{LegKind, ObjectRef, SealedPlan, SideEffects, StateVersion, Verdict};
use domain::run::{Approval, ApprovalDecision, StackState};
use domain::step::{CaughtError, FinishApply, FinishApplyOutput, StackJob, StartApply};
use domain::warning::{Warning, WarningKind, Warnings};
use engine::fakes::{World, samples, throttled};
use engine::status::TransitionKind;
use std::ops::Deref;

/// Run 1, which holds the environment and has a sealed plan for its stack `data`.
struct Scene {
    world: World,
    apply: Apply,
}

impl Deref for Scene {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Scene {
    async fn new(verdict: Verdict) -> Self {
        let world = World::new();
        let apply = Apply {
            table: Arc::new(world.table.clone()),
            objects: Arc::new(world.artifacts.clone()),
            batch: Arc::new(world.batch.clone()),
            announcer: world.announcer(),
            clock: world.clock(),
            states: samples::states(),
            enrolments: world.enrolments(),
        };
        let mut run = samples::sealed_run(1);
        samples::edit(&mut run, "/forward/stacks/0/jobs", 1);
        samples::edit(&mut run, "/forward/stacks/0/state", planned(verdict, None));
        world.insert(&run).await;
        world.table.give_environment_to(&run);
        Self { world, apply }
    }

    async fn start(&self) -> Result<JobId> {
        let input = StartApply {
            run: run(),
            stack: samples::stack("data"),
        };
        match self.apply.run(ApplyInput::Start(input)).await? {
            ApplyOutput::Start(StackJob { job, .. }) => Ok(job),
            ApplyOutput::Finish(other) => panic!("{other:?}"),
        }
    }

    async fn finish(&self, job: &JobId) -> Result<()> {
        match self.read(job).await? {
            FinishApplyOutput::Ended { stack } => {
                assert_eq!(stack, samples::stack("data"));
                Ok(())
            }
            FinishApplyOutput::StartAgain(other) => panic!("{other:?}"),
        }
    }

    /// Returns the job that replaces this one.
    async fn replacement(&self, job: &JobId) -> JobId {
        match self.read(job).await.unwrap() {
            FinishApplyOutput::StartAgain(StackJob { job, .. }) => job,
            other @ FinishApplyOutput::Ended { .. } => panic!("{other:?}"),
        }
    }

    async fn read(&self, job: &JobId) -> Result<FinishApplyOutput> {
        let input = FinishApply {
            run: run(),
            stack: samples::stack("data"),
            job: job.clone(),
            error: Some(CaughtError {
                error: "States.TaskFailed".into(),
                cause: "gone".into(),
            }),
        };
        match self.apply.run(ApplyInput::Finish(input)).await? {
            ApplyOutput::Finish(output) => Ok(output),
            ApplyOutput::Start(other) => panic!("{other:?}"),
        }
    }

    async fn state(&self) -> StackState {
        self.run(&run()).await.leg().stacks()[0].state().clone()
    }

    async fn is_applied(&self) -> bool {
        matches!(self.state().await, StackState::Applied { .. })
    }

    async fn set_state(&self, state: StackState) {
        self.change_run(&run(), |run| {
            samples::edit(run, "/forward/stacks/0/state", &state);
        })
        .await;
    }

    fn leave(&self, job: &JobId, outcome: JobOutcome) {
        self.leave_result(&run(), job, outcome);
    }
}

/// Returns the kinds of the status messages in the queue.
fn kinds(world: &World) -> Vec<TransitionKind> {
    let messages = world.announced().into_iter();
    messages.map(|data| data.transition).collect()
}

fn run() -> RunId {
    samples::run_id(1)
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
                resources: domain::plan::Resources::None,
            },
            dependencies: Some(object(3)),
        },
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
            resources: domain::plan::Resources::None,
        },
        dependencies: None,
        outputs: None,
        warnings: Warnings::default(),
        made: Vec::new(),
        unrecorded: Vec::new(),
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
        warnings: Warnings::default(),
    }
}

fn failed(name: ErrorName, side_effects: SideEffects) -> JobOutcome {
    JobOutcome::Failed {
        error: StepError::new(name, "it broke"),
        side_effects,
        diagnostics: vec!["main.tf:1: it broke here".into()],
    }
}

#[tokio::test]
async fn exactly_the_sealed_plan_is_applied() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    let spec = world.job_spec(&run(), &job);
    let StackState::Planned { plan, .. } = planned(Verdict::Auto, None) else {
        panic!();
    };
    assert_eq!(spec.plan, Some(plan));
    assert_eq!((spec.verb, spec.attempt), (Verb::Apply, 2));
    assert_eq!(spec.commit, samples::commit(1));
    assert!(matches!(world.state().await, StackState::Applying { job: known, .. } if known == job));
    // A repeated call returns the same job.
    assert_eq!(world.start().await, Ok(job.clone()));
    world.leave(&job, applied());
    for _ in 0..2 {
        world.finish(&job).await.unwrap();
        assert!(world.is_applied().await);
    }
    let run = world.run(&run()).await;
    let outputs = world.object_of(run.id(), &job, object(5));
    assert_eq!(run.forward().stacks()[0].outputs(), Some(&outputs));
}

/// The process stops between the two writes: the run is stopped then, and nothing shows that its
/// plan was to be applied but the environment.
#[tokio::test]
async fn the_environment_is_marked_before_the_plan_is_consumed() {
    let world = Scene::new(Verdict::Auto).await;
    let holder = world.run(&run()).await;
    let mut good = samples::last_good(2);
    good.received_at = holder.trigger().received_at();
    world.table.deliver(&good);
    world.table.give_environment_to(&holder);
    assert_eq!(
        world.table.environment().infrastructure(),
        Infrastructure::LastGood
    );
    world.table.lose_reply("replace", throttled(), 1);
    assert_eq!(world.start().await, Err(throttled()));
    assert_eq!(world.state().await, planned(Verdict::Auto, None));
    let environment = world.table.environment();
    assert_eq!(environment.infrastructure(), Infrastructure::Changing);

    world
        .table
        .change_environment(|environment| environment.release(&run(), samples::now()));
    let environment = world.table.environment();
    assert_eq!(environment.infrastructure(), Infrastructure::Unknown);
    assert_eq!(environment.last_good_base(&run()), None);
}

#[tokio::test]
async fn a_check_that_fails_after_the_apply_is_a_warning_of_the_run() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    let check = Warning::new(
        WarningKind::Check,
        "main.tf:3: Check block assertion failed",
    );
    world.leave(
        &job,
        JobOutcome::Applied {
            outputs: object(5),
            warnings: Warnings::new([check.clone()]),
        },
    );
    for _ in 0..2 {
        world.finish(&job).await.unwrap();
    }
    let run = world.run(&run()).await;
    assert_eq!(run.forward().stacks()[0].warnings().first, [check]);
    assert_eq!(run.warnings(), 1);
}

#[tokio::test]
async fn a_plan_is_used_once() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.leave(&job, applied());
    world.finish(&job).await.unwrap();
    let error = world.start().await.unwrap_err();
    assert_eq!(error.name, ErrorName::PlanConsumed);
    assert!(error.message.contains(job.as_str()), "{error}");
}

#[tokio::test]
async fn without_the_lock_nothing_is_applied() {
    let world = Scene::new(Verdict::Auto).await;
    world.table.give_environment_to(&samples::sealed_run(2));
    let error = world.start().await.unwrap_err();
    assert_eq!(error.name, ErrorName::LockLost);
    let holder = samples::push_event(2).run_id();
    assert!(error.message.contains(holder.as_str()), "{error}");
    assert!(world.artifacts.keys().is_empty());
    assert_eq!(world.state().await, planned(Verdict::Auto, None));
}

#[tokio::test]
async fn a_plan_that_needs_approval_is_applied_after_the_approval() {
    let world = Scene::new(Verdict::NeedsApproval).await;
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
        assert!(world.artifacts.keys().is_empty(), "not even a job record");
        assert_eq!(world.state().await, state);
        errors.push(error.to_string());
    }
    assert_eq!(
        kinds(&world),
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
        kinds(&world),
        [
            TransitionKind::ApprovalDenied,
            TransitionKind::ApprovalGranted,
            TransitionKind::ApplyStarted
        ]
    );
}

#[tokio::test]
async fn a_stack_without_a_plan_is_not_applied() {
    let world = Scene::new(Verdict::Auto).await;
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
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.leave(&job, failed(ErrorName::StalePlan, SideEffects::None));
    for _ in 0..2 {
        world.finish(&job).await.unwrap();
        assert_eq!(world.state().await, StackState::Pending);
    }
    world.set_state(planned(Verdict::Auto, None)).await;
    let again = world.start().await.unwrap();
    assert_ne!(again, job, "another attempt is another job");
    world.leave(&again, failed(ErrorName::StalePlan, SideEffects::None));
    for _ in 0..2 {
        let error = world.finish(&again).await.unwrap_err();
        assert_eq!(error.name, ErrorName::StalePlan);
    }
    let run = world.run(&run()).await;
    assert!(!run.has_side_effects());
}

#[tokio::test]
async fn a_failed_apply_says_where_and_whether_it_may_have_side_effects() {
    for side_effects in [SideEffects::None, SideEffects::Possible] {
        let world = Scene::new(Verdict::Auto).await;
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
async fn the_result_of_another_verb_is_refused() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.leave(&job, another_plan());
    let error = world.finish(&job).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
}

#[tokio::test]
async fn the_end_of_another_job_changes_nothing() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    let other = JobId::seal("apply", &samples::stack("data"), 9, b"other");
    let before = world.state().await;
    assert!(world.finish(&other).await.is_err());
    world.leave(&other, applied());
    assert!(world.finish(&other).await.is_err());
    assert_eq!(world.state().await, before);
    world.leave(&job, applied());
    world.finish(&job).await.unwrap();
    assert!(world.is_applied().await);
}

/// The state machine repeats the call, so the failure must not be recorded.
#[tokio::test]
async fn a_result_that_cannot_be_read_now_is_read_later() {
    let world = Scene::new(Verdict::Auto).await;
    let job = world.start().await.unwrap();
    world.leave(&job, applied());
    world.artifacts.fail_next("get", throttled(), 1);
    assert_eq!(world.finish(&job).await, Err(throttled()));
    world.finish(&job).await.unwrap();
    assert!(world.is_applied().await);
}

#[tokio::test]
async fn a_rollback_applies_the_last_good_source() {
    let world = Scene::new(Verdict::Auto).await;
    let good = samples::last_good(2);
    world
        .change_run(&run(), |run| {
            let side_effects = SideEffects::Possible;
            let failed = StackState::Failed { side_effects };
            samples::edit(run, "/forward/stacks/0/state", failed);
            let error = StepError::new(ErrorName::ApplyFailed, "no");
            run.handle_error(samples::now(), error, Some(&good), samples::now())
                .unwrap();
            assert_eq!(run.leg().kind(), LegKind::Rollback);
            samples::edit(
                run,
                "/rollback/stacks/0/state",
                planned(Verdict::Auto, None),
            );
        })
        .await;
    let job = world.start().await.unwrap();
    let spec = world.job_spec(&run(), &job);
    assert_eq!((spec.source, spec.commit), (good.source, good.commit));
}

/// Every call to an outside system fails, or loses its reply after it took effect. The state
/// machine repeats the action until it succeeds, and the result is the same as without faults.
#[tokio::test]
async fn repeated_calls_have_one_effect() {
    async fn story(faults: impl Fn(&Scene)) -> String {
        let world = Scene::new(Verdict::Auto).await;
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
        let failed = story(|it| it.artifacts.fail_next(operation, throttled(), 2)).await;
        assert_eq!(failed, good);
        let lost = story(|it| it.artifacts.lose_reply(operation, throttled(), 2)).await;
        assert_eq!(lost, good);
    }
}

#[test]
fn every_error_says_what_happened() {
    let errors = [Error::StaleTwice {
        stack: samples::stack("data"),
    }];
    insta::assert_snapshot!(samples::texts(errors));
}
