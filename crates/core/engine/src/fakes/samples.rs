//! Good values to start a test from: a repository `acme/shop` with the stacks `data` and `app`,
//! an image and an ECS service. A test changes the public fields that it is about.
#![allow(
    clippy::expect_used,
    reason = "constants of tests: a bad one fails the test at once"
)]

use crate::jobs::StateBucket;
use crate::{FileKind, Snapshot, SnapshotFile};
use domain::config::Config;
use domain::environment::{LastGood, Waiter};
use domain::event::{EVENT_SCHEMA, EnrolledRepository, EventRepository, PushEvent};
use domain::ids::{
    BranchRef, CommitId, DeliveryId, EnvironmentName, ImageDigest, RepositoryKey, RepositoryName,
    RunKind, Sha256Digest, StackName,
};
use domain::plan::ObjectRef;
use domain::run::{Run, Source, Trigger};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// The configuration of [`config`], as it stands in the repository.
pub const CONFIG: &str = "\
version: 1
environment: production
stacks:
  - name: data
    dir: infra/data
  - name: app
    dir: infra/app
    needs: [data]
build:
  context: app
  test: ./test.sh
deploy:
  target: ecs
  stack: app
  container: shop
  desired_count: 2
  health: { path: /health, timeout_seconds: 300 }
  version: { path: /version }
";

/// The artifacts bucket's name.
pub const BUCKET: &str = "sluicegate-artifacts";
/// The audit bucket's name.
pub const AUDIT_BUCKET: &str = "sluicegate-audit";
/// The state bucket's name.
pub const STATE_BUCKET: &str = "sluicegate-state";

/// [`STATE_BUCKET`] with its region.
#[must_use]
pub fn states() -> StateBucket {
    StateBucket {
        name: STATE_BUCKET.to_owned(),
        region: "eu-central-1".to_owned(),
    }
}
/// An execution's ARN.
pub const EXECUTION: &str =
    "arn:aws:states:eu-central-1:111122223333:execution:sluicegate-deliver:one";

/// The time that [`super::FakeClock`] begins at: 2026-03-01T12:00:00Z.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::constant(1_772_366_400, 0)
}

/// A commit id that is told from others by its number, which must not be 0.
#[must_use]
pub fn commit(n: u8) -> CommitId {
    // The number stands first: people see only the first eight digits.
    CommitId::parse(&format!("{n:02x}").repeat(20)).expect("n is not 0")
}

/// A SHA-256 digest that is told from others by its number.
#[must_use]
pub fn sha256(n: u8) -> Sha256Digest {
    Sha256Digest::of(&[n])
}

/// An image digest that is told from others by its number.
#[must_use]
pub fn image_digest(n: u8) -> ImageDigest {
    ImageDigest::parse(&format!("sha256:{}", sha256(n))).expect("a digest")
}

/// A stack's name.
#[must_use]
pub fn stack(name: &str) -> StackName {
    StackName::parse(name).expect("a stack name")
}

/// The environment `production`.
#[must_use]
pub fn environment() -> EnvironmentName {
    EnvironmentName::parse("production").expect("a name")
}

/// The enrolled repository `acme/shop`, with the key `github-42`.
#[must_use]
pub fn repository() -> EnrolledRepository {
    EnrolledRepository {
        key: RepositoryKey::github(42),
        full_name: RepositoryName::parse("acme/shop").expect("a name"),
        clone_url: "https://github.com/acme/shop.git".into(),
        branches: vec!["main".into()],
        image: "111122223333.dkr.ecr.eu-central-1.amazonaws.com/acme/shop".into(),
    }
}

/// A push of `commit(n)` to `main`, received `n` seconds after [`now`].
#[must_use]
pub fn push_event(n: u8) -> PushEvent {
    let repository = repository();
    PushEvent {
        schema: EVENT_SCHEMA,
        kind: RunKind::Push,
        delivery: DeliveryId::parse(&format!("72d3162e-cc78-11e3-81ab-4c93{n:08x}"))
            .expect("a delivery"),
        repository: EventRepository {
            key: repository.key,
            full_name: repository.full_name,
        },
        branch: BranchRef::parse("refs/heads/main").expect("a ref"),
        before: None,
        after: commit(n),
        pushed_at: None,
        pusher: "octocat".into(),
        received_at: now()
            .saturating_add(SignedDuration::from_secs(n.into()))
            .expect("a time"),
    }
}

/// [`CONFIG`], read.
#[must_use]
pub fn config() -> Config {
    domain::config::parse(CONFIG.as_bytes()).expect("a good configuration")
}

/// A fetched commit: [`CONFIG`], a Terraform file with its lock file for each stack, and an
/// application with a Dockerfile and a test.
#[must_use]
pub fn snapshot(n: u8) -> Snapshot {
    let file = |path: &str, kind: FileKind, text: &str| SnapshotFile {
        path: path.into(),
        kind,
        bytes: text.as_bytes().to_vec(),
    };
    let files = vec![
        file("app/Dockerfile", FileKind::File, "FROM scratch\n"),
        file("app/test.sh", FileKind::Executable, "#!/bin/sh\nexit 0\n"),
        file("infra/app/.terraform.lock.hcl", FileKind::File, ""),
        file(
            "infra/app/main.tf",
            FileKind::File,
            "terraform {\n  backend \"s3\" {}\n}\n",
        ),
        file("infra/data/.terraform.lock.hcl", FileKind::File, ""),
        file(
            "infra/data/main.tf",
            FileKind::File,
            "terraform {\n  backend \"s3\" {}\n}\n",
        ),
        file("sluicegate.yaml", FileKind::File, CONFIG),
    ];
    let directories = ["", "app", "infra", "infra/app", "infra/data"];
    let trees = directories
        .iter()
        .zip(0xa0_u8..)
        .map(|(directory, id)| ((*directory).to_owned(), commit(id)))
        .collect();
    Snapshot {
        commit: commit(n),
        author: "Mona Lisa".into(),
        subject: format!("Change number {n}"),
        files,
        trees,
    }
}

/// A run as it is claimed for [`push_event`].
#[must_use]
pub fn claimed_run(n: u8) -> Run {
    let event = push_event(n);
    let id = event.run_id();
    let trigger = Trigger {
        kind: event.kind,
        delivery: event.delivery,
        repository_key: event.repository.key,
        repository: event.repository.full_name,
        branch: event.branch,
        commit: event.after,
        before: event.before,
        pusher: event.pusher,
        received_at: event.received_at,
    };
    Run::new(id, trigger, EXECUTION.into(), event.received_at)
}

/// A run whose source is sealed and whose configuration is [`config`].
#[must_use]
pub fn sealed_run(n: u8) -> Run {
    let mut run = claimed_run(n);
    run.seal(source(n), config());
    run
}

/// A run's wait for its environment.
#[must_use]
pub fn waiter(run: &Run, token: &str) -> Waiter {
    Waiter {
        run: run.id.clone(),
        commit: run.trigger.commit.clone(),
        received_at: run.trigger.received_at,
        token: token.into(),
    }
}

/// A sealed source. The archive itself is in no bucket.
#[must_use]
pub fn source(n: u8) -> Source {
    Source {
        archive: archive(n),
        build_tree: Some(commit(0xa1)),
        author: "Mona Lisa".into(),
        subject: format!("Change number {n}"),
    }
}

fn archive(n: u8) -> ObjectRef {
    let sha256 = sha256(n);
    ObjectRef {
        key: domain::keys::source(&sha256),
        sha256,
    }
}

/// What an environment keeps of `commit(n)` once it was verified, both stacks' outputs included.
#[must_use]
pub fn last_good(n: u8) -> LastGood {
    let event = push_event(n);
    let outputs = config()
        .stacks
        .into_iter()
        .zip(n..)
        .map(|(stack, id)| {
            let key = format!("runs/{}/jobs/{}/outputs.json", event.run_id(), stack.name);
            let sha256 = sha256(id);
            (stack.name, ObjectRef { key, sha256 })
        })
        .collect::<BTreeMap<_, _>>();
    LastGood {
        run: event.run_id(),
        commit: event.after,
        branch: event.branch,
        source: archive(n),
        config: config(),
        image: Some(image_digest(n)),
        task_definition: Some(format!(
            "arn:aws:ecs:eu-central-1:111122223333:task-definition/shop:{n}"
        )),
        outputs,
        received_at: event.received_at,
        verified_at: event
            .received_at
            .saturating_add(SignedDuration::from_mins(5))
            .expect("a time"),
    }
}
