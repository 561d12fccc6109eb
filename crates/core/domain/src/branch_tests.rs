#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
use proptest::prelude::*;

fn commit(n: u8) -> CommitId {
    CommitId::parse(&format!("{n:02x}").repeat(20)).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH
        .saturating_add(SignedDuration::from_secs(seconds))
        .unwrap()
}

fn branch() -> WatchedBranch {
    let main = BranchRef::parse("refs/heads/main").unwrap();
    WatchedBranch::new(RepositoryKey::github(42), main)
}

fn name() -> RepositoryName {
    RepositoryName::parse("acme/shop").unwrap()
}

#[test]
fn a_tip_must_stay_unclaimed_before_its_push_counts_as_missed() {
    let mut branch = branch();
    branch.claim(&commit(1), at(0));
    let mut observe = |n: u8, second: i64| branch.observe(Some(&commit(n)), &name(), at(second));
    assert_eq!(observe(2, 0), None);
    assert_eq!(observe(2, 239), None);
    let missed = observe(2, 240).unwrap();
    assert_eq!((&missed.after, missed.found_at), (&commit(2), at(0)));
    assert_eq!(observe(3, 241), None, "another tip has its own time");
    assert_eq!(observe(2, 480), None);
    assert_eq!(observe(1, 481), None);
    assert_eq!(observe(2, 482), None, "the claimed tip ended its time");
}

/// The clocks of two Lambdas differ.
#[test]
fn a_published_push_can_always_be_claimed() {
    let mut branch = branch();
    branch.claim(&commit(1), at(100));
    branch.observe(Some(&commit(2)), &name(), at(99));
    let missed = branch.observe(Some(&commit(2)), &name(), at(400)).unwrap();
    branch.claim(&missed.after, missed.found_at);
    assert_eq!(branch.claimed(), Some(&commit(2)));
}

#[derive(Debug, Clone, Copy)]
enum Happens {
    Push(u8),
    Delivery,
    Look,
}

proptest! {
    /// Whatever was lost: when the forge is quiet and every published push is claimed, the last
    /// claimed commit is the tip.
    #[test]
    fn the_tip_is_claimed_in_the_end(
        events in proptest::collection::vec(
            prop_oneof![
                (1_u8..5).prop_map(Happens::Push),
                Just(Happens::Delivery),
                Just(Happens::Look),
            ],
            0..30,
        )
    ) {
        let (mut branch, mut tip, mut now) = (branch(), commit(9), 0);
        branch.claim(&tip, at(now));
        for event in events {
            now += 60;
            match event {
                Happens::Push(n) => tip = commit(n),
                Happens::Delivery => branch.claim(&tip, at(now)),
                Happens::Look => {
                    if let Some(missed) = branch.observe(Some(&tip), &name(), at(now)) {
                        branch.claim(&missed.after, missed.found_at);
                    }
                }
            }
        }
        for _ in 0..2 {
            now += 300;
            if let Some(missed) = branch.observe(Some(&tip), &name(), at(now)) {
                branch.claim(&missed.after, missed.found_at);
            }
        }
        prop_assert_eq!(branch.claimed(), Some(&tip));
    }
}
