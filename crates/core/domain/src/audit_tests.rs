#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::error::ErrorName;
use crate::event::{EVENT_SCHEMA, EventRepository, PushEvent};
use crate::ids::{BranchRef, DeliveryId, RepositoryName};
use proptest::prelude::*;

fn run(n: u8) -> Run {
    let at = Timestamp::from_second(1_700_000_000 + i64::from(n) * 60).unwrap();
    let repository = RepositoryName::parse("acme/shop").unwrap();
    let branch = BranchRef::parse("refs/heads/main").unwrap();
    let commit = CommitId::parse(&format!("{:02x}", n + 1).repeat(20)).unwrap();
    let trigger = Trigger::Push(PushEvent {
        schema: EVENT_SCHEMA,
        delivery: DeliveryId::parse("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap(),
        repository: EventRepository {
            key: RepositoryKey::github(42),
            full_name: repository,
        },
        branch,
        after: commit,
        before: None,
        pushed_at: None,
        pusher: "octocat".into(),
        received_at: at,
    });
    let mut run = Run::claim(trigger, "arn:execution".into(), at);
    if n % 2 == 1 {
        let error = StepError::new(ErrorName::ConfigInvalid, "sluicegate.yaml:1:1: \"version\"");
        run.handle_error(at, error, None, at).unwrap();
    }
    run
}

fn end(run: &Run) -> End {
    End {
        outcome: run.outcome(),
        at: run.started_at(),
        audit_from: 1,
        announced_at: None,
        audit_seq: None,
    }
}

fn chain(length: u8) -> Vec<Found> {
    let mut head: Option<Head> = None;
    (0..length)
        .map(|n| {
            let run = run(n);
            let entry = Entry::of(&run, &end(&run), None, head.as_ref());
            let bytes = entry.to_bytes().unwrap();
            head = Some(Head::of(entry.seq, &bytes));
            Found {
                name: entry.path(),
                bytes,
            }
        })
        .collect()
}

fn head(chain: &[Found]) -> Head {
    let last = chain.last().unwrap();
    Head::of(chain.len() as u64, &last.bytes)
}

#[test]
fn an_entry_is_written_in_one_form() {
    let entry = chain(2).pop().unwrap();
    insta::assert_snapshot!(String::from_utf8(entry.bytes.clone()).unwrap());
    insta::assert_snapshot!(Entry::from_bytes(&entry.bytes).unwrap().commit_message());
}

#[test]
fn a_good_chain_is_summed_up() {
    let chain = chain(5);
    let summary = verify(&chain, Some(&head(&chain))).unwrap();
    assert_eq!(
        summary.outcomes,
        BTreeMap::from([("no-op", 3), ("rejected", 2)])
    );
    assert_eq!(summary.head, Some(head(&chain)));
    assert_eq!(verify(&[], None).unwrap().head, None);
}

#[test]
fn a_message_that_is_too_long_is_cut() {
    let error = StepError::new(ErrorName::Internal, "x".repeat(MESSAGE_LIMIT + 1));
    assert_eq!(cut(&error).message.len(), MESSAGE_LIMIT);
}

#[test]
fn only_the_path_of_an_entry_has_a_number() {
    let entry = chain(1).pop().unwrap();
    assert_eq!(number_at(&entry.name), Some(1));
    assert_eq!(
        number_at("runs/00000201-shop-0a1b2c3-d4e5f6.json"),
        Some(201)
    );
    for other in [
        "runs/00000201.json",
        "runs/201-shop-0a1b2c3-d4e5f6.json",
        "runs/000000201-shop-0a1b2c3-d4e5f6.json",
        "runs/+0000201-shop-0a1b2c3-d4e5f6.json",
        "runs/00000201-Shop.json",
        "runs/00000201-shop-0a1b2c3-d4e5f6.json.bak",
        "runs/old/00000201-shop-0a1b2c3-d4e5f6.json",
        "audit/00000201-shop-0a1b2c3-d4e5f6.json",
        "00000201-shop-0a1b2c3-d4e5f6.json",
        "",
    ] {
        assert_eq!(number_at(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn the_number_of_any_entry_is_read_back_from_its_path(
        seq in prop_oneof![1_u64..1000, any::<u64>()],
        run in "[a-z]([a-z0-9-]{0,62}[a-z0-9])?",
    ) {
        let run = RunId::parse(&run).unwrap();
        prop_assert_eq!(number_at(&path_of(seq, &run)), Some(seq));
    }

    #[test]
    fn what_has_a_number_is_a_path_that_an_entry_has(path in "(runs/)?[0-9+]{0,10}-?[a-zA-Z0-9-]{0,4}(\\.json)?") {
        if let Some(seq) = number_at(&path) {
            let run = &path[path.find('-').unwrap() + 1..path.len() - ".json".len()];
            prop_assert_eq!(path_of(seq, &RunId::parse(run).unwrap()), path.clone());
        }
    }

    #[test]
    fn any_edit_is_found(length in 1_u8..8, at in any::<prop::sample::Index>(),
                         place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let good = chain(length);
        let mut bad = good.clone();
        let entry = at.index(bad.len());
        let place = place.index(bad[entry].bytes.len());
        prop_assume!(bad[entry].bytes[place] != byte);
        bad[entry].bytes[place] = byte;
        prop_assert!(verify(&bad, Some(&head(&good))).is_err());
        // Without an anchor, the following entry covers every entry but the newest.
        prop_assert!(entry + 1 == bad.len() || verify(&bad, None).is_err());
    }

    #[test]
    fn any_removal_is_found(length in 1_u8..8, at in any::<prop::sample::Index>()) {
        let good = chain(length);
        let mut bad = good.clone();
        let entry = at.index(bad.len());
        bad.remove(entry);
        prop_assert!(verify(&bad, Some(&head(&good))).is_err());
        prop_assert!(entry == bad.len() || verify(&bad, None).is_err());
    }

    #[test]
    fn any_swap_is_found(length in 2_u8..8, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let good = chain(length);
        let (a, b) = (a.index(good.len()), b.index(good.len()));
        prop_assume!(a != b);
        for whole in [true, false] {
            let mut bad = good.clone();
            bad.swap(a, b);
            if !whole {
                // The contents are swapped. The names stay.
                let name = bad[a].name.clone();
                bad[a].name = std::mem::replace(&mut bad[b].name, name);
            }
            prop_assert!(verify(&bad, None).is_err());
        }
    }

    #[test]
    fn any_insertion_is_found(length in 1_u8..8, at in any::<prop::sample::Index>()) {
        let good = chain(length);
        let place = at.index(good.len());
        // A well-formed entry: the right number, and the right digest of the entry before it.
        let before = place.checked_sub(1).map(|i| Head::of(place as u64, &good[i].bytes));
        let stranger = run(100);
        let entry = Entry::of(&stranger, &end(&stranger), None, before.as_ref());
        let mut bad = good.clone();
        bad.insert(place, Found { name: entry.path(), bytes: entry.to_bytes().unwrap() });
        prop_assert!(verify(&bad, None).is_err());
        prop_assert!(verify(&bad, Some(&head(&good))).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Entry::from_bytes(&bytes).is_err());
    }
}
