#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::config::{Stack, WhenChanged};
use crate::environment::LastGood;
use crate::error::ErrorName;
use crate::event::{EVENT_SCHEMA, EventRepository, PushEvent};
use crate::ids::{
    BranchRef, DeliveryId, ImageDigest, JobId, RepositoryKey, RepositoryName, ServiceName,
    Sha256Digest, StackName,
};
use crate::plan::{LegKind, PlanKind, PlanSummary, SealedPlan, SideEffects, StateVersion, Verdict};
use crate::release::ecs::EcsState;
use crate::release::{Release, TargetState};
use crate::rollout::Rollout;
use crate::warning::Warnings;
use std::collections::BTreeMap;

pub(super) fn name(n: usize) -> StackName {
    StackName::parse(&format!("stack-{n}")).unwrap()
}

pub(super) fn stack(n: usize, needs: &[usize]) -> Stack {
    Stack {
        name: name(n),
        dir: format!("infra/{n}"),
        renamed_from: None,
        needs: needs.iter().map(|need| name(*need)).collect(),
        when_changed: WhenChanged::default(),
    }
}

pub(super) fn config(stacks: Vec<Stack>) -> Config {
    let text = b"version: 1\nenvironment: production\nstacks: [{ name: aa, dir: a }]\n";
    let mut config = crate::config::parse(text).unwrap();
    config.stacks = stacks;
    config
}

pub(super) fn object() -> ObjectRef {
    let sha256 = Sha256Digest::of(b"object");
    ObjectRef {
        key: "object".into(),
        sha256,
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_772_366_400).unwrap()
}

fn commit() -> CommitId {
    CommitId::parse(&"01".repeat(20)).unwrap()
}

pub(super) fn run(stacks: Vec<Stack>) -> Run {
    let trigger = Trigger::Push(PushEvent {
        schema: EVENT_SCHEMA,
        delivery: DeliveryId::parse("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap(),
        repository: EventRepository {
            key: RepositoryKey::github(42),
            full_name: RepositoryName::parse("acme/shop").unwrap(),
        },
        branch: BranchRef::parse("refs/heads/main").unwrap(),
        after: commit(),
        before: None,
        pushed_at: None,
        pusher: "octocat".into(),
        received_at: now(),
    });
    let mut run = Run::claim(trigger, "execution".into(), now());
    run.accept(source(), config(stacks), now()).unwrap();
    run
}

pub(super) fn source() -> Source {
    Source {
        archive: object(),
        digests: BTreeMap::new(),
        build_tree: None,
        author: "Mona".into(),
        subject: "Change".into(),
    }
}

/// Handles an error that the state machine reports by entering the deciding state again.
pub(super) fn decide(run: &mut Run, name: ErrorName, good: Option<&LastGood>) -> ErrorDecision {
    let visit = i64::try_from(run.handled.len()).unwrap();
    let at = now() + jiff::SignedDuration::from_secs(visit);
    run.handle_error(at, error(name), good, at).unwrap()
}

pub(super) fn good(stacks: Vec<Stack>) -> LastGood {
    LastGood {
        run: RunId::parse("shop-02020202-9f8e7d").unwrap(),
        commit: CommitId::parse(&"02".repeat(20)).unwrap(),
        branch: BranchRef::parse("refs/heads/main").unwrap(),
        source: object(),
        config: config(stacks),
        artifact: None,
        releases: Vec::new(),
        outputs: BTreeMap::new(),
        dependencies: BTreeMap::new(),
        digests: BTreeMap::new(),
        received_at: now(),
        verified_at: now(),
    }
}

pub(super) fn error(name: ErrorName) -> StepError {
    StepError::new(name, "no")
}

pub(super) fn job(n: u32) -> JobId {
    JobId::parse(&format!("apply-stack-0-{n}-{}", "a".repeat(32))).unwrap()
}

pub(super) fn maybe() -> StackState {
    let side_effects = SideEffects::Possible;
    StackState::Failed { side_effects }
}

pub(super) fn wave(run: &Run) -> Vec<StackName> {
    match run.leg().next_wave() {
        Wave::Plan(names) => names,
        Wave::Done => Vec::new(),
    }
}

#[test]
fn a_rollback_plans_what_was_changed_and_all_that_needs_it() {
    // Stacks 0 <- 1 <- 2, and 3 on its own. Stacks 4 and 5 are new, and 5 needs 4.
    let old = vec![stack(0, &[]), stack(1, &[0]), stack(2, &[1]), stack(3, &[])];
    let mut all = old.clone();
    all.extend([stack(4, &[0]), stack(5, &[4])]);
    let mut run = run(all);
    for n in [1, 4, 5] {
        run.forward.stacks[n].state = maybe();
        run.forward.stacks[n].applied = Some(sealed_plan());
    }
    let decision = decide(&mut run, ErrorName::ApplyFailed, Some(&good(old)));
    assert_eq!(decision, ErrorDecision::RollBack);
    let stacks: Vec<(String, PlanKind)> = run
        .leg()
        .stacks()
        .iter()
        .map(|stack| (stack.name().to_string(), stack.plan_kind()))
        .collect();
    let (normal, destroy) = (PlanKind::Normal, PlanKind::Destroy);
    let expected = [(1, normal), (2, normal), (5, destroy), (4, destroy)];
    assert_eq!(
        stacks,
        expected.map(|(n, kind)| (format!("stack-{n}"), kind))
    );
    // Restored stacks come first, in their order. Destroyed stacks follow, in the opposite order.
    for n in [1, 2, 5, 4] {
        assert_eq!(wave(&run), [name(n)]);
        run.open_stack(&name(n)).unwrap().state = StackState::Unchanged;
    }
    assert_eq!(run.leg().next_wave(), Wave::Done);
}

/// This run created what is destroyed. The last good commit has no outputs for it.
#[test]
fn what_is_destroyed_takes_the_outputs_of_the_forward_leg() {
    let mut run = run(vec![stack(4, &[]), stack(5, &[4])]);
    for n in [0, 1] {
        run.forward.stacks[n].state = maybe();
        run.forward.stacks[n].applied = Some(sealed_plan());
        run.forward.stacks[n].outputs = Some(object());
    }
    decide(&mut run, ErrorName::Unhealthy, Some(&good(vec![])));
    let inputs = |n| {
        let inputs = run.inputs(run.stack(&name(n)).unwrap());
        inputs.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(inputs(5), [name(4)]);
    assert_eq!(inputs(4), []);
}

/// The last good run's objects may have expired. Those of this run are new.
#[test]
fn a_rollback_reads_what_this_run_found_unchanged_from_this_run() {
    let stacks = vec![stack(0, &[]), stack(1, &[0]), stack(2, &[1])];
    let mut run = run(stacks.clone());
    let at = |key: &str| ObjectRef {
        key: key.into(),
        ..object()
    };
    let mut good = good(stacks);
    for n in [0, 1, 2] {
        good.outputs.insert(name(n), at("old"));
    }
    run.forward.stacks[0].state = StackState::Unchanged;
    run.forward.stacks[0].outputs = Some(at("new"));
    // The apply failed midway, so the outputs are not those of the last good commit's stack.
    run.forward.stacks[1].state = maybe();
    run.forward.stacks[1].outputs = Some(at("wrong"));
    decide(&mut run, ErrorName::ApplyFailed, Some(&good));
    let known: Vec<String> = run.outputs().into_values().map(|one| one.key).collect();
    assert_eq!(known, ["new", "old", "old"]);
    run.open_stack(&name(1)).unwrap().outputs = Some(at("restored"));
    let known: Vec<String> = run.outputs().into_values().map(|one| one.key).collect();
    assert_eq!(known, ["new", "restored", "old"]);
}

#[test]
fn a_plan_is_made_again_once_however_often_its_apply_says_so() {
    let applying = |n| StackState::Applying { job: job(n) };
    let mut run = run(vec![stack(0, &[])]);
    run.forward.stacks[0].state = applying(1);
    for _ in 0..3 {
        let again = run.plan_stale(&name(0), &job(1), now());
        assert_eq!(again, Ok(StalePlan::PlanAgain));
        assert_eq!(run.forward.stacks[0].state, StackState::Pending);
    }
    run.forward.stacks[0].state = applying(2);
    // A late repeat does not affect the second job.
    let late = run.plan_stale(&name(0), &job(1), now());
    assert_eq!(late, Ok(StalePlan::PlanAgain));
    assert_eq!(run.forward.stacks[0].state, applying(2));
    for _ in 0..2 {
        let second = run.plan_stale(&name(0), &job(2), now());
        assert_eq!(second, Ok(StalePlan::GiveUp));
        let state = &run.forward.stacks[0].state;
        assert!(matches!(state, StackState::Failed { .. }));
    }
}

#[test]
fn the_first_error_of_a_run_that_changed_something_begins_its_rollback_once() {
    let stacks = vec![stack(0, &[])];
    let last = good(stacks.clone());
    let mut run = run(stacks);
    run.forward.stacks[0].state = maybe();
    let first = error(ErrorName::ApplyFailed);
    // A retry of the same state gets the same decision.
    for _ in 0..2 {
        let decision = run.handle_error(now(), first.clone(), Some(&last), now());
        assert_eq!(decision, Ok(ErrorDecision::RollBack));
    }
    assert_eq!(run.rollback_outcome(), None);
    let decision = decide(&mut run, ErrorName::StateLocked, Some(&last));
    assert_eq!(decision, ErrorDecision::Record);
    let outcome = run.rollback_outcome();
    assert_eq!(outcome, Some(RollbackOutcome::RollbackFailed));
    let failure = run.failure().unwrap();
    assert_eq!(failure.error.name, ErrorName::ApplyFailed);
    assert_eq!(run.outcome(), Outcome::NeedsOperator);
}

#[test]
fn an_error_leads_to_what_the_run_has_done_so_far() {
    type Set = fn(&mut Run);
    let cases: [(&str, Set, bool, ErrorDecision, Outcome); 7] = [
        (
            "nothing changed",
            |_| {},
            true,
            ErrorDecision::Record,
            Outcome::Failed,
        ),
        (
            "a plan failed",
            |run| {
                let side_effects = SideEffects::None;
                run.forward.stacks[0].state = StackState::Failed { side_effects };
            },
            true,
            ErrorDecision::Record,
            Outcome::Failed,
        ),
        (
            "changed",
            |run| run.forward.stacks[0].state = maybe(),
            true,
            ErrorDecision::RollBack,
            Outcome::NeedsOperator,
        ),
        (
            "changed, no last good commit",
            |run| run.forward.stacks[0].state = maybe(),
            false,
            ErrorDecision::Record,
            Outcome::Failed,
        ),
        (
            "promoted",
            |run| {
                run.rollout_started(LegKind::Forward, rollout()).unwrap();
                run.promoted(now()).unwrap();
            },
            true,
            ErrorDecision::Record,
            Outcome::Applied,
        ),
        (
            "rolled out",
            |run| {
                run.rollout_started(LegKind::Forward, rollout()).unwrap();
            },
            true,
            ErrorDecision::RollBack,
            Outcome::NeedsOperator,
        ),
        (
            "applying",
            |run| {
                run.forward.stacks[0].state = StackState::Applying {
                    job: JobId::seal("apply", &name(0), 1, b""),
                };
            },
            true,
            ErrorDecision::RollBack,
            Outcome::NeedsOperator,
        ),
    ];
    for (what, set, has_good, expected, outcome) in cases {
        let stacks = vec![stack(0, &[])];
        let last = has_good.then(|| good(stacks.clone()));
        let mut run = run(stacks);
        set(&mut run);
        let decision = decide(&mut run, ErrorName::ApplyFailed, last.as_ref());
        assert_eq!((decision, run.outcome()), (expected, outcome), "{what}");
    }
}

pub(super) fn artifact() -> Artifact {
    let digest = ImageDigest::parse(&format!("sha256:{}", Sha256Digest::of(b""))).unwrap();
    Artifact::Image { digest }
}

pub(super) fn rollout() -> Rollout {
    Rollout {
        release: Release {
            service: ServiceName::parse("stack-0").unwrap(),
            artifact: artifact(),
            target: TargetState::Ecs(EcsState {
                cluster: "main".into(),
                service: "shop".into(),
                task_definition: "shop:1".into(),
            }),
        },
        commit: commit(),
        url: "http://shop.example".into(),
        since: now(),
        deadline: now(),
        healthy_at: None,
    }
}

#[test]
fn every_end_has_its_outcome() {
    type Set = fn(&mut Run);
    let cases: [(&str, Set, Outcome); 8] = [
        (
            "nothing to do",
            |run| run.forward.stacks[0].state = StackState::Unchanged,
            Outcome::NoOp,
        ),
        (
            "applied",
            |run| {
                run.forward.stacks[0].state = StackState::Applied {
                    job: JobId::seal("apply", &name(0), 1, b""),
                };
            },
            Outcome::Applied,
        ),
        (
            "rolled out",
            |run| {
                run.rollout_started(LegKind::Forward, rollout()).unwrap();
            },
            Outcome::Applied,
        ),
        (
            "superseded",
            |run| run.superseded(now()).unwrap(),
            Outcome::Superseded,
        ),
        (
            "rejected",
            |run| {
                decide(run, ErrorName::ConfigInvalid, None);
            },
            Outcome::Rejected,
        ),
        (
            "a person said no, after another stack was applied",
            |run| {
                run.forward.stacks[0].state = maybe();
                let last = good(vec![stack(0, &[])]);
                decide(run, ErrorName::ApprovalRejected, Some(&last));
                run.rolled_back(now()).unwrap();
            },
            Outcome::RolledBack,
        ),
        (
            "the rollback would lose data",
            |run| {
                run.forward.stacks[0].state = maybe();
                let last = good(vec![stack(0, &[])]);
                decide(run, ErrorName::ApplyFailed, Some(&last));
                decide(run, ErrorName::PlanRefused, None);
            },
            Outcome::NeedsOperator,
        ),
        (
            "failed, and nothing was touched",
            |run| {
                decide(run, ErrorName::PlanFailed, None);
            },
            Outcome::Failed,
        ),
    ];
    for (what, set, outcome) in cases {
        let mut run = run(vec![stack(0, &[])]);
        set(&mut run);
        assert_eq!(run.outcome(), outcome, "{what}");
    }
}

#[test]
fn the_first_error_is_kept() {
    let mut run = run(Vec::new());
    decide(&mut run, ErrorName::PlanFailed, None);
    decide(&mut run, ErrorName::LockLost, None);
    run.close(Some(error(ErrorName::Internal)), 1, now())
        .unwrap();
    let first = &run.failure().unwrap().error;
    assert_eq!(first.name, ErrorName::PlanFailed);
}

#[test]
fn a_plan_of_an_unexpected_job_is_refused() {
    let mut run = run(vec![stack(0, &[])]);
    let job = JobId::seal("plan", &name(0), 1, b"");
    let take = |run: &mut Run, job: &JobId| {
        planned(run, job, &PlanSummary::default(), Verdict::Auto)
            .map_err(|error| StepError::from(error).name)
    };
    let refused = Err(ErrorName::ContractViolation);
    assert_eq!(take(&mut run, &job), refused);
    run.planning(&name(0), job.clone(), 1, now()).unwrap();
    assert_eq!(take(&mut run, &job), Ok(()));
    assert_eq!(take(&mut run, &job), Ok(()));
    let other = JobId::seal("plan", &name(0), 2, b"");
    assert_eq!(take(&mut run, &other), refused);
}

/// Records the plan of stack 0.
pub(super) fn planned(
    run: &mut Run,
    job: &JobId,
    summary: &PlanSummary,
    verdict: Verdict,
) -> Change {
    let plan = JudgedPlan {
        sealed: sealed_plan(),
        summary,
        judgement: verdict.into(),
        warnings: Warnings::default(),
        outputs: None,
    };
    run.planned(&name(0), job, plan, now())
}

pub(super) fn sealed_plan() -> SealedPlan {
    SealedPlan {
        file: object(),
        json: object(),
        state: StateVersion {
            lineage: String::new(),
            serial: 0,
            resources: crate::plan::Resources::None,
        },
        dependencies: None,
    }
}
