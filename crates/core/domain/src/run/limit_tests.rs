//! The largest possible run fits into one DynamoDB item.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::tests::{decide, good, now, source};
use super::*;
use crate::config::{MAX_STACKS, RECORDED_LIMIT, Stack, WhenChanged};
use crate::environment::LastGood;
use crate::error::ErrorName;
use crate::event::{EVENT_SCHEMA, EventRepository, PushEvent};
use crate::ids::{BranchRef, DeliveryId, JobId, RepositoryKey, RepositoryName, Sha256Digest};
use crate::keys::{JobFile, RunObjects};
use crate::plan::{
    Action, ApprovalRule, Counts, PlanMade, Reason, Reasons, ResourceChange, Resources, SealedPlan,
    StateVersion, Unrecorded,
};
use crate::warning::{Warning, WarningKind, Warnings};

/// Below DynamoDB's limit of 400 KB, to leave room for the attributes beside the document.
const ITEM: usize = 400_000;

/// The longest name of a stack.
fn name(n: usize) -> StackName {
    StackName::parse(&format!("s{n:02}{}", "n".repeat(37))).unwrap()
}

/// The longest id of a run.
fn run_id() -> RunId {
    RunId::derive(&repository(), &commit(), "identity")
}

fn repository() -> RepositoryName {
    RepositoryName::parse(&format!("{}/{}", "o".repeat(154), "1".repeat(100))).unwrap()
}

fn commit() -> CommitId {
    CommitId::parse(&"a".repeat(64)).unwrap()
}

/// The longest id of a job.
fn job(n: usize) -> JobId {
    JobId::seal("apply", &name(n), 99, b"spec")
}

fn objects() -> RunObjects {
    let environment = EnvironmentName::parse(&"e".repeat(24)).unwrap();
    RunObjects::new(RepositoryKey::github((1 << 53) - 1), environment, run_id())
}

/// The longest object of a job.
fn object(n: usize, file: JobFile) -> ObjectRef {
    ObjectRef {
        key: objects().job(&job(n), file),
        sha256: Sha256Digest::of(b"object"),
    }
}

/// The largest stacks that a configuration can have. Each was renamed, and the directories take what is left
/// of [`RECORDED_LIMIT`].
fn stacks() -> Vec<Stack> {
    let of = |dir: usize| {
        let stack = |n| Stack {
            name: name(n),
            dir: "d".repeat(dir),
            renamed_from: Some(name(n + MAX_STACKS)),
            needs: vec![name(0)],
            when_changed: WhenChanged::default(),
        };
        (0..MAX_STACKS).map(stack).collect::<Vec<_>>()
    };
    let rest = serde_json::to_vec(&super::tests::config(of(0)))
        .unwrap()
        .len();
    of((RECORDED_LIMIT - rest) / MAX_STACKS)
}

fn run_of(stacks: Vec<Stack>) -> Run {
    let trigger = Trigger::Push(PushEvent {
        schema: EVENT_SCHEMA,
        delivery: DeliveryId::parse("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap(),
        repository: EventRepository {
            key: RepositoryKey::github((1 << 53) - 1),
            full_name: repository(),
        },
        branch: BranchRef::parse(&format!("refs/heads/{}", "b".repeat(244))).unwrap(),
        after: commit(),
        before: Some(commit()),
        pushed_at: Some(now()),
        pusher: "p".repeat(100),
        received_at: now(),
    });
    let digest: StackDigest =
        serde_json::from_value(serde_json::to_value(Sha256Digest::of(b"")).unwrap()).unwrap();
    let source = Source {
        digests: stacks
            .iter()
            .map(|one| (one.name.clone(), digest.clone()))
            .collect(),
        build_tree: Some(commit()),
        author: "a".repeat(100),
        subject: "s".repeat(200),
        ..source()
    };
    let mut run = Run::claim(trigger, "e".repeat(300), now());
    run.accept(source, super::tests::config(stacks), now())
        .unwrap();
    run
}

fn last_good(stacks: Vec<Stack>, run: &Run) -> LastGood {
    let names: Vec<StackName> = stacks.iter().map(|one| one.name.clone()).collect();
    let objects = |file| {
        let named = names.iter().enumerate();
        named
            .map(|(n, name)| (name.clone(), object(n, file)))
            .collect()
    };
    LastGood {
        outputs: objects(JobFile::Outputs),
        dependencies: objects(JobFile::Dependencies),
        digests: run.digests(),
        ..good(stacks)
    }
}

/// Applies a stack with as much to record as possible.
fn apply(n: usize, stack: &mut StackRun, reasons: &Reasons, warnings: &Warnings) {
    let most = Counts {
        create: usize::MAX,
        update: usize::MAX,
        delete: usize::MAX,
        replace: usize::MAX,
        forget: usize::MAX,
        import: usize::MAX,
        moved: usize::MAX,
    };
    stack.plan = Some(PlanMade {
        sha256: Sha256Digest::of(b"plan"),
        counts: most,
        reasons: reasons.clone(),
    });
    stack.warnings = warnings.clone();
    stack.outputs = Some(object(n, JobFile::Outputs));
    stack.dependencies = Some(object(n, JobFile::Dependencies));
    stack.applied = Some(SealedPlan {
        file: object(n, JobFile::Plan),
        json: object(n, JobFile::PlanJson),
        state: StateVersion {
            lineage: "72d3162e-cc78-11e3-81ab-4c9367dc0958".into(),
            serial: u64::MAX,
            resources: Resources::Some,
        },
        dependencies: stack.dependencies.clone(),
    });
    stack.validated = Some(u32::MAX);
    stack.state = StackState::Applied { job: job(n) };
}

#[test]
fn the_record_of_the_largest_run_fits_with_both_legs() {
    // JSON writes this character as six bytes.
    let long = |length: usize| "\u{1}".repeat(length);
    let change = |n: usize| ResourceChange {
        address: format!("module.a.aws_sqs_queue.this[\"{n}{}\"]", long(500)),
        resource_type: "aws_cognito_user_pool_client".into(),
        origin: None,
        action: Action::Create,
    };
    let reason = |n: usize| Reason::Stateful {
        address: change(n).address,
        action: Action::Replace,
    };
    let reasons = (0..1000).map(reason).chain([
        Reason::DestroysStack,
        Reason::ManyDeletions {
            deletions: usize::MAX,
            limit: u32::MAX,
        },
        Reason::LargePart {
            deletions: usize::MAX,
            resources: usize::MAX,
            percent: 100,
        },
        Reason::Rule {
            rule: ApprovalRule::OnDestroy,
        },
    ]);
    let reasons = Reasons::new(reasons.collect());
    let warning = |n: usize| Warning::new(WarningKind::Check, &format!("{n}{}", "w".repeat(500)));
    let warnings = Warnings::new((0..1000).map(warning));
    let unrecorded = Unrecorded::of(&(0..1000).map(change).collect::<Vec<_>>());

    let mut run = run_of(stacks());
    let good = last_good(stacks(), &run);
    for (n, stack) in run.forward.stacks.iter_mut().enumerate() {
        apply(n, stack, &reasons, &warnings);
    }
    decide(&mut run, ErrorName::ApplyFailed, Some(&good));
    for stack in &mut run.forward.stacks {
        stack.changes_known(Counts::default(), &unrecorded);
    }
    // A rollback needs no approval.
    let none = Reasons::default();
    for (n, stack) in run.leg_mut().stacks.iter_mut().enumerate() {
        apply(n, stack, &none, &warnings);
    }
    let error = StepError::new(ErrorName::ApplyFailed, long(1_000_000));
    run.failure.as_mut().unwrap().error = error.clone();
    run.end_rollback(RollbackOutcome::RollbackFailed, Some(error), now());
    let size = serde_json::to_string(&run).unwrap().len();
    assert!(size < ITEM, "the record has {size} bytes");
}
