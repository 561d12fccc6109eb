#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::config::CONFIG_FILE;
use domain::error::{ErrorName, StepError};
use domain::ids::{EnvironmentName, Sha256Digest};
use domain::keys;
use domain::run::Run;
use domain::step::{Claim, ClaimVerdict};
use engine::documents::run_key;
use engine::fakes::{World, samples};
use engine::status::TransitionKind;
use engine::{FileKind, Snapshot, SnapshotFile};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};
use std::ops::Deref;

mod stacks;
mod trust;

/// A forge with commit 1, and no runs.
struct Scene {
    world: World,
    step: Validate,
}

impl Deref for Scene {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

fn scene() -> Scene {
    let world = World::new();
    world
        .forge
        .push(samples::repository().key, samples::snapshot(1));
    let step = Validate {
        table: Arc::new(world.table.clone()),
        objects: Arc::new(world.artifacts.clone()),
        source: Arc::new(world.forge.clone()),
        history: Arc::new(world.forge.clone()),
        announcer: world.announcer(),
        enrolments: world.enrolments(),
        clock: world.clock(),
    };
    Scene { world, step }
}

fn input() -> ValidateInput {
    ValidateInput::Claim(Claim {
        event: samples::push_event(1),
        execution: samples::EXECUTION.into(),
    })
}

impl Scene {
    async fn claim(&self) -> Result<ClaimVerdict> {
        self.step.run(input()).await.map(|output| {
            assert_eq!(output.run, samples::run_id(1));
            output.verdict
        })
    }

    fn stored(&self) -> Run {
        let record = self.table.peek(&run_key(&samples::run_id(1)));
        serde_json::from_str(&record.unwrap().doc).unwrap()
    }

    fn kinds(&self) -> Vec<TransitionKind> {
        let messages = self.announced().into_iter();
        messages.map(|data| data.transition).collect()
    }
}

fn down() -> StepError {
    StepError::new(ErrorName::AwsUnavailable, "503")
}

#[tokio::test]
async fn a_commit_is_claimed_checked_and_sealed() {
    let world = scene();
    assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);

    let run = world.stored();
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
    let archive = world.artifacts.peek(&sealed.key).unwrap();
    assert_eq!(Sha256Digest::of(&archive), sealed.sha256);
    assert_eq!(
        sealed.key,
        keys::source(samples::repository().key, &sealed.sha256)
    );
    assert_eq!(
        world.kinds(),
        [TransitionKind::Claimed, TransitionKind::Sealed]
    );
}

#[tokio::test]
async fn a_second_execution_of_the_same_event_is_a_duplicate() {
    let world = scene();
    world.claim().await.unwrap();
    let other = ValidateInput::Claim(Claim {
        event: samples::push_event(1),
        execution: format!("{}-two", samples::EXECUTION),
    });
    let output = world.step.run(other).await.unwrap();
    assert_eq!(output.verdict, ClaimVerdict::Duplicate);
    assert_eq!(world.stored().execution(), samples::EXECUTION);
    assert_eq!(world.forge.calls("fetch"), 1);
}

#[tokio::test]
async fn a_repeated_call_answers_the_same_and_fetches_nothing() {
    let world = scene();
    world.claim().await.unwrap();
    let before = world.stored();
    assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);
    assert_eq!(world.stored(), before);
    assert_eq!(world.forge.calls("fetch"), 1);
    assert_eq!(world.artifacts.keys().len(), 1);
    assert_eq!(
        world.kinds(),
        [TransitionKind::Claimed, TransitionKind::Sealed]
    );
}

#[tokio::test]
async fn a_call_that_lost_any_answer_goes_on_where_it_was() {
    type Fault = fn(&Scene);
    let faults: [(&str, Fault); 7] = [
        ("insert lost", |world| {
            world.table.lose_reply("insert", down(), 1);
        }),
        ("insert", |world| {
            world.table.fail_next("insert", down(), 1);
        }),
        ("fetch", |world| world.forge.fail_next("fetch", down(), 1)),
        ("put", |world| {
            world.artifacts.fail_next("put_if_absent", down(), 1);
        }),
        ("put lost", |world| {
            world.artifacts.lose_reply("put_if_absent", down(), 1);
        }),
        ("save", |world| {
            world.table.fail_next("replace", down(), 1);
        }),
        ("save lost", |world| {
            world.table.lose_reply("replace", down(), 1);
        }),
    ];
    for (name, fault) in faults {
        let world = scene();
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
        assert!(world.stored().accepted_at().is_some(), "{name}");
        assert_eq!(world.artifacts.keys().len(), 1, "{name}");
        assert_eq!(
            world.kinds(),
            [TransitionKind::Claimed, TransitionKind::Sealed],
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_down_stops_nothing() {
    let world = scene();
    world.status.fail_next("send", down(), 100);
    assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);
}

#[tokio::test]
async fn an_unknown_commit_is_an_error_after_the_claim() {
    let world = scene();
    let input = ValidateInput::Claim(Claim {
        event: samples::push_event(2),
        execution: samples::EXECUTION.into(),
    });
    let error = world.step.run(input).await.unwrap_err();
    assert_eq!(error.name, ErrorName::CommitNotFound);
    assert_eq!(world.kinds(), [TransitionKind::Claimed]);
    let kinds: Vec<String> = world.table.keys().into_iter().map(|key| key.pk).collect();
    let run = format!("RUN#{}", samples::run_id(2));
    assert_eq!(kinds, ["BRANCH#github-42".to_owned(), run]);
}

/// git serves it by its id: a commit of a fork's pull request, or one that a force-push removed.
#[tokio::test]
async fn a_commit_that_is_not_on_the_branch_is_not_delivered() {
    let world = scene();
    let repository = samples::repository().key;
    world.forge.retract(repository, samples::commit(1));
    let error = world.claim().await.unwrap_err();
    assert_eq!(error.name, ErrorName::CommitNotFound);
    assert!(error.message.contains("refs/heads/main"), "{error}");
    assert_eq!(world.forge.calls("fetch"), 0);
    assert!(world.artifacts.keys().is_empty());
}

#[tokio::test]
async fn what_is_not_enrolled_is_claimed_and_fails() {
    let world = scene();
    let mut other = samples::repository();
    other.environments[0].branches = vec!["release".into()];
    world.enrolments.enrol(other);
    let error = world.claim().await.unwrap_err();
    assert_eq!(error.name, ErrorName::NotEnrolled);
    assert!(error.message.contains("refs/heads/main"), "{error}");
    world.enrolments.remove(samples::repository().key);
    assert_eq!(
        world.claim().await.unwrap_err().name,
        ErrorName::NotEnrolled
    );
    assert_eq!(world.forge.calls("fetch"), 0);
}

#[tokio::test]
async fn another_version_of_the_event_claims_nothing() {
    let world = scene();
    let mut push = samples::push(1);
    push.schema = 1;
    let input = ValidateInput::Claim(Claim {
        event: domain::event::Trigger::Push(push),
        execution: samples::EXECUTION.into(),
    });
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
    let world = scene();
    let text = "version: 2\nenvironment: Prod!\nstacks:\n  - name: data\n    dir: ../x\n";
    world
        .forge
        .push(samples::repository().key, replace_config(text));
    let error = world.claim().await.unwrap_err();
    assert_eq!(error.name, ErrorName::ConfigInvalid);
    for code in ["CF012", "CF026", "CF020"] {
        assert!(error.message.contains(code), "{error}");
    }
    assert!(world.artifacts.keys().is_empty());
}

#[tokio::test]
async fn a_commit_without_a_configuration_says_what_is_expected() {
    let world = scene();
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
    let world = scene();
    let mut snapshot = samples::snapshot(1);
    for n in 0..50 {
        snapshot.files.push(SnapshotFile {
            path: format!("app/{n:02}.tfstate"),
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
    assert!(world.artifacts.keys().is_empty());
}

/// A file that cannot be unpacked does not refuse a commit if nothing reads it.
#[tokio::test]
async fn what_nothing_reads_and_no_program_can_unpack_is_not_sealed() {
    let world = scene();
    let mut snapshot = samples::snapshot(1);
    let count = snapshot.files.len();
    for path in [&format!("web/{}", "a".repeat(300)), "web/a"] {
        snapshot.files.push(SnapshotFile {
            path: path.into(),
            kind: FileKind::File,
            bytes: Vec::new(),
        });
    }
    world.forge.push(samples::repository().key, snapshot);
    world.claim().await.unwrap();
    let keys = world.artifacts.keys();
    let archive = world.artifacts.peek(&keys[0]).unwrap();
    let zip = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    assert_eq!(zip.len(), count + 1);
    assert!(zip.file_names().any(|name| name == "web/a"));
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
    let bytes = archive::pack(&snapshot, &BTreeSet::new()).unwrap();
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
        let packed = archive::pack(&snapshot, &BTreeSet::new()).unwrap();
        prop_assert_eq!(&packed, &archive::pack(&reversed, &BTreeSet::new()).unwrap());
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

#[test]
fn every_error_says_what_happened() {
    let commit = || samples::commit(1);
    let errors = [
        Error::OtherSchema { schema: 1 },
        Error::NotOnBranch {
            repository: samples::repository().full_name,
            branch: samples::push(1).branch,
            commit: commit(),
        },
        Error::ArchiveNotWritten {
            commit: commit(),
            why: "the file name is too long".into(),
        },
        Error::FileNotRead {
            commit: commit(),
            path: "infra/app/main.tf".into(),
        },
    ];
    insta::assert_snapshot!(samples::texts(errors));
}
