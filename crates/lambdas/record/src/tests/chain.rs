//! The chain with concurrent writers and with wrong hints.

use super::*;
use domain::audit::Entry;
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
async fn the_head_is_only_a_hint() {
    let world = Scene::new();
    let key = engine::ItemKey {
        pk: format!("AUDIT#{}", samples::repository().key),
        sk: "HEAD".into(),
    };
    for (n, seq) in [(2, 7), (3, 0), (4, 1), (5, 900)] {
        world.table.overwrite(&key, &hint(seq));
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
