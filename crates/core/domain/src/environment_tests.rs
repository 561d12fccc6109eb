#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::error::{ErrorName, NamedError as _};
use crate::event::{EVENT_SCHEMA, EventRepository, PushEvent, Trigger};
use crate::ids::{DeliveryId, RepositoryName};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn waiter(n: u8) -> Waiter {
    Waiter {
        run: RunId::parse(&format!("shop-{n}")).unwrap(),
        commit: CommitId::parse(&format!("{n:0>39}1")).unwrap(),
        received_at: Timestamp::from_second(i64::from(n)).unwrap(),
        token: format!("token-{n}"),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn fresh() -> Environment {
    let name = EnvironmentName::parse("production").unwrap();
    Environment::new(RepositoryKey::github(1), name)
}

/// The outbox, as `run reply`.
fn outbox(environment: &Environment) -> Vec<String> {
    let reply = |reply: &Reply| match reply {
        Reply::Succeed(verdict) => format!("{verdict:?}"),
        Reply::Fail(error) => error.name.to_string(),
    };
    let outbox = environment.outbox.iter();
    outbox
        .map(|it| format!("{} {}", it.run, reply(&it.reply)))
        .collect()
}

fn failed() -> StepError {
    StepError::new(ErrorName::ApplyFailed, "no")
}

/// The run of `waiter(n)`, as claimed.
fn run(n: u8) -> Run {
    let waiter = waiter(n);
    let trigger = Trigger::Push(PushEvent {
        schema: EVENT_SCHEMA,
        delivery: DeliveryId::parse("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap(),
        repository: EventRepository {
            key: RepositoryKey::github(1),
            full_name: RepositoryName::parse("acme/shop").unwrap(),
        },
        branch: BranchRef::parse("refs/heads/main").unwrap(),
        after: waiter.commit,
        before: None,
        pushed_at: None,
        pusher: "octocat".into(),
        received_at: waiter.received_at,
    });
    Run::claim(trigger, "execution".into(), at(0))
}

/// The wait of a run, under the run's own id.
fn wait_of(run: &Run) -> Waiter {
    Waiter {
        run: run.id().clone(),
        commit: run.trigger().commit().clone(),
        received_at: run.trigger().received_at(),
        token: "token".into(),
    }
}

#[test]
fn a_notification_that_was_sent_leaves_the_environment_with_its_holder() {
    let mut environment = fresh();
    environment.acquire(waiter(1), QueueRule::Newest, at(100));
    let notification = environment.outbox.first().cloned().unwrap();
    environment.mark_sent(&notification);
    environment.mark_sent(&notification);
    assert!(environment.outbox.is_empty());
    assert!(environment.is_held_by(&waiter(1).run));
}

#[test]
fn the_newest_of_three_runs_next() {
    let mut environment = fresh();
    for n in [1, 2, 3] {
        environment.acquire(waiter(n), QueueRule::Newest, at(100));
    }
    assert_eq!(outbox(&environment), ["shop-1 Held", "shop-2 Superseded"]);
    environment.release(&waiter(1).run, at(101));
    assert_eq!(outbox(&environment), ["shop-2 Superseded", "shop-3 Held"]);
    assert_eq!(environment.fence, 2);
}

#[test]
fn with_every_all_run_in_the_order_of_their_events() {
    let mut environment = fresh();
    for n in [1, 3, 2] {
        environment.acquire(waiter(n), QueueRule::Every, at(100));
    }
    let mut holders = Vec::new();
    while let Some(holder) = environment.holder.clone() {
        environment.release(&holder.run, at(101));
        holders.push(holder.run.to_string());
    }
    assert_eq!(holders, ["shop-1", "shop-2", "shop-3"]);
}

#[test]
fn an_event_that_comes_late_does_not_undo_a_newer_commit() {
    let mut environment = fresh();
    environment.acquire(waiter(5), QueueRule::Every, at(100));
    environment.acquire(waiter(4), QueueRule::Every, at(100));
    assert_eq!(outbox(&environment), ["shop-5 Held", "shop-4 Superseded"]);
}

#[test]
fn a_queue_that_is_full_drops_the_oldest() {
    let mut environment = fresh();
    let full = u8::try_from(QUEUE_LIMIT).unwrap() + 2;
    for n in 1..=full {
        environment.acquire(waiter(n), QueueRule::Every, at(300));
    }
    assert_eq!(environment.queue.len(), QUEUE_LIMIT);
    assert_eq!(outbox(&environment), ["shop-1 Held", "shop-2 Superseded"]);
}

#[test]
fn a_frozen_environment_fails_the_runs_that_wait_until_an_operator_unfreezes_it() {
    let mut environment = fresh();
    environment.acquire(waiter(1), QueueRule::Newest, at(100));
    environment.acquire(waiter(2), QueueRule::Newest, at(100));
    environment.freeze(&waiter(1).run, &failed(), at(101));
    environment.freeze(&waiter(1).run, &failed(), at(102));
    environment.release(&waiter(1).run, at(103));
    environment.acquire(waiter(3), QueueRule::Newest, at(104));
    assert_eq!(
        outbox(&environment),
        ["shop-2 EnvironmentFrozen", "shop-3 EnvironmentFrozen"]
    );
    insta::assert_debug_snapshot!(environment.outbox[1].reply);
    assert_eq!(environment.holder, None);
    assert_eq!(environment.unfreeze(at(105)).unwrap().at, at(101));
    environment.acquire(waiter(4), QueueRule::Newest, at(106));
    assert!(environment.is_held_by(&waiter(4).run));
}

#[test]
fn only_the_holder_freezes() {
    let mut environment = fresh();
    environment.acquire(waiter(1), QueueRule::Newest, at(100));
    environment.release(&waiter(1).run, at(101));
    environment.acquire(waiter(2), QueueRule::Newest, at(102));
    let before = environment.clone();
    environment.freeze(&waiter(1).run, &failed(), at(103));
    assert_eq!(environment, before);
}

#[test]
fn a_commit_that_becomes_bad_fails_the_run_that_waits_with_it() {
    let mut environment = fresh();
    let again = Waiter {
        commit: waiter(1).commit,
        ..waiter(2)
    };
    environment.acquire(waiter(1), QueueRule::Every, at(100));
    environment.acquire(again.clone(), QueueRule::Every, at(100));
    environment.acquire(waiter(3), QueueRule::Every, at(100));
    environment
        .record_rollback(
            &waiter(1).run,
            1,
            BTreeMap::new(),
            BTreeMap::new(),
            Blame::Commit,
            at(101),
        )
        .unwrap();
    environment.release(&waiter(1).run, at(102));
    assert_eq!(
        outbox(&environment),
        ["shop-2 CommitIsBad", "shop-3 Held"],
        "a bad commit is not delivered again, and holds no other run up"
    );
    insta::assert_debug_snapshot!(environment.outbox[0].reply);
}

#[test]
fn only_the_run_that_holds_the_environment_has_its_fence() {
    let mut environment = fresh();
    let why = |environment: &Environment, run: &Run| {
        let error = environment.fence_of(run).unwrap_err();
        assert_eq!(error.name(), ErrorName::LockLost);
        error.to_string()
    };
    let mut lost = vec![why(&environment, &run(1))];
    let mut holder = run(1);
    environment.acquire(wait_of(&holder), QueueRule::Newest, at(100));
    assert_eq!(environment.fence_of(&holder), Ok(1));
    holder.lock_held(1, at(100)).unwrap();
    assert_eq!(environment.fence_of(&holder), Ok(1));
    lost.push(why(&environment, &run(2)));

    environment.release(holder.id(), at(101));
    environment.acquire(wait_of(&holder), QueueRule::Newest, at(102));
    lost.push(why(&environment, &holder));
    holder.close(None, 1, at(103)).unwrap();
    lost.push(why(&environment, &holder));
    insta::assert_snapshot!(lost.join("\n"));
}

#[test]
fn a_full_queue_that_is_frozen_fits_into_an_item() {
    let mut environment = fresh();
    for n in 0..=u8::try_from(QUEUE_LIMIT).unwrap() {
        let mut next = waiter(n);
        next.token = "t".repeat(2048);
        environment.acquire(next, QueueRule::Every, at(300));
    }
    let error = StepError::new(ErrorName::ApplyFailed, "x".repeat(10_000));
    environment.freeze(&waiter(0).run, &error, at(301));
    assert_eq!(environment.outbox.len(), QUEUE_LIMIT + 1);
    let size = serde_json::to_string(&environment).unwrap().len();
    assert!(size < 350 * 1024, "{size} bytes");
}

#[test]
fn only_so_many_bad_commits_are_remembered_each_once() {
    let mut environment = fresh();
    for n in 0..2 * BAD_LIMIT {
        let commit = CommitId::parse(&format!("{:0>40x}", n / 2 + 1)).unwrap();
        environment.mark_bad(commit, waiter(1).run, at(100));
    }
    assert_eq!(environment.bad.len(), BAD_LIMIT);
    let commit = CommitId::parse(&format!("{:0>40x}", BAD_LIMIT + 1)).unwrap();
    environment.mark_bad(commit.clone(), waiter(1).run, at(100));
    assert_eq!(environment.bad.len(), BAD_LIMIT);
    assert_eq!(environment.bad.last().unwrap().commit, commit);
}

#[derive(Debug, Clone)]
enum Step {
    /// A run asks, or asks again with another token.
    Ask(u8),
    /// The oldest notification is sent.
    Send,
    /// A run ends, whether it holds, waits or does neither.
    Release(u8),
    /// The holder leaves the environment in an unknown state.
    Freeze,
    Unfreeze,
    Bad(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..12_u8).prop_map(Step::Ask),
        4 => Just(Step::Send),
        4 => (1..12_u8).prop_map(Step::Release),
        1 => Just(Step::Freeze),
        1 => Just(Step::Unfreeze),
        1 => (1..12_u8).prop_map(Step::Bad),
    ]
}

/// What a test does to the environment, and to its infrastructure, in a model.
#[derive(Debug, Clone, Copy)]
enum Change {
    Acquire(u8),
    BeginAndApply,
    Promote,
    RollBack,
    Release,
    Freeze,
    Unfreeze,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0..4_u8).prop_map(Change::Acquire),
        3 => Just(Change::BeginAndApply),
        2 => Just(Change::Promote),
        2 => Just(Change::RollBack),
        3 => Just(Change::Release),
        1 => Just(Change::Freeze),
        1 => Just(Change::Unfreeze),
    ]
}

fn good_of(holder: &Holder) -> LastGood {
    let config = b"version: 1\nenvironment: production\nstacks: [{ name: aa, dir: a }]\n";
    let sha256 = crate::ids::Sha256Digest::of(b"source");
    LastGood {
        run: holder.run.clone(),
        commit: holder.commit.clone(),
        branch: BranchRef::parse("refs/heads/main").unwrap(),
        source: ObjectRef {
            key: "source".into(),
            sha256,
        },
        config: crate::config::parse(config).unwrap(),
        artifact: None,
        releases: Vec::new(),
        outputs: BTreeMap::new(),
        dependencies: BTreeMap::new(),
        digests: BTreeMap::new(),
        received_at: at(0),
        verified_at: at(0),
    }
}

proptest! {
    /// The model: `dirty` has the runs whose changes were neither promoted nor rolled back. A
    /// rollback undoes its own run's changes, a promotion verifies all stacks.
    #[test]
    fn the_infrastructure_is_that_of_last_good_only_if_nothing_else_changed_it(
        changes in prop::collection::vec(change(), 0..60),
    ) {
        let mut environment = fresh();
        let mut dirty: BTreeSet<RunId> = BTreeSet::new();
        let mut repaired = false;
        for change in changes {
            let holder = environment.holder().cloned();
            match (change, &holder) {
                (Change::Acquire(n), _) => {
                    environment.acquire(waiter(n), QueueRule::Every, at(100));
                }
                (Change::BeginAndApply, Some(holder)) => {
                    environment.begin_changes(&holder.run, holder.fence).unwrap();
                    dirty.insert(holder.run.clone());
                }
                (Change::Promote, Some(holder)) => {
                    environment.promote(holder.fence, good_of(holder)).unwrap();
                    dirty.clear();
                    repaired = false;
                }
                (Change::RollBack, Some(holder)) => {
                    let outputs = BTreeMap::new();
                    let (run, fence) = (&holder.run, holder.fence);
                    environment.record_rollback(run, fence, outputs, BTreeMap::new(), Blame::Commit, at(100)).unwrap();
                    dirty.remove(run);
                }
                (Change::Release, Some(holder)) => environment.release(&holder.run, at(100)),
                (Change::Freeze, Some(holder)) => {
                    environment.freeze(&holder.run, &failed(), at(100));
                }
                (Change::Unfreeze, _) => {
                    repaired |= environment.unfreeze(at(100)).is_some();
                }
                (_, None) => {}
            }
            for n in 0..4 {
                let run = waiter(n).run;
                let others = dirty.iter().any(|other| *other != run);
                if environment.last_good_base(&run).is_some() {
                    prop_assert!(environment.is_held_by(&run));
                    prop_assert!(!others && !repaired, "{:?} {:?}", change, dirty);
                }
            }
            if environment.infrastructure() == Infrastructure::LastGood {
                prop_assert!(dirty.is_empty() && !repaired, "{:?} {:?}", change, dirty);
            }
        }
    }

    #[test]
    fn a_run_that_changes_nothing_leaves_what_is_known(rolled_back in any::<bool>()) {
        let mut environment = fresh();
        environment.acquire(waiter(1), QueueRule::Every, at(100));
        let good = good_of(environment.holder().unwrap());
        environment.promote(1, good).unwrap();
        environment.release(&waiter(1).run, at(100));
        environment.acquire(waiter(2), QueueRule::Every, at(100));
        let run = waiter(2).run;
        prop_assert!(environment.last_good_base(&run).is_some());
        if rolled_back {
            environment.begin_changes(&run, 2).unwrap();
            prop_assert_eq!(environment.infrastructure(), Infrastructure::Changing);
            prop_assert!(environment.last_good_base(&run).is_some());
            environment.record_rollback(&run, 2, BTreeMap::new(), BTreeMap::new(), Blame::Commit, at(100)).unwrap();
        }
        environment.release(&run, at(100));
        prop_assert_eq!(environment.infrastructure(), Infrastructure::LastGood);
    }
}

proptest! {
    #[test]
    fn no_run_is_lost_and_one_at_a_time_holds_the_environment(
        steps in prop::collection::vec(step(), 0..80),
        every in any::<bool>(),
    ) {
        let rule = if every { QueueRule::Every } else { QueueRule::Newest };
        let mut environment = fresh();
        // The runs that asked and have not ended, and those of them that got a reply.
        let mut asked: BTreeSet<RunId> = BTreeSet::new();
        let mut replied: BTreeSet<RunId> = BTreeSet::new();
        for (count, step) in steps.into_iter().enumerate() {
            let before = environment.clone();
            match step {
                Step::Ask(n) => {
                    let mut next = waiter(n);
                    next.token = format!("token-{n}-{count}");
                    asked.insert(next.run.clone());
                    replied.remove(&next.run);
                    environment.acquire(next, rule, at(100));
                }
                Step::Send => {
                    if let Some(notification) = environment.outbox.first().cloned() {
                        environment.mark_sent(&notification);
                        replied.insert(notification.run);
                    }
                }
                Step::Release(n) => {
                    let next = waiter(n);
                    environment.release(&next.run, at(100));
                    asked.remove(&next.run);
                    replied.remove(&next.run);
                }
                Step::Freeze => {
                    if let Some(holder) = environment.holder.clone() {
                        environment.freeze(&holder.run, &failed(), at(100));
                    }
                }
                Step::Unfreeze => {
                    environment.unfreeze(at(100));
                }
                Step::Bad(n) => {
                    let next = waiter(n);
                    environment.mark_bad(next.commit, next.run, at(100));
                }
            }
            let waits: Vec<&RunId> = environment.queue.iter().map(|it| &it.run).collect();
            let unique: BTreeSet<&RunId> = waits.iter().copied().collect();
            prop_assert_eq!(unique.len(), waits.len(), "a run waits once");
            prop_assert!(environment.queue.is_sorted_by_key(|it| it.received_at));
            if rule == QueueRule::Newest {
                prop_assert!(waits.len() <= 1);
            }
            if environment.frozen.is_some() {
                prop_assert!(waits.is_empty(), "no run waits for a frozen environment");
            }
            for waiter in &environment.queue {
                prop_assert!(!environment.is_bad(&waiter.commit), "no bad commit waits");
            }
            for run in &asked {
                let sent = environment.outbox.iter().filter(|it| &it.run == run).count();
                let places = usize::from(unique.contains(run))
                    + sent
                    + usize::from(replied.contains(run));
                prop_assert_eq!(places, 1, "{} waits, is to be notified, or was notified", run);
            }
            for notification in &environment.outbox {
                let run = &notification.run;
                prop_assert!(asked.contains(run), "only a run that asked is notified");
                match &notification.reply {
                    Reply::Succeed(LockVerdict::Held) => {
                        prop_assert!(environment.is_held_by(run));
                    }
                    Reply::Succeed(LockVerdict::Superseded) | Reply::Fail(_) => {
                        prop_assert!(!environment.is_held_by(run));
                    }
                }
            }
            if let Some(holder) = &environment.holder {
                prop_assert!(!unique.contains(&holder.run), "a holder does not wait");
                prop_assert!(asked.contains(&holder.run));
                if before.holder.as_ref() == Some(holder) {
                    prop_assert_eq!(environment.fence, before.fence);
                } else {
                    prop_assert!(holder.fence > before.fence, "a later holder has a higher fence");
                    prop_assert_eq!(environment.fence, holder.fence);
                    prop_assert_eq!(environment.frozen.as_ref(), None);
                    prop_assert!(!environment.is_bad(&holder.commit));
                    let first = environment.queue.first();
                    prop_assert!(first.is_none_or(|it| holder.received_at <= it.received_at));
                }
            } else if environment.frozen.is_none() {
                prop_assert!(waits.is_empty(), "no run waits for an environment that is free");
            }
        }
    }
}
