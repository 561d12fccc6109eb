#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
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
    Environment::new(RepositoryId(1), name)
}

/// What waits to be told, as `run word`.
fn untold(environment: &Environment) -> Vec<String> {
    let tells = environment.untold.iter();
    tells
        .map(|tell| format!("{} {:?}", tell.run, tell.word))
        .collect()
}

#[test]
fn to_be_told_does_not_decide_who_owns() {
    let mut environment = fresh();
    environment.acquire(waiter(1), QueueRule::Newest, at(100));
    let tell = environment.untold.first().cloned().unwrap();
    environment.told(&tell);
    environment.told(&tell);
    assert!(environment.untold.is_empty());
    assert!(environment.is_owned_by(&waiter(1).run));
}

#[test]
fn the_newest_of_three_runs_next() {
    let mut environment = fresh();
    for n in [1, 2, 3] {
        environment.acquire(waiter(n), QueueRule::Newest, at(100));
    }
    assert_eq!(untold(&environment), ["shop-1 Held", "shop-2 Superseded"]);
    environment.release(&waiter(1).run, at(101));
    assert_eq!(untold(&environment), ["shop-2 Superseded", "shop-3 Held"]);
    assert_eq!(environment.fence, 2);
}

#[test]
fn with_every_all_run_in_the_order_of_their_events() {
    let mut environment = fresh();
    for n in [1, 3, 2] {
        environment.acquire(waiter(n), QueueRule::Every, at(100));
    }
    let mut owners = Vec::new();
    while let Some(owner) = environment.owner.clone() {
        environment.release(&owner.run, at(101));
        owners.push(owner.run.to_string());
    }
    assert_eq!(owners, ["shop-1", "shop-2", "shop-3"]);
}

#[test]
fn an_event_that_comes_late_does_not_undo_a_newer_commit() {
    let mut environment = fresh();
    environment.acquire(waiter(5), QueueRule::Every, at(100));
    environment.acquire(waiter(4), QueueRule::Every, at(100));
    assert_eq!(untold(&environment), ["shop-5 Held", "shop-4 Superseded"]);
}

#[test]
fn a_queue_that_is_full_drops_the_oldest() {
    let mut environment = fresh();
    let full = u8::try_from(QUEUE_LIMIT).unwrap() + 2;
    for n in 1..=full {
        environment.acquire(waiter(n), QueueRule::Every, at(300));
    }
    assert_eq!(environment.queue.len(), QUEUE_LIMIT);
    assert_eq!(untold(&environment), ["shop-1 Held", "shop-2 Superseded"]);
}

#[test]
fn a_frozen_environment_is_handed_to_nobody_until_it_thaws() {
    let mut environment = fresh();
    environment.acquire(waiter(1), QueueRule::Newest, at(100));
    environment.acquire(waiter(2), QueueRule::Newest, at(100));
    let error = StepError::new(crate::error::ErrorName::ApplyFailed, "no");
    environment.freeze_after(&waiter(1).run, &error, at(101));
    environment.freeze_after(&waiter(1).run, &error, at(102));
    environment.release(&waiter(1).run, at(103));
    environment.acquire(waiter(3), QueueRule::Newest, at(104));
    assert_eq!(untold(&environment), ["shop-2 Frozen", "shop-3 Frozen"]);
    assert_eq!(environment.owner, None);
    assert_eq!(environment.unfreeze(at(105)).unwrap().at, at(101));
    environment.acquire(waiter(4), QueueRule::Newest, at(106));
    assert!(environment.is_owned_by(&waiter(4).run));
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
    /// The next run is told.
    Tell,
    /// A run ends, whether it owns, waits or neither.
    Release(u8),
    Freeze(u8),
    Unfreeze,
    Bad(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..12_u8).prop_map(Step::Ask),
        4 => Just(Step::Tell),
        4 => (1..12_u8).prop_map(Step::Release),
        1 => (1..12_u8).prop_map(Step::Freeze),
        1 => Just(Step::Unfreeze),
        1 => (1..12_u8).prop_map(Step::Bad),
    ]
}

proptest! {
    #[test]
    fn nobody_is_lost_and_nobody_owns_twice(
        steps in prop::collection::vec(step(), 0..80),
        every in any::<bool>(),
    ) {
        let rule = if every { QueueRule::Every } else { QueueRule::Newest };
        let mut environment = fresh();
        // Runs that asked and did not end, and those of them that heard a word.
        let mut asked: BTreeSet<RunId> = BTreeSet::new();
        let mut heard: BTreeSet<RunId> = BTreeSet::new();
        for (count, step) in steps.into_iter().enumerate() {
            let before = environment.clone();
            match step {
                Step::Ask(n) => {
                    let mut next = waiter(n);
                    next.token = format!("token-{n}-{count}");
                    asked.insert(next.run.clone());
                    heard.remove(&next.run);
                    environment.acquire(next, rule, at(100));
                }
                Step::Tell => {
                    if let Some(tell) = environment.untold.first().cloned() {
                        environment.told(&tell);
                        heard.insert(tell.run);
                    }
                }
                Step::Release(n) => {
                    let next = waiter(n);
                    environment.release(&next.run, at(100));
                    asked.remove(&next.run);
                    heard.remove(&next.run);
                }
                Step::Freeze(n) => environment.freeze(Frozen {
                    run: waiter(n).run,
                    reason: String::new(),
                    at: at(100),
                }),
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
            for run in &asked {
                let told = environment.untold.iter().filter(|tell| &tell.run == run).count();
                let places = usize::from(unique.contains(run))
                    + told
                    + usize::from(heard.contains(run));
                prop_assert_eq!(places, 1, "{} waits, is to be told, or was told", run);
            }
            for tell in &environment.untold {
                prop_assert!(asked.contains(&tell.run), "nobody is told who did not ask");
                if tell.word == LockWord::Held {
                    prop_assert!(environment.is_owned_by(&tell.run));
                }
            }
            if let Some(owner) = &environment.owner {
                prop_assert!(!unique.contains(&owner.run), "an owner does not wait");
                prop_assert!(asked.contains(&owner.run));
                if before.owner.as_ref() == Some(owner) {
                    prop_assert_eq!(environment.fence, before.fence);
                } else {
                    prop_assert!(owner.fence > before.fence, "a later owner has a higher fence");
                    prop_assert_eq!(environment.fence, owner.fence);
                    prop_assert_eq!(environment.frozen.as_ref(), None);
                    let first = environment.queue.first();
                    prop_assert!(first.is_none_or(|it| owner.received_at <= it.received_at));
                }
            } else if environment.frozen.is_none() {
                prop_assert!(waits.is_empty(), "nobody waits for what nobody owns");
            }
        }
    }
}
