//! Valid values to start a test from: a repository `acme/shop` with the stacks `data` and `app`, an
//! image and an ECS service. A test changes the public fields that it needs.
#![allow(
    clippy::expect_used,
    reason = "constants of tests: a bad one fails the test at once"
)]

use crate::jobs::StateBucket;
use crate::{FileKind, Snapshot, SnapshotFile};
use domain::build::BuildSettings;
use domain::config::Config;
use domain::enrolment::{
    ENROLMENT_SCHEMA, EnrolledEnvironment, EnrolledRepository, JobDefinitions, Person, Principal,
    Projects, SelfApproval, ServicePattern,
};
use domain::environment::{LastGood, Waiter};
use domain::error::NamedError;
use domain::event::{EVENT_SCHEMA, EventRepository, PushEvent, Trigger};
use domain::ids::{
    AccountId, BranchRef, CommitId, DeliveryId, EnvironmentName, ImageDigest, JobDefinition,
    ProjectName, RepositoryKey, RepositoryName, RoleArn, RunId, Sha256Digest, StackName,
};
use domain::keys::RunObjects;
use domain::plan::{
    ApprovalRule, LegKind, ObjectRef, PlanSummary, SealedPlan, SideEffects, StateVersion, Verdict,
};
use domain::release::ecs::EcsState;
use domain::release::{Artifact, Release, TargetState};
use domain::rollout::Rollout;
use domain::run::{ArtifactOrigin, JudgedPlan, Run, SameStack, Source};
use domain::warning::Warnings;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// The text of [`config`], as in the repository.
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
  count: 2
  health: { path: /health, timeout_seconds: 300 }
  version: { path: /version }
";

/// The artifacts bucket's name.
pub const BUCKET: &str = "sluicegate-artifacts";
/// The audit bucket's name.
pub const AUDIT_BUCKET: &str = "sluicegate-audit";
/// The state bucket's name.
pub const STATE_BUCKET: &str = "sluicegate-state";

/// Returns [`STATE_BUCKET`] with its region.
#[must_use]
pub fn states() -> StateBucket {
    StateBucket {
        name: STATE_BUCKET.to_owned(),
        region: "eu-central-1".to_owned(),
    }
}
/// The ARN of an execution.
pub const EXECUTION: &str =
    "arn:aws:states:eu-central-1:111122223333:execution:sluicegate-deliver:one";

/// Returns the initial time of [`super::FakeClock`]: 2026-03-01T12:00:00Z.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::constant(1_772_366_400, 0)
}

/// Returns the commit id with this number, which must not be 0.
#[must_use]
pub fn commit(n: u8) -> CommitId {
    // Starts with the number, because [`CommitId::short`] shows only the first eight digits.
    CommitId::parse(&format!("{n:02x}").repeat(20)).expect("n is not 0")
}

/// Returns the SHA-256 digest with this number.
#[must_use]
pub fn sha256(n: u8) -> Sha256Digest {
    Sha256Digest::of(&[n])
}

/// Returns the image digest with this number.
#[must_use]
pub fn image_digest(n: u8) -> ImageDigest {
    ImageDigest::parse(&format!("sha256:{}", sha256(n))).expect("a digest")
}

/// Returns the stack name.
#[must_use]
pub fn stack(name: &str) -> StackName {
    StackName::parse(name).expect("a stack name")
}

/// Returns the name of the environment `production`.
#[must_use]
pub fn environment() -> EnvironmentName {
    EnvironmentName::parse("production").expect("a name")
}

/// Returns the enrolled repository `acme/shop`, with the key `github-42`.
#[must_use]
pub fn repository() -> EnrolledRepository {
    EnrolledRepository {
        key: RepositoryKey::github(42),
        full_name: RepositoryName::parse("acme/shop").expect("a name"),
        schema: ENROLMENT_SCHEMA,
        clone_url: "https://github.com/acme/shop.git".into(),
        webhook_secret: "sluicegate/webhook/github-42".into(),
        image: "111122223333.dkr.ecr.eu-central-1.amazonaws.com/acme/shop".into(),
        projects: Projects {
            test: ProjectName::parse("sluicegate-build-github-42-test").expect("a name"),
            image: ProjectName::parse("sluicegate-build-github-42-image").expect("a name"),
        },
        environments: vec![enrolled_environment()],
    }
}

/// Returns the enrolled environment `production` of [`repository`]: the branch `main`, no approval
/// rule, and the service `shop` in every cluster.
#[must_use]
pub fn enrolled_environment() -> EnrolledEnvironment {
    let person = |name: &str, login: &str| Person {
        principal: Principal::parse(&format!("arn:aws:iam::111122223333:role/{name}"))
            .expect("a role"),
        session: None,
        login: Some(login.to_owned()),
    };
    let definition = |verb: &str| {
        let arn = format!(
            "arn:aws:batch:eu-central-1:111122223333:job-definition/sluicegate-github-42-production-{verb}:1"
        );
        JobDefinition::parse(&arn).expect("a job definition")
    };
    let role = |name: &str| {
        RoleArn::parse(&format!("arn:aws:iam::111122223333:role/{name}")).expect("a role")
    };
    EnrolledEnvironment {
        name: environment(),
        branches: vec!["main".into()],
        account: AccountId::parse("111122223333").expect("an account"),
        region: "eu-central-1".into(),
        approval: ApprovalRule::Never,
        protect: Vec::new(),
        approvers: vec![person("approvers", "mona")],
        self_approval: SelfApproval::Refused,
        operators: vec![person("operators", "lisa")],
        jobs: JobDefinitions {
            plan: definition("plan"),
            apply: definition("apply"),
        },
        deploy_role: role("sluicegate-deploy-github-42-production"),
        services: vec![ServicePattern::try_from("*/shop".to_owned()).expect("a service")],
        task_roles: vec![role("shop-*")],
        required_boundary: None,
    }
}

/// Returns the objects of a run of [`repository`] for [`environment`].
#[must_use]
pub fn objects(run: &RunId) -> RunObjects {
    RunObjects::new(RepositoryKey::github(42), environment(), run.clone())
}

/// Returns the id of the run of [`push_event`].
#[must_use]
pub fn run_id(n: u8) -> RunId {
    push_event(n).run_id()
}

/// Returns the names and texts of errors, a line each, for a snapshot that is read as a whole.
#[must_use]
pub fn texts<E: NamedError>(errors: impl IntoIterator<Item = E>) -> String {
    let lines = errors
        .into_iter()
        .map(|error| format!("{}: {error}", error.name()));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns a push of `commit(n)` to `main`, received `n` seconds after [`now`].
#[must_use]
pub fn push_event(n: u8) -> Trigger {
    Trigger::Push(push(n))
}

/// Returns the same push as [`push_event`], so that a test can change its fields.
#[must_use]
pub fn push(n: u8) -> PushEvent {
    let repository = repository();
    PushEvent {
        schema: EVENT_SCHEMA,
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

/// Returns the parsed [`CONFIG`].
#[must_use]
pub fn config() -> Config {
    domain::config::parse(CONFIG.as_bytes()).expect("a good configuration")
}

/// Returns a fetched commit: [`CONFIG`], a Terraform file with its lock file for each stack, and an
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
        unread: Vec::new(),
        trees,
    }
}

/// Returns a run that was claimed for [`push_event`].
#[must_use]
pub fn claimed_run(n: u8) -> Run {
    let trigger = push_event(n);
    let now = trigger.received_at();
    Run::claim(trigger, EXECUTION.into(), now)
}

/// Returns a run whose commit is accepted, with [`config`].
#[must_use]
pub fn sealed_run(n: u8) -> Run {
    accepted_run(n, config())
}

/// Returns a run whose commit is accepted, with this configuration.
#[must_use]
pub fn accepted_run(n: u8, config: Config) -> Run {
    let mut run = claimed_run(n);
    let now = run.started_at();
    run.accept(source(n), config, now)
        .expect("it has not ended");
    run
}

/// Returns a run's wait for its environment.
#[must_use]
pub fn waiter(run: &Run, token: &str) -> Waiter {
    Waiter {
        run: run.id().clone(),
        commit: run.trigger().commit().clone(),
        received_at: run.trigger().received_at(),
        token: token.into(),
    }
}

/// Sets a value in a run's record, for a state that no single step reaches. `place` is a JSON
/// pointer, such as `/forward/stacks/0/state`.
///
/// # Panics
/// Panics when the record has no such place, or is invalid with that value.
pub fn edit(run: &mut Run, place: &str, value: impl Serialize) {
    let mut record = serde_json::to_value(&*run).expect("JSON");
    let value = serde_json::to_value(value).expect("JSON");
    *record.pointer_mut(place).expect("a place in the record") = value;
    *run = serde_json::from_value(record).expect("a record of a run");
}

/// Returns how the installation builds.
#[must_use]
pub fn build_settings() -> BuildSettings {
    BuildSettings {
        architecture: "x86_64".into(),
    }
}

/// Returns the `n`th image.
#[must_use]
pub fn artifact(n: u8) -> Artifact {
    let digest = image_digest(n);
    Artifact::Image { digest }
}

/// Returns the release of the `n`th image as the service `app`, on the ECS service `shop` of
/// [`config`].
#[must_use]
pub fn release(n: u8) -> Release {
    Release {
        service: (&stack("app")).into(),
        artifact: artifact(n),
        target: TargetState::Ecs(EcsState {
            cluster: "main".into(),
            service: "shop".into(),
            task_definition: format!(
                "arn:aws:ecs:eu-central-1:111122223333:task-definition/shop:{n}"
            ),
        }),
    }
}

/// Returns the rollout of [`release`], started a minute after [`now`].
#[must_use]
pub fn rollout(n: u8) -> Rollout {
    Rollout {
        release: release(n),
        commit: commit(n),
        url: "http://shop.example".into(),
        since: after(60),
        deadline: after(360),
        healthy_at: None,
    }
}

/// Returns the time this many seconds after [`now`].
#[must_use]
pub fn after(seconds: i64) -> Timestamp {
    now()
        .saturating_add(SignedDuration::from_secs(seconds))
        .expect("a time")
}

/// Builds the run's image.
pub fn build(run: &mut Run, n: u8) {
    run.artifact_ready(artifact(n), ArtifactOrigin::Built, now())
        .expect("it has not ended");
}

fn plan_job(stack: &StackName) -> domain::ids::JobId {
    domain::ids::JobId::seal("plan", stack, 1, b"{}")
}

fn apply_job(stack: &StackName) -> domain::ids::JobId {
    domain::ids::JobId::seal("apply", stack, 2, b"{}")
}

/// Plans a stack of the run's current leg, with this verdict.
pub fn plan(run: &mut Run, name: &str, verdict: Verdict, outputs: Option<ObjectRef>) {
    let (name, now) = (stack(name), now());
    let job = plan_job(&name);
    let file = archive(9);
    let state = StateVersion {
        lineage: "l".into(),
        serial: 3,
        resources: domain::plan::Resources::None,
    };
    let summary = PlanSummary::default();
    run.planning(&name, job.clone(), 1, now)
        .and_then(|_| {
            let json = archive(10);
            let plan = JudgedPlan {
                sealed: SealedPlan {
                    file,
                    json,
                    state,
                    dependencies: None,
                },
                summary: &summary,
                judgement: verdict.into(),
                warnings: Warnings::default(),
                outputs,
            };
            run.planned(&name, &job, plan, now)
        })
        .expect("a stack that can be planned");
}

/// Marks every stack of the run's current leg as unchanged.
pub fn find_unchanged(run: &mut Run) {
    let names: Vec<_> = run
        .leg()
        .stacks()
        .iter()
        .map(|one| one.name().to_string())
        .collect();
    for name in names {
        plan(run, &name, Verdict::NoChanges, None);
    }
}

/// Plans a stack of the run's current leg, and starts its apply.
pub fn begin_apply(run: &mut Run, name: &str) {
    plan(run, name, Verdict::Auto, None);
    let name = stack(name);
    run.applying(&name, apply_job(&name), 2, now())
        .expect("a plan that may be applied");
}

/// Plans and applies a stack of the run's current leg. The apply fails and may have changed
/// resources.
pub fn fail_apply(run: &mut Run, name: &str) {
    begin_apply(run, name);
    let name = stack(name);
    run.apply_failed(&name, &apply_job(&name), SideEffects::Possible, now())
        .expect("an apply that goes on");
}

/// Rolls out the `n`th image on the run's current leg until it is healthy.
pub fn roll_out(run: &mut Run, n: u8) {
    let leg: LegKind = run.leg().kind();
    run.rollout_started(leg, rollout(n))
        .and_then(|_| run.rollout_healthy(leg, after(90)))
        .expect("it has not ended");
}

/// Returns a sealed source. The archive itself is in no bucket.
#[must_use]
pub fn source(n: u8) -> Source {
    Source {
        archive: archive(n),
        digests: BTreeMap::new(),
        build_tree: Some(commit(0xa1)),
        author: "Mona Lisa".into(),
        subject: format!("Change number {n}"),
    }
}

fn archive(n: u8) -> ObjectRef {
    let sha256 = sha256(n);
    ObjectRef {
        key: domain::keys::source(RepositoryKey::github(42), &sha256),
        sha256,
    }
}

/// Returns what an environment keeps of `commit(n)` after it is verified, with the outputs of both
/// stacks.
#[must_use]
pub fn last_good(n: u8) -> LastGood {
    let event = push(n);
    let run = push_event(n).run_id();
    let outputs = config()
        .stacks
        .into_iter()
        .zip(n..)
        .map(|(stack, id)| {
            let key = format!("{}{}/outputs.json", objects(&run).jobs(), stack.name);
            let sha256 = sha256(id);
            (stack.name, ObjectRef { key, sha256 })
        })
        .collect::<BTreeMap<_, _>>();
    LastGood {
        run,
        commit: event.after,
        branch: event.branch,
        source: archive(n),
        config: config(),
        artifact: Some(artifact(n)),
        releases: vec![release(n)],
        outputs,
        dependencies: BTreeMap::new(),
        digests: BTreeMap::new(),
        received_at: event.received_at,
        verified_at: event
            .received_at
            .saturating_add(SignedDuration::from_mins(5))
            .expect("a time"),
    }
}

/// Returns a stack that is the same as in *last good*.
#[must_use]
pub fn same_stack(good: &LastGood, name: &str) -> SameStack {
    let stack = stack(name);
    SameStack {
        same_as: good.commit.clone(),
        outputs: good.outputs.get(&stack).expect("its outputs").clone(),
        dependencies: good.dependencies.get(&stack).cloned(),
        stack,
    }
}
