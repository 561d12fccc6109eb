#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::config::CONFIG_FILE;
use engine::documents::run_key;
use engine::fakes::{FakeClock, FakeForge, FakeObjects, FakeStatusQueue, FakeTable, samples};
use engine::status::{TransitionKind, parse};
use engine::{FileKind, SnapshotFile};
use proptest::prelude::*;
use std::io::{Cursor, Read as _};

struct World {
    table: FakeTable,
    objects: FakeObjects,
    forge: FakeForge,
    status: FakeStatusQueue,
    step: Validate,
}

fn world() -> World {
    let (table, objects) = (FakeTable::new(), FakeObjects::new(samples::BUCKET));
    let (forge, status) = (FakeForge::new(), FakeStatusQueue::new());
    let clock = Arc::new(FakeClock::default());
    let repositories: Arc<[EnrolledRepository]> = vec![samples::repository()].into();
    forge.push(samples::repository().key, samples::snapshot(1));
    let announcer = Announcer::new(Arc::new(status.clone()), clock.clone())
        .with_commit_statuses(Arc::new(forge.clone()), Arc::clone(&repositories));
    let step = Validate {
        table: Arc::new(table.clone()),
        objects: Arc::new(objects.clone()),
        source: Arc::new(forge.clone()),
        announcer,
        repositories,
        clock,
    };
    World {
        table,
        objects,
        forge,
        status,
        step,
    }
}

fn input() -> ValidateInput {
    ValidateInput::Claim {
        event: samples::push_event(1),
        execution: samples::EXECUTION.into(),
    }
}

impl World {
    async fn claim(&self) -> Result<ClaimVerdict> {
        self.step.run(input()).await.map(|output| {
            assert_eq!(output.run, samples::push_event(1).run_id());
            output.verdict
        })
    }

    fn run(&self) -> Run {
        let record = self.table.peek(&run_key(&samples::push_event(1).run_id()));
        serde_json::from_str(&record.unwrap().doc).unwrap()
    }

    fn words(&self) -> Vec<TransitionKind> {
        self.status
            .messages()
            .iter()
            .map(|message| parse(&message.body).unwrap().data.transition)
            .collect()
    }
}

fn down() -> StepError {
    StepError::new(ErrorName::AwsUnavailable, "503")
}

#[tokio::test]
async fn a_commit_is_claimed_checked_and_sealed() {
    let world = world();
    assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);

    let run = world.run();
    assert_eq!(run.execution(), samples::EXECUTION);
    assert_eq!(run.config(), Ok(&samples::config()));
    assert_eq!(run.forward().stacks().len(), 2);
    assert_eq!(run.author(), Some("Mona Lisa"));
    assert_eq!(run.subject(), Some("Change number 1"));
    assert_eq!(run.build_tree().ok(), samples::snapshot(1).trees.get("app"));
    let digests: Vec<_> = run
        .forward()
        .stacks()
        .iter()
        .map(|it| it.digest())
        .collect();
    assert!(digests.iter().all(Option::is_some) && digests[0] != digests[1]);
    let sealed = run.sealed_source().unwrap();
    let archive = world.objects.peek(&sealed.key).unwrap();
    assert_eq!(Sha256Digest::of(&archive), sealed.sha256);
    assert_eq!(sealed.key, keys::source(&sealed.sha256));
    assert_eq!(
        world.words(),
        [TransitionKind::Claimed, TransitionKind::Sealed]
    );
}

#[tokio::test]
async fn a_second_execution_of_the_same_event_is_a_duplicate() {
    let world = world();
    world.claim().await.unwrap();
    let other = ValidateInput::Claim {
        event: samples::push_event(1),
        execution: format!("{}-two", samples::EXECUTION),
    };
    let output = world.step.run(other).await.unwrap();
    assert_eq!(output.verdict, ClaimVerdict::Duplicate);
    assert_eq!(world.run().execution(), samples::EXECUTION);
    assert_eq!(world.forge.calls("fetch"), 1);
}

#[tokio::test]
async fn a_repeated_call_answers_the_same_and_fetches_nothing() {
    let world = world();
    world.claim().await.unwrap();
    let before = world.run();
    assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);
    assert_eq!(world.run(), before);
    assert_eq!(world.forge.calls("fetch"), 1);
    assert_eq!(world.objects.keys().len(), 1);
    assert_eq!(
        world.words(),
        [TransitionKind::Claimed, TransitionKind::Sealed]
    );
}

#[tokio::test]
async fn a_call_that_lost_any_answer_goes_on_where_it_was() {
    type Fault = fn(&World);
    let faults: [(&str, Fault); 7] = [
        ("insert lost", |world| {
            world.table.lose_reply("insert", down(), 1);
        }),
        ("insert", |world| {
            world.table.fail_next("insert", down(), 1);
        }),
        ("fetch", |world| world.forge.fail_next("fetch", down(), 1)),
        ("put", |world| {
            world.objects.fail_next("put_if_absent", down(), 1);
        }),
        ("put lost", |world| {
            world.objects.lose_reply("put_if_absent", down(), 1);
        }),
        ("save", |world| {
            world.table.fail_next("replace", down(), 1);
        }),
        ("save lost", |world| {
            world.table.lose_reply("replace", down(), 1);
        }),
    ];
    for (name, fault) in faults {
        let world = world();
        fault(&world);
        assert_eq!(
            world.claim().await.unwrap_err().name,
            ErrorName::AwsUnavailable,
            "{name}"
        );
        assert_eq!(
            world.claim().await.unwrap(),
            ClaimVerdict::Accepted,
            "{name}"
        );
        assert!(world.run().accepted_at().is_some(), "{name}");
        assert_eq!(world.objects.keys().len(), 1, "{name}");
        assert_eq!(
            world.words(),
            [TransitionKind::Claimed, TransitionKind::Sealed],
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_down_stops_nothing() {
    let world = world();
    world.status.fail_next("send", down(), 100);
    assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);
}

#[tokio::test]
async fn an_unknown_commit_is_an_error_after_the_claim() {
    let world = world();
    let input = ValidateInput::Claim {
        event: samples::push_event(2),
        execution: samples::EXECUTION.into(),
    };
    let error = world.step.run(input).await.unwrap_err();
    assert_eq!(error.name, ErrorName::CommitNotFound);
    assert_eq!(world.words(), [TransitionKind::Claimed]);
    assert_eq!(world.table.keys().len(), 1);
}

#[tokio::test]
async fn what_is_not_enrolled_is_claimed_and_fails() {
    let mut world = world();
    let mut other = samples::repository();
    other.branches = vec!["release".into()];
    world.step.repositories = vec![other.clone()].into();
    let error = world.claim().await.unwrap_err();
    assert_eq!(error.name, ErrorName::NotEnrolled);
    assert!(error.message.contains("\"main\""), "{error}");
    other.key = domain::ids::RepositoryKey::github(7);
    world.step.repositories = vec![other].into();
    assert_eq!(
        world.claim().await.unwrap_err().name,
        ErrorName::NotEnrolled
    );
    assert_eq!(world.forge.calls("fetch"), 0);
}

#[tokio::test]
async fn another_version_of_the_event_claims_nothing() {
    let world = world();
    let mut push = samples::push(1);
    push.schema = 1;
    let input = ValidateInput::Claim {
        event: domain::event::Trigger::Push(push),
        execution: samples::EXECUTION.into(),
    };
    let error = world.step.run(input).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
    assert!(world.table.keys().is_empty());
}

fn replace_config(text: &str) -> Snapshot {
    let mut snapshot = samples::snapshot(1);
    for file in &mut snapshot.files {
        if file.path == CONFIG_FILE {
            file.bytes = text.into();
        }
    }
    snapshot
}

#[tokio::test]
async fn every_error_of_the_configuration_is_listed() {
    let world = world();
    let text = "version: 2\nenvironment: Prod!\nstacks:\n  - name: data\n    dir: ../x\n";
    world
        .forge
        .push(samples::repository().key, replace_config(text));
    let error = world.claim().await.unwrap_err();
    assert_eq!(error.name, ErrorName::ConfigInvalid);
    for code in ["CF012", "CF026", "CF020"] {
        assert!(error.message.contains(code), "{error}");
    }
    assert!(world.objects.keys().is_empty());
}

#[tokio::test]
async fn a_commit_without_a_configuration_says_what_is_expected() {
    let world = world();
    let mut snapshot = samples::snapshot(1);
    snapshot.files.retain(|file| file.path != CONFIG_FILE);
    world
        .forge
        .push(samples::repository().key, snapshot.clone());
    let error = world.claim().await.unwrap_err();
    assert_eq!(error.name, ErrorName::ConfigInvalid);
    assert!(
        error.message.starts_with("sluicegate.yaml: CF001"),
        "{error}"
    );

    snapshot.files.push(SnapshotFile {
        path: CONFIG_FILE.into(),
        kind: FileKind::Symlink,
        bytes: b"other.yaml".to_vec(),
    });
    world.forge.push(samples::repository().key, snapshot);
    assert!(
        world
            .claim()
            .await
            .unwrap_err()
            .message
            .starts_with("sluicegate.yaml: CF001")
    );
}

#[tokio::test]
async fn a_long_list_is_cut() {
    let world = world();
    let mut snapshot = samples::snapshot(1);
    for n in 0..50 {
        snapshot.files.push(SnapshotFile {
            path: format!("{n:02}.tfstate"),
            kind: FileKind::File,
            bytes: Vec::new(),
        });
    }
    world.forge.push(samples::repository().key, snapshot);
    let error = world.claim().await.unwrap_err();
    assert_eq!(error.name, ErrorName::SourceRefused);
    assert!(error.message.len() < 2000, "{error}");
    assert!(
        error
            .message
            .contains(" more\nnext: run `sluicegate config check`"),
        "{error}"
    );
    assert!(world.objects.keys().is_empty());
}

#[test]
fn an_archive_keeps_modes_and_links() {
    let mut snapshot = samples::snapshot(1);
    snapshot.files.push(SnapshotFile {
        path: "app/link".into(),
        kind: FileKind::Symlink,
        bytes: b"test.sh".to_vec(),
    });
    snapshot.files.push(SnapshotFile {
        path: "vendor".into(),
        kind: FileKind::Submodule,
        bytes: Vec::new(),
    });
    let bytes = archive::pack(&snapshot).unwrap();
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted);
    assert_eq!(names.len(), samples::snapshot(1).files.len() + 2);
    let mut mode = |name: &str| {
        let mut file = zip.by_name(name).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        (file.unix_mode().unwrap(), text)
    };
    assert_eq!(
        mode("app/test.sh"),
        (0o100_755, "#!/bin/sh\nexit 0\n".into())
    );
    assert_eq!(mode("app/Dockerfile"), (0o100_644, "FROM scratch\n".into()));
    assert_eq!(mode("app/link"), (0o120_777, "test.sh".into()));
    assert_eq!(mode("vendor/"), (0o040_755, String::new()));
}

proptest! {
    #[test]
    fn the_same_files_give_the_same_archive(
        mut files in prop::collection::btree_map(
            "[a-z]{1,8}(/[a-z]{1,8}){0,3}",
            (
                prop::collection::vec(any::<u8>(), 0..400),
                prop_oneof![
                    Just(FileKind::File), Just(FileKind::Executable), Just(FileKind::Submodule),
                ],
            ),
            0..20,
        ),
    ) {
        let list = |files: &std::collections::BTreeMap<String, (Vec<u8>, FileKind)>| {
            files.iter().map(|(path, (bytes, kind))| SnapshotFile {
                path: path.clone(), kind: *kind, bytes: bytes.clone(),
            }).collect::<Vec<_>>()
        };
        let snapshot = Snapshot { files: list(&files), ..samples::snapshot(1) };
        let mut reversed = Snapshot { commit: samples::commit(9), ..snapshot.clone() };
        reversed.files.reverse();
        let packed = archive::pack(&snapshot).unwrap();
        prop_assert_eq!(&packed, &archive::pack(&reversed).unwrap());
        // The archive holds every file, and submodules as directories.
        let mut zip = zip::ZipArchive::new(Cursor::new(packed)).unwrap();
        prop_assert_eq!(zip.len(), files.len());
        files.retain(|_, (_, kind)| *kind != FileKind::Submodule);
        for (path, (bytes, _)) in &files {
            let mut found = Vec::new();
            zip.by_name(path).unwrap().read_to_end(&mut found).unwrap();
            prop_assert_eq!(&found, bytes);
        }
    }
}
