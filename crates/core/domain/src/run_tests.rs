#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::config::Stack;
use crate::ids::{JobId, Sha256Digest};
use crate::plan::{
    Action, PlanSummary, ResourceChange, SealedPlan, SideEffects, StateVersion, Verdict,
};
use proptest::prelude::*;

fn name(n: usize) -> StackName {
    StackName::parse(&format!("stack-{n}")).unwrap()
}

pub(super) fn stack(n: usize, needs: &[usize]) -> Stack {
    Stack {
        name: name(n),
        dir: format!("infra/{n}"),
        needs: needs.iter().map(|need| name(*need)).collect(),
    }
}

fn config(stacks: Vec<Stack>) -> Config {
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

fn now() -> Timestamp {
    Timestamp::from_second(1_772_366_400).unwrap()
}

fn commit() -> CommitId {
    CommitId::parse(&"01".repeat(20)).unwrap()
}

pub(super) fn run(stacks: Vec<Stack>) -> Run {
    let trigger = Trigger {
        kind: RunKind::Push,
        delivery: DeliveryId::parse("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap(),
        repository_key: RepositoryKey::github(42),
        repository: RepositoryName::parse("acme/shop").unwrap(),
        branch: BranchRef::parse("refs/heads/main").unwrap(),
        commit: commit(),
        before: None,
        pusher: "octocat".into(),
        received_at: now(),
    };
    let id = RunId::parse("shop-01010101-9f8e7d").unwrap();
    let mut run = Run::new(id, trigger, "execution".into(), now());
    let source = Source {
        archive: object(),
        build_tree: None,
        author: "Mona".into(),
        subject: "Change".into(),
    };
    run.seal(source, config(stacks));
    run
}

pub(super) fn good(stacks: Vec<Stack>) -> LastGood {
    LastGood {
        run: RunId::parse("shop-02020202-9f8e7d").unwrap(),
        commit: CommitId::parse(&"02".repeat(20)).unwrap(),
        branch: BranchRef::parse("refs/heads/main").unwrap(),
        source: object(),
        config: config(stacks),
        image: None,
        task_definition: None,
        outputs: BTreeMap::new(),
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

fn maybe() -> StackState {
    let side_effects = SideEffects::Possible;
    StackState::Failed { side_effects }
}

fn wave(run: &Run) -> Vec<StackName> {
    match run.next_wave() {
        Wave::Plan(names) => names,
        Wave::Done => Vec::new(),
    }
}

#[test]
fn the_way_back_takes_what_was_touched_and_all_that_needs_it() {
    // 0 <- 1 <- 2, and 3 by itself; 4 and 5 are new, 5 needs 4.
    let old = vec![stack(0, &[]), stack(1, &[0]), stack(2, &[1]), stack(3, &[])];
    let mut all = old.clone();
    all.extend([stack(4, &[0]), stack(5, &[4])]);
    let mut run = run(all);
    for n in [1, 4, 5] {
        run.stacks[n].state = maybe();
    }
    let turn = run.turn(error(ErrorName::ApplyFailed), Some(&good(old)), now());
    assert_eq!(turn, ErrorDecision::RollBack);
    let way: Vec<(String, PlanKind)> = run
        .way()
        .iter()
        .map(|stack| (stack.stack.name.to_string(), stack.plan_kind))
        .collect();
    let (normal, destroy) = (PlanKind::Normal, PlanKind::Destroy);
    let expected = [(1, normal), (2, normal), (5, destroy), (4, destroy)];
    assert_eq!(way, expected.map(|(n, kind)| (format!("stack-{n}"), kind)));
    // What is restored first, in its order; then what is destroyed, in the opposite one.
    for n in [1, 2, 5, 4] {
        assert_eq!(wave(&run), [name(n)]);
        run.stack_mut(&name(n)).unwrap().state = StackState::Unchanged;
    }
    assert_eq!(run.next_wave(), Wave::Done);
}

/// What is destroyed was made by this run: the last good commit knows no outputs of it.
#[test]
fn what_is_destroyed_takes_the_outputs_of_the_way_there() {
    let mut run = run(vec![stack(4, &[]), stack(5, &[4])]);
    for n in [0, 1] {
        run.stacks[n].state = maybe();
        run.stacks[n].outputs = Some(object());
    }
    run.turn(error(ErrorName::Unhealthy), Some(&good(vec![])), now());
    let inputs = |n| {
        let inputs = run.inputs(run.stack(&name(n)).unwrap());
        inputs.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(inputs(5), [name(4)]);
    assert_eq!(inputs(4), []);
}

/// The last good run's objects may have expired; those of this run are new.
#[test]
fn the_way_back_reads_what_this_run_found_unchanged_from_this_run() {
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
    run.stacks[0].state = StackState::Unchanged;
    run.stacks[0].outputs = Some(at("new"));
    // Changed half-way: what it put out is not what the last good commit's stack does.
    run.stacks[1].state = maybe();
    run.stacks[1].outputs = Some(at("wrong"));
    run.turn(error(ErrorName::ApplyFailed), Some(&good), now());
    let known: Vec<String> = run.outputs().into_values().map(|one| one.key).collect();
    assert_eq!(known, ["new", "old", "old"]);
    run.stack_mut(&name(1)).unwrap().outputs = Some(at("restored"));
    let known: Vec<String> = run.outputs().into_values().map(|one| one.key).collect();
    assert_eq!(known, ["new", "restored", "old"]);
}

#[test]
fn a_plan_is_made_again_once_however_often_its_apply_says_so() {
    let applying = |n| StackState::Applying {
        job: job(n),
        summary: PlanSummary::default(),
    };
    let mut run = run(vec![stack(0, &[])]);
    let stack = &mut run.stacks[0];
    stack.state = applying(1);
    for _ in 0..3 {
        assert_eq!(stack.stale(&job(1)), Ok(()));
        assert_eq!(stack.state, StackState::Pending);
    }
    stack.state = applying(2);
    // A late repetition says nothing about the second job.
    assert_eq!(stack.stale(&job(1)), Ok(()));
    assert_eq!(stack.state, applying(2));
    for _ in 0..2 {
        let error = stack.stale(&job(2)).unwrap_err();
        assert_eq!(error.name, ErrorName::StalePlan);
        assert!(matches!(stack.state, StackState::Failed { .. }));
    }
}

#[test]
fn a_record_keeps_of_a_long_plan_what_destroys_something() {
    let change = |n: usize, action| ResourceChange {
        address: format!("aws_sqs_queue.this[{n}]"),
        resource_type: "aws_sqs_queue".into(),
        action,
    };
    let mut changes: Vec<_> = (0..100).map(|n| change(n, Action::Update)).collect();
    changes.push(change(100, Action::Delete));
    let summary = PlanSummary {
        changes,
        ..PlanSummary::default()
    };
    let brief = summary.brief();
    assert_eq!(brief.changes.len(), crate::plan::BRIEF);
    assert_eq!(brief.count(Action::Delete), 1);
}

#[test]
fn an_error_turns_a_run_that_changed_something_once() {
    let stacks = vec![stack(0, &[])];
    let last = good(stacks.clone());
    let mut run = run(stacks);
    run.stacks[0].state = maybe();
    let first = error(ErrorName::ApplyFailed);
    assert_eq!(
        run.handle_error(now(), first.clone(), Some(&last), now()),
        ErrorDecision::RollBack
    );
    // A retry of the same state gets the same answer.
    assert_eq!(
        run.handle_error(now(), first, Some(&last), now()),
        ErrorDecision::RollBack
    );
    assert_eq!(run.rollback, None);
    let later = now() + jiff::SignedDuration::from_secs(60);
    let second = error(ErrorName::StateLocked);
    assert_eq!(
        run.handle_error(later, second, Some(&last), later),
        ErrorDecision::Record
    );
    assert!(matches!(run.rollback, Some(Rollback::Failed { .. })));
    assert_eq!(
        run.failure.as_ref().unwrap().error.name,
        ErrorName::ApplyFailed
    );
    assert_eq!(run.outcome(), Outcome::NeedsOperator);
}

#[test]
fn an_error_leads_where_the_run_stands() {
    type Set = fn(&mut Run);
    let cases: [(&str, Set, bool, ErrorDecision, Outcome); 8] = [
        (
            "nothing touched",
            |_| {},
            true,
            ErrorDecision::Record,
            Outcome::Failed,
        ),
        (
            "a plan failed",
            |run| {
                let side_effects = SideEffects::None;
                run.stacks[0].state = StackState::Failed { side_effects };
            },
            true,
            ErrorDecision::Record,
            Outcome::Failed,
        ),
        (
            "touched",
            |run| run.stacks[0].state = maybe(),
            true,
            ErrorDecision::RollBack,
            Outcome::NeedsOperator,
        ),
        (
            "touched, nothing to go back to",
            |run| run.stacks[0].state = maybe(),
            false,
            ErrorDecision::Record,
            Outcome::Failed,
        ),
        (
            "promoted",
            |run| {
                run.deploy = Some(rollout());
                run.promoted_at = Some(now());
            },
            true,
            ErrorDecision::Record,
            Outcome::Applied,
        ),
        (
            "over",
            |run| {
                run.stacks[0].state = maybe();
                run.end = Some(End {
                    outcome: Outcome::Applied,
                    at: now(),
                    audit_from: 1,
                    audit_seq: None,
                });
            },
            true,
            ErrorDecision::Record,
            Outcome::Applied,
        ),
        (
            "rolled out",
            |run| run.deploy = Some(rollout()),
            true,
            ErrorDecision::RollBack,
            Outcome::NeedsOperator,
        ),
        (
            "applying",
            |run| {
                run.stacks[0].state = StackState::Applying {
                    job: JobId::seal("apply", &name(0), 1, b""),
                    summary: PlanSummary::default(),
                };
            },
            true,
            ErrorDecision::RollBack,
            Outcome::NeedsOperator,
        ),
    ];
    for (what, set, has_good, turn, outcome) in cases {
        let stacks = vec![stack(0, &[])];
        let last = has_good.then(|| good(stacks.clone()));
        let mut run = run(stacks);
        set(&mut run);
        let turned = run.turn(error(ErrorName::ApplyFailed), last.as_ref(), now());
        assert_eq!((turned, run.outcome()), (turn, outcome), "{what}");
    }
}

fn rollout() -> Rollout {
    Rollout {
        cluster: "main".into(),
        service: "shop".into(),
        task_definition: "shop:1".into(),
        image: ImageDigest::parse(&format!("sha256:{}", Sha256Digest::of(b""))).unwrap(),
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
            |run| run.stacks[0].state = StackState::Unchanged,
            Outcome::NoOp,
        ),
        (
            "applied",
            |run| {
                run.stacks[0].state = StackState::Applied {
                    job: JobId::seal("apply", &name(0), 1, b""),
                    summary: PlanSummary::default(),
                };
            },
            Outcome::Applied,
        ),
        (
            "rolled out",
            |run| run.deploy = Some(rollout()),
            Outcome::Applied,
        ),
        (
            "superseded",
            |run| run.lock = Lock::Superseded,
            Outcome::Superseded,
        ),
        (
            "rejected",
            |run| run.fail(error(ErrorName::ConfigInvalid), now()),
            Outcome::Rejected,
        ),
        (
            "a person said no, after another stack was applied",
            |run| {
                run.stacks[0].state = maybe();
                run.fail(error(ErrorName::ApprovalRejected), now());
                run.mode = LegKind::Rollback;
                run.restored();
            },
            Outcome::RolledBack,
        ),
        (
            "the way back would lose data",
            |run| {
                run.stacks[0].state = maybe();
                run.turn(
                    error(ErrorName::ApplyFailed),
                    Some(&good(vec![stack(0, &[])])),
                    now(),
                );
                run.turn(error(ErrorName::PlanRefused), None, now());
            },
            Outcome::NeedsOperator,
        ),
        (
            "failed, and nothing was touched",
            |run| run.fail(error(ErrorName::PlanFailed), now()),
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
    run.fail(error(ErrorName::PlanFailed), now());
    run.fail(error(ErrorName::LockLost), now());
    assert_eq!(run.failure.unwrap().error.name, ErrorName::PlanFailed);
}

#[test]
fn a_plan_that_nobody_waits_for_is_refused() {
    let mut run = run(vec![stack(0, &[])]);
    let job = JobId::seal("plan", &name(0), 1, b"");
    let plan = SealedPlan {
        file: object(),
        json: object(),
        state: StateVersion {
            lineage: String::new(),
            serial: 0,
        },
    };
    let take = |run: &mut Run, job: &JobId| {
        run.stacks[0].planned(
            job,
            plan.clone(),
            &PlanSummary::default(),
            Verdict::Auto,
            None,
        )
    };
    assert_eq!(
        take(&mut run, &job).unwrap_err().name,
        ErrorName::ContractViolation
    );
    run.stacks[0].state = StackState::Planning { job: job.clone() };
    take(&mut run, &job).unwrap();
    take(&mut run, &job).unwrap();
    let other = JobId::seal("plan", &name(0), 2, b"");
    assert_eq!(
        take(&mut run, &other).unwrap_err().name,
        ErrorName::ContractViolation
    );
}

/// Stacks that need only those before them, and what becomes of each plan in turn.
fn stacks() -> impl Strategy<Value = (Vec<Stack>, Vec<u8>)> {
    (1..9_usize)
        .prop_flat_map(|count| {
            (
                prop::collection::vec(prop::collection::vec(any::<bool>(), count), count),
                prop::collection::vec(0..4_u8, 40),
            )
        })
        .prop_map(|(edges, fates)| {
            let stacks = edges
                .iter()
                .enumerate()
                .map(|(n, edges)| {
                    let needs: Vec<usize> = (0..n).filter(|m| edges[*m]).collect();
                    stack(n, &needs)
                })
                .collect();
            (stacks, fates)
        })
}

proptest! {
    #[test]
    fn every_wave_waits_for_what_it_needs_and_all_get_their_turn((stacks, fates) in stacks()) {
        let mut run = run(stacks);
        let mut fates = fates.into_iter();
        let mut turns = 0;
        loop {
            let names = wave(&run);
            prop_assert_eq!(&wave(&run), &names, "asked again, the same answer");
            if names.is_empty() {
                break;
            }
            for name in &names {
                for need in run.stack(name).unwrap().stack.needs.clone() {
                    prop_assert!(run.stack(&need).unwrap().state.is_done());
                }
            }
            for name in names {
                let stack = run.stack_mut(&name).unwrap();
                // Stale plans are made again, but not for ever.
                stack.state = match fates.next() {
                    Some(0) if turns < 20 => StackState::Pending,
                    Some(1) => StackState::Unchanged,
                    _ => StackState::Applied {
                        job: JobId::seal("apply", &name, 1, b""),
                        summary: PlanSummary::default(),
                    },
                };
            }
            turns += 1;
            prop_assert!(turns < 60);
        }
        prop_assert!(run.stacks.iter().all(|stack| stack.state.is_done()));
    }

    #[test]
    fn the_way_back_always_ends((stacks, fates) in stacks(), kept in 0..9_usize) {
        let mut run = run(stacks.clone());
        for (stack, fate) in run.stacks.iter_mut().zip(fates) {
            if fate < 2 {
                stack.state = maybe();
            }
        }
        let touched: Vec<StackName> = run
            .stacks
            .iter()
            .filter(|stack| stack.was_touched())
            .map(|stack| stack.stack.name.clone())
            .collect();
        let last = good(stacks[..kept.min(stacks.len())].to_vec());
        if run.turn(error(ErrorName::ApplyFailed), Some(&last), now()) == ErrorDecision::Record {
            prop_assert!(touched.is_empty());
            return Ok(());
        }
        let mut seen = Vec::new();
        loop {
            let names = wave(&run);
            if names.is_empty() {
                break;
            }
            for name in names {
                prop_assert!(!seen.contains(&name));
                run.stack_mut(&name).unwrap().state = StackState::Unchanged;
                seen.push(name);
            }
        }
        prop_assert_eq!(seen.len(), run.way().len(), "all of the way was walked");
        for name in touched {
            prop_assert!(seen.contains(&name), "{} was touched", name);
        }
    }
}
