#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::error::{ErrorName, StepError};
use domain::event::Trigger;
use domain::ids::{JobId, RunId};
use domain::job::{JOB_SCHEMA, JobOutcome, JobResult, JobSpec, Verb};
use domain::keys::JobFile;
use domain::plan::{
    Action, ApprovalRule, Cause, Extent, NotJudged, ObjectRef, PlanKind, Refused, RefusedChange,
    ResourceChange, SealedPlan, SideEffects, StateVersion, Verdict,
};
use domain::run::{Approval, ApprovalDecision, Build, ErrorDecision, Lock, Run, StackState};
use domain::step::{Acquire, CaughtError, Judge, JudgeOutput, RequestApproval, StackJob};
use domain::step::{SelectStacks, SelectStacksOutput};
use domain::warning::Warnings;
use engine::fakes::{PlanJson, SetStatus, World, samples, throttled};
use serde::Serialize;
use std::ops::Deref;

mod judgement;
mod next;
mod plan_json;
mod removed;
mod skipping;
mod validation;

/// Sealed runs of commits 1 to 3, and a free environment.
struct Scene {
    world: World,
    plan: Plan,
}

impl Deref for Scene {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let plan = Plan {
            table: Arc::new(world.table.clone()),
            objects: Arc::new(world.artifacts.clone()),
            batch: Arc::new(world.batch.clone()),
            tokens: Arc::new(world.tokens.clone()),
            announcer: world.announcer(),
            clock: world.clock(),
            states: samples::states(),
            enrolments: world.enrolments(),
        };
        for n in [1, 2, 3] {
            world.insert(&samples::sealed_run(n)).await;
        }
        Self { world, plan }
    }

    /// As `new`, but run 1 holds the environment.
    async fn held() -> Self {
        let world = Self::new().await;
        world.acquire(1, "t1").await.unwrap();
        world
    }

    /// As `held`, with a plan job for stack `data`.
    async fn planning() -> (Self, JobId) {
        let world = Self::held().await;
        let job = world.next(1).await.unwrap()[0].job.clone();
        (world, job)
    }

    async fn acquire(&self, n: u8, token: &str) -> Result<()> {
        self.tokens.open(token);
        let input = Acquire {
            run: run(n),
            token: token.to_owned(),
        };
        self.plan.run(PlanInput::Acquire(input)).await.map(|_| ())
    }

    /// Returns the plan jobs of the next wave.
    async fn next(&self, n: u8) -> Result<Vec<StackJob>> {
        let mut jobs = self.next_jobs(n).await?;
        jobs.retain(|one| Verb::Plan.is_of(&one.job));
        Ok(jobs)
    }

    /// Returns the plan jobs of the next wave, and the validation jobs beside them.
    async fn next_jobs(&self, n: u8) -> Result<Vec<StackJob>> {
        let input = SelectStacks {
            run: run(n),
            failures: Vec::new(),
        };
        match self.plan.run(PlanInput::Next(input)).await? {
            PlanOutput::Next(SelectStacksOutput::Plan { jobs }) => Ok(jobs),
            PlanOutput::Next(SelectStacksOutput::Done) => Ok(Vec::new()),
            other => panic!("{other:?}"),
        }
    }

    async fn judge(&self, job: &JobId, error: Option<CaughtError>) -> Result<Verdict> {
        let input = Judge {
            run: run(1),
            stack: samples::stack("data"),
            job: job.clone(),
            error,
        };
        match self.plan.run(PlanInput::Judge(input)).await? {
            PlanOutput::Judge(JudgeOutput::NoChanges { .. }) => Ok(Verdict::NoChanges),
            PlanOutput::Judge(JudgeOutput::Auto { .. }) => Ok(Verdict::Auto),
            PlanOutput::Judge(JudgeOutput::NeedsApproval { .. }) => Ok(Verdict::NeedsApproval),
            other => panic!("{other:?}"),
        }
    }

    async fn request_approval(&self, token: &str) -> Result<()> {
        self.tokens.open(token);
        let input = RequestApproval {
            run: run(1),
            stack: samples::stack("data"),
            token: token.to_owned(),
        };
        let output = self.plan.run(PlanInput::RequestApproval(input)).await;
        output.map(|_| ())
    }

    async fn load(&self, n: u8) -> Run {
        self.run(&run(n)).await
    }

    async fn change(&self, n: u8, change: impl Fn(&mut Run)) {
        self.change_run(&run(n), change).await;
    }

    fn leave(&self, job: &JobId, outcome: JobOutcome) {
        self.leave_result(&run(1), job, outcome);
    }

    /// Leaves the plan of a job and its result.
    fn leave_plan(&self, job: &JobId, changes: &[(&str, Action)]) {
        self.leave(job, self.planned(job, &plan_of(changes)));
    }

    /// Stores the plan of a job. Returns the result to leave.
    fn planned(&self, job: &JobId, plan: &PlanJson) -> JobOutcome {
        JobOutcome::Planned {
            plan: object(1),
            json: self.store_plan(&run(1), job, plan),
            state: state(),
            dependencies: Some(object(5)),
            outputs: Some(object(4)),
            warnings: Warnings::default(),
            made: Vec::new(),
            unrecorded: Vec::new(),
        }
    }

    fn spec(&self, n: u8, job: &JobId) -> JobSpec {
        self.job_spec(&run(n), job)
    }
}

fn run(n: u8) -> RunId {
    samples::run_id(n)
}

fn answer(token: &str, verdict: &str) -> (String, String) {
    (token.into(), verdict.into())
}

fn object(n: u8) -> ObjectRef {
    let sha256 = samples::sha256(n);
    ObjectRef {
        key: format!("object-{n}"),
        sha256,
    }
}

fn plan_of(changes: &[(&str, Action)]) -> PlanJson {
    PlanJson::of(changes.iter().map(|(kind, action)| ResourceChange {
        address: format!("{kind}.this"),
        resource_type: (*kind).into(),
        origin: None,
        action: *action,
    }))
}

fn state() -> StateVersion {
    StateVersion {
        lineage: "l".into(),
        serial: 3,
        resources: domain::plan::Resources::None,
    }
}

fn sealed_plan() -> SealedPlan {
    SealedPlan {
        file: object(1),
        json: object(2),
        state: state(),
        dependencies: Some(object(5)),
    }
}

fn failed(name: ErrorName) -> JobOutcome {
    JobOutcome::Failed {
        error: StepError::new(name, "invalid reference"),
        side_effects: SideEffects::None,
        diagnostics: vec!["main.tf:3: invalid reference".into(), "second".into()],
    }
}

fn caught(error: &str) -> CaughtError {
    CaughtError {
        error: error.into(),
        cause: r#"{"errorMessage":"it broke"}"#.into(),
    }
}

#[tokio::test]
async fn the_first_run_gets_the_environment_at_once() {
    let world = Scene::held().await;
    assert_eq!(world.answers(), [answer("t1", "held")]);
    assert!(world.table.environment().is_held_by(&run(1)));
    assert!(matches!(world.load(1).await.lock(), Lock::Waiting { .. }));
}

#[tokio::test]
async fn a_run_that_asks_again_is_answered_on_its_new_token() {
    let world = Scene::held().await;
    world.acquire(1, "again").await.unwrap();
    assert_eq!(
        world.answers(),
        [answer("t1", "held"), answer("again", "held")]
    );
    assert_eq!(world.table.environment().holder().unwrap().fence, 1);
}

#[tokio::test]
async fn the_newest_waits_and_the_one_before_it_is_superseded() {
    let world = Scene::held().await;
    world.acquire(2, "t2").await.unwrap();
    assert!(world.tokens.is_open("t2"));
    world.acquire(3, "t3").await.unwrap();
    assert_eq!(world.answers()[1..], [answer("t2", "superseded")]);
    assert!(matches!(
        world.load(2).await.lock(),
        Lock::Superseded { .. }
    ));
    assert!(world.tokens.is_open("t3"));
}

#[tokio::test]
async fn a_run_that_may_not_have_the_environment_ends_its_wait_with_an_error() {
    let world = Scene::held().await;
    let error = StepError::new(ErrorName::Unhealthy, "no answer");
    world.table.change_environment(|environment| {
        environment.mark_bad(samples::commit(2), run(9), samples::now());
    });
    world.acquire(2, "t2").await.unwrap();
    world.table.change_environment(|environment| {
        environment.freeze(&run(1), &error, samples::now());
    });
    world.acquire(3, "t3").await.unwrap();
    let errors = world.tokens.errors().into_iter();
    let errors: Vec<_> = errors.map(|(token, error)| (token, error.name)).collect();
    assert_eq!(
        errors,
        [
            ("t2".to_owned(), ErrorName::CommitIsBad),
            ("t3".to_owned(), ErrorName::EnvironmentFrozen)
        ]
    );
}

/// Only a run in the queue has the status about the run that it waits for, and only while it waits.
#[tokio::test]
async fn a_run_that_waits_for_another_one_says_so_until_it_gets_the_environment() {
    let world = Scene::held().await;
    world.acquire(2, "t2").await.unwrap();
    let waiting = |status: &&SetStatus| status.status.description.starts_with("Waiting for run");
    let statuses = world.forge.statuses();
    let found: Vec<_> = statuses.iter().filter(waiting).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].commit, samples::commit(2));
    assert!(found[0].status.description.contains(run(1).as_str()));

    // An older run is superseded at once: it does not wait.
    let mut older = samples::push(4);
    older.received_at = samples::now();
    let older = Run::claim(Trigger::Push(older), "four".into(), samples::now());
    let mut accepted = older.clone();
    accepted
        .accept(samples::source(4), samples::config(), samples::now())
        .unwrap();
    world.insert(&accepted).await;
    world.tokens.open("t4");
    let input = Acquire {
        run: older.id().clone(),
        token: "t4".into(),
    };
    world.plan.run(PlanInput::Acquire(input)).await.unwrap();
    assert_eq!(world.forge.statuses().iter().filter(waiting).count(), 1);

    let first = world.load(1).await;
    world.environments().release(&first).await.unwrap();
    world.next(2).await.unwrap();
    let last = world.forge.statuses().pop().unwrap();
    assert_eq!(last.commit, samples::commit(2));
    assert_eq!(
        last.status.description,
        "Environment acquired. Next: build and plan what changed."
    );
}

/// Once the run is queued, another process can give it the environment and announce that.
#[tokio::test]
async fn a_wait_is_announced_before_it_can_end() {
    let world = Scene::held().await;
    world
        .change(2, |run| run.lock_requested(samples::now()).unwrap())
        .await;
    world.table.fail_next("replace", throttled(), 1);
    world.acquire(2, "t2").await.unwrap_err();
    assert!(world.table.environment().queue().is_empty());
    let last = world.forge.statuses().pop().unwrap();
    assert_eq!(last.commit, samples::commit(2));
    assert!(
        last.status.description.starts_with("Waiting for run"),
        "{last:?}"
    );
}

/// The build failed and the run was recorded while `acquire` was still running.
#[tokio::test]
async fn a_run_that_ended_does_not_keep_the_environment() {
    let world = Scene::held().await;
    world
        .change(2, |run| {
            run.close(None, 1, samples::now()).unwrap();
        })
        .await;
    world.acquire(2, "late").await.unwrap();
    assert!(world.table.environment().queue().is_empty());
    world.acquire(3, "t3").await.unwrap();
    assert_eq!(world.table.environment().queue().len(), 1);
}

#[tokio::test]
async fn without_the_environment_nothing_is_planned() {
    let world = Scene::held().await;
    let error = world.next(2).await.unwrap_err();
    assert_eq!(error.name, ErrorName::LockLost);
    assert!(error.message.contains(run(1).as_str()), "{error}");
    assert!(world.artifacts.keys().is_empty());
}

#[tokio::test]
async fn stacks_are_planned_after_those_that_they_need() {
    let (world, job) = Scene::planning().await;
    assert!(matches!(
        world.load(1).await.lock(),
        Lock::Held { fence: 1, .. }
    ));
    let spec = world.spec(1, &job);
    assert_eq!((spec.stack.as_str(), spec.attempt), ("data", 1));
    assert_eq!(spec.commit, samples::commit(1));
    assert!(spec.inputs.is_empty());
    // A repeated call returns the same job.
    assert_eq!(world.next(1).await.unwrap()[0].job, job);
    world
        .change(1, |run| {
            samples::edit(run, "/forward/stacks/0/state", StackState::Unchanged);
            samples::edit(run, "/forward/stacks/0/outputs", object(7));
            // Its validation has ended.
            samples::edit(run, "/forward/stacks/1/state", StackState::Pending);
        })
        .await;
    let jobs = world.next(1).await.unwrap();
    assert_eq!(jobs.len(), 1);
    let spec = world.spec(1, &jobs[0].job);
    assert_eq!(spec.stack.as_str(), "app");
    assert_eq!(spec.inputs[&samples::stack("data")], object(7));
    world
        .change(1, |run| {
            samples::edit(run, "/forward/stacks/1/state", StackState::Unchanged);
        })
        .await;
    assert!(world.next(1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stack_that_cannot_be_planned_is_an_error() {
    let (world, _) = Scene::planning().await;
    world
        .change(1, |run| {
            let side_effects = SideEffects::None;
            let failed = StackState::Failed { side_effects };
            samples::edit(run, "/forward/stacks/0/state", failed);
        })
        .await;
    let error = world.next(1).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Internal);
    assert!(error.message.contains("stack data"), "{error}");
}

#[tokio::test]
async fn a_rollback_is_planned_from_the_last_good_source() {
    let (world, _) = Scene::planning().await;
    world
        .change(1, |run| {
            let side_effects = SideEffects::Possible;
            let failed = StackState::Failed { side_effects };
            samples::edit(run, "/forward/stacks/0/state", &failed);
            samples::edit(run, "/forward/stacks/1/state", &failed);
            samples::edit(run, "/forward/stacks/0/applied", sealed_plan());
            let mut good = samples::last_good(2);
            // The last good commit has no `data`, which this run made.
            good.config.stacks.remove(0);
            good.config.stacks[0].needs.clear();
            let error = StepError::new(ErrorName::ApplyFailed, "no");
            let now = samples::now();
            let decision = run.handle_error(now, error, Some(&good), now);
            assert_eq!(decision, Ok(ErrorDecision::RollBack));
        })
        .await;
    let stored = world.load(1).await;
    let target = stored.rollback().unwrap().target().unwrap().clone();
    let own = stored.sealed_source().unwrap().clone();
    let jobs = world.next(1).await.unwrap();
    let app = world.spec(1, &jobs[0].job);
    assert_eq!(
        (app.stack.as_str(), app.plan_kind),
        ("app", PlanKind::Normal)
    );
    assert_eq!(
        (app.source, app.commit),
        (target.source, samples::commit(2))
    );
    assert_eq!(jobs.len(), 1, "nothing is destroyed that is still in use");
    world
        .change(1, |run| {
            samples::edit(run, "/rollback/stacks/0/state", StackState::Unchanged);
        })
        .await;
    // A stack that only this commit has is destroyed with the source that created it.
    let jobs = world.next(1).await.unwrap();
    let data = world.spec(1, &jobs[0].job);
    assert_eq!(
        (data.stack.as_str(), data.plan_kind),
        ("data", PlanKind::Destroy)
    );
    assert_eq!((data.source, data.commit), (own, samples::commit(1)));
}

/// Every call to an outside system fails, or loses its reply after it took effect. The state
/// machine repeats the action until it succeeds, and the result is the same as without faults.
#[tokio::test]
async fn repeated_calls_have_one_effect() {
    async fn story(faults: impl Fn(&Scene)) -> String {
        let world = Scene::new().await;
        world
            .change(1, |run| {
                samples::edit(run, "/accepted/config/approval", ApprovalRule::Always);
            })
            .await;
        faults(&world);
        while world.acquire(1, "t1").await.is_err() {}
        faults(&world);
        let job = loop {
            if let Ok(jobs) = world.next(1).await {
                break jobs[0].job.clone();
            }
        };
        world.leave_plan(&job, &[("aws_sqs_queue", Action::Create)]);
        faults(&world);
        while world.judge(&job, None).await.is_err() {}
        faults(&world);
        while world.request_approval("a1").await.is_err() {}
        world.shown()
    }
    let good = story(|_| {}).await;
    for operation in ["get", "insert", "replace"] {
        assert_eq!(
            story(|it| it.table.fail_next(operation, throttled(), 3)).await,
            good
        );
        assert_eq!(
            story(|it| it.table.lose_reply(operation, throttled(), 3)).await,
            good
        );
    }
    for operation in ["get", "get_limited", "put"] {
        assert_eq!(
            story(|it| it.artifacts.fail_next(operation, throttled(), 2)).await,
            good
        );
        assert_eq!(
            story(|it| it.artifacts.lose_reply(operation, throttled(), 2)).await,
            good
        );
    }
    assert_eq!(
        story(|it| it.tokens.fail_next("succeed", throttled(), 2)).await,
        good
    );
    assert_eq!(
        story(|it| it.tokens.lose_reply("succeed", throttled(), 1)).await,
        good
    );
}

#[tokio::test]
async fn a_race_for_the_record_loses_neither_decision() {
    let (world, job) = Scene::planning().await;
    world.leave_plan(&job, &[("aws_sqs_queue", Action::Create)]);
    let (other, key) = (world.table.clone(), engine::documents::run_key(&run(1)));
    world.table.race_next_write(move || {
        let stands = other.peek(&key).unwrap();
        let mut run: Run = serde_json::from_str(&stands.doc).unwrap();
        let error = StepError::new(ErrorName::BuildFailed, "the tests failed");
        run.build_failed(None, error, samples::now()).unwrap();
        let doc = serde_json::to_string(&run).unwrap();
        let body = engine::ItemBody {
            doc,
            index: None,
            expires: None,
        };
        other.overwrite(&key, &body);
    });
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::Auto));
    let run = world.load(1).await;
    assert!(matches!(run.build(), Build::Failed { .. }));
    let state = run.forward().stacks()[0].state();
    assert!(matches!(state, StackState::Planned { .. }));
}

#[test]
fn every_error_says_what_happened() {
    let stack = samples::stack("data");
    let job = JobId::seal("plan", &stack, 1, b"{}");
    let key = samples::objects(&run(1)).job(&job, JobFile::PlanJson);
    let errors = [
        Error::DeployedService {
            stack: stack.clone(),
            cause: domain::plan::DeployedService {
                changes: vec![domain::plan::ServiceChange {
                    address: "aws_ecs_service.web".into(),
                    fields: vec![domain::plan::ServiceField::DesiredCount],
                }],
            },
        },
        Error::RollbackTooMuch {
            stack: stack.clone(),
            refused: Refused(vec![
                RefusedChange {
                    address: "aws_sqs_queue.a".into(),
                    cause: Cause::DeletesOlder,
                },
                RefusedChange {
                    address: "aws_sqs_queue.b".into(),
                    cause: Cause::CreatesMore,
                },
            ]),
        },
        Error::PlanChanged {
            stack: stack.clone(),
            key: key.clone(),
            found: samples::sha256(1),
            expected: samples::sha256(2),
        },
        Error::PlanGone {
            stack: stack.clone(),
            key: key.clone(),
        },
        Error::NotJudged {
            stack: stack.clone(),
            key: key.clone(),
            cause: NotJudged::TooLarge,
        },
        Error::NotJudged {
            stack: stack.clone(),
            key: key.clone(),
            cause: NotJudged::OtherForm { line: 1, column: 7 },
        },
        Error::MadeOtherwise {
            stack: stack.clone(),
            key,
            address: "aws_sqs_queue.a".into(),
        },
        Error::Stuck { run: run(1), stack },
    ];
    insta::assert_snapshot!(samples::texts(errors));
}
