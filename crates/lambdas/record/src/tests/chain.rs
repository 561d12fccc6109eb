//! The chain with concurrent writers, wrong heads and deleted entries.

use super::*;
use domain::audit::{Entry, verify};
use domain::keys;
use engine::AuditBranch as _;

#[tokio::test]
async fn writers_at_once_make_one_line() {
    let world = Scene::new();
    for n in 2..12 {
        world.add(n, QueueRule::Every).await;
    }
    let step = world.step();
    let mut tasks = Vec::new();
    for n in 2..12 {
        let step = step.clone();
        tasks.push(tokio::spawn(async move {
            let input = RecordRun {
                event: Box::new(samples::push_event(n)),
                execution: format!("execution-{n}"),
                error: None,
            };
            for _ in 0..3 {
                step.run(RecordInput::Record(input.clone())).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.audit_entries().len(), 10);
}

#[tokio::test]
async fn a_head_before_the_end_of_the_chain_costs_only_time() {
    let world = Scene::new();
    for (n, seq) in [(2, 0), (3, 0), (4, 1), (5, 1)] {
        world.table.overwrite(&head(), &hint(seq));
        world.add(n, QueueRule::Newest).await;
        world.record(n, None).await.unwrap();
    }
    assert_eq!(world.audit_entries().len(), 4);
    // An entry of another run took the number that the run had recorded.
    world.add(6, QueueRule::Newest).await;
    let key = keys::audit(samples::repository().key, 5);
    let table = world.table.clone();
    let (audit, taken) = (world.audit.clone(), world.audit_chain()[3].clone());
    let previous = domain::audit::Head::of(4, &taken.bytes);
    let mut stranger = samples::claimed_run(77);
    let gone = StepError::new(ErrorName::CommitNotFound, "gone");
    stranger.close(Some(gone), 5, samples::now()).unwrap();
    let end = stranger.end().unwrap();
    let entry = Entry::of(&stranger, end, None, Some(&previous))
        .to_bytes()
        .unwrap();
    table.race_next_write(move || audit.set(&key, entry));
    world.record(6, None).await.unwrap();
    assert_eq!(world.audit_entries().len(), 6);
    assert_eq!(world.stored(6).await.end().unwrap().audit_seq, Some(6));
}

/// Someone with access to the bucket deletes the newest entries, which have no successor.
#[tokio::test]
async fn the_deletion_of_the_newest_entries_leaves_a_gap_and_stops_no_run() {
    for deleted in [vec![3], vec![2, 3], vec![1, 2, 3]] {
        let world = Scene::new();
        let repository = samples::repository().key;
        for n in 2..5 {
            world.add(n, QueueRule::Newest).await;
            world.record(n, None).await.unwrap();
        }
        world.audit_log().check_newest(repository).await.unwrap();
        for seq in &deleted {
            world.audit.remove(&keys::audit(repository, *seq));
        }
        let error = world.audit_log().check_newest(repository).await;
        let error = error.unwrap_err();
        assert_eq!(error.name, ErrorName::Internal);
        assert!(error.message.contains("00000003"), "{error}");

        for n in 5..7 {
            world.add(n, QueueRule::Newest).await;
            // The first reply is lost: the entry is found, not written twice.
            world.audit.lose_reply("put_if_absent", down(), 1);
            world.record(n, None).await.unwrap_err();
            world.record(n, None).await.unwrap();
        }
        world.audit_log().check_newest(repository).await.unwrap();
        assert_eq!(world.stored(6).await.end().unwrap().audit_seq, Some(5));
        let problems = verify(&world.audit_chain(), None).unwrap_err();
        let first = deleted[0];
        let expected = format!("follows a gap: entries {first} to 3 are missing");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].message, expected);
        let copied = world.forge.audit_files(repository);
        for found in world.audit_chain() {
            assert!(copied.values().any(|bytes| *bytes == found.bytes));
        }
        assert_eq!(copied.len(), 5, "the branch keeps the deleted entries");
    }
}

/// The forge refused the audit branch for 210 runs. One call adds at most 200 entries.
#[tokio::test]
async fn a_branch_that_lags_far_behind_gets_every_entry() {
    let world = Scene::new();
    let repository = samples::repository().key;
    let mut newest = None;
    for seq in 1..=210 {
        let mut run = samples::claimed_run(77);
        let gone = StepError::new(ErrorName::CommitNotFound, "gone");
        run.close(Some(gone), seq, samples::now()).unwrap();
        let entry = Entry::of(&run, run.end().unwrap(), None, newest.as_ref());
        let bytes = entry.to_bytes().unwrap();
        newest = Some(domain::audit::Head::of(seq, &bytes));
        world.audit.set(&keys::audit(repository, seq), bytes);
    }
    for (n, copied) in [(2, 200), (3, 212)] {
        world.add(n, QueueRule::Newest).await;
        world.record(n, None).await.unwrap();
        assert_eq!(world.forge.audit_files(repository).len(), copied);
    }
}

/// The entry before the recorded number was deleted, and so was the head.
#[tokio::test]
async fn a_chain_whose_head_is_lost_goes_on_after_its_last_entry() {
    let world = Scene::new();
    let repository = samples::repository().key;
    for n in 2..5 {
        world.add(n, QueueRule::Newest).await;
        world.record(n, None).await.unwrap();
    }
    world.add(5, QueueRule::Newest).await;
    world.closing().end(&id(5), None).await.unwrap();
    world.audit.remove(&keys::audit(repository, 3));
    world.table.remove(&head());
    world.record(5, None).await.unwrap();
    assert_eq!(world.stored(5).await.end().unwrap().audit_seq, Some(3));
}

#[tokio::test]
async fn a_changed_newest_entry_is_reported() {
    let world = Scene::new();
    let repository = samples::repository().key;
    world.add(2, QueueRule::Newest).await;
    world.record(2, None).await.unwrap();
    world.audit.set(&keys::audit(repository, 1), "{}");
    let error = world.audit_log().check_newest(repository).await;
    assert!(error.unwrap_err().message.contains("was changed"));
}

fn down() -> StepError {
    StepError::new(ErrorName::AwsUnavailable, "no reply")
}

fn head() -> engine::ItemKey {
    engine::audit::head_key(samples::repository().key)
}

/// Anyone who can push can name a file like an entry.
#[tokio::test]
async fn a_strangers_file_does_not_stand_for_an_entry() {
    let world = Scene::new();
    let repository = samples::repository();
    let planted = |seq: u32| engine::AuditFile {
        path: format!("runs/{seq:08}-shop-0a1b2c3d-9f8e7d.json"),
        bytes: b"{}".to_vec(),
        message: "an entry".into(),
        at: samples::now(),
    };
    let files = [planted(1), planted(2), planted(99_999_999)];
    world.forge.append(&repository, &files).await.unwrap();
    for n in [2, 3] {
        world.add(n, QueueRule::Newest).await;
        world.record(n, None).await.unwrap();
    }
    let there = world.forge.audit_files(repository.key);
    for entry in world.audit_entries() {
        assert!(
            there.contains_key(&entry.path()),
            "{} is not there",
            entry.path()
        );
    }
}

fn hint(seq: u64) -> engine::ItemBody {
    engine::ItemBody {
        doc: format!("{{\"seq\":{seq},\"sha256\":\"{}\"}}", samples::sha256(1)),
        index: None,
        expires: None,
    }
}
