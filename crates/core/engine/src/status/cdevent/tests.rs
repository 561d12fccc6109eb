#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::status::{MESSAGE_LIMIT, ParseError, TransitionKind, parse};
use domain::error::{ErrorName, StepError};
use domain::event::{EVENT_SCHEMA, EventRepository, PushEvent, Trigger};
use domain::ids::JobId;
use domain::ids::{
    BranchRef, CommitId, DeliveryId, ImageDigest, RepositoryKey, RepositoryName, StackName,
};
use domain::plan::{PlanSummary, SealedPlan, StateVersion, Verdict};
use domain::run::{ArtifactOrigin, JudgedPlan, RollbackOutcome, Source};
use domain::warning::Warnings;

fn at() -> Timestamp {
    "2026-05-04T03:02:01.5Z".parse().unwrap()
}

fn claimed() -> Run {
    let trigger = Trigger::Push(PushEvent {
        schema: EVENT_SCHEMA,
        delivery: DeliveryId::parse("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap(),
        repository: EventRepository {
            key: RepositoryKey::github(7),
            full_name: RepositoryName::parse("acme/Shop").unwrap(),
        },
        branch: BranchRef::parse("refs/heads/main").unwrap(),
        before: None,
        after: CommitId::parse(&"1a".repeat(20)).unwrap(),
        pushed_at: None,
        pusher: "octocat".into(),
        received_at: at(),
    });
    let execution = "arn:aws:states:eu-west-1:123456789012:execution:deliver:72d3162e";
    Run::claim(trigger, execution.into(), at())
}

fn sealed() -> Run {
    let config = "version: 1\nenvironment: production\nstacks:\n  - name: data\n    dir: infra\n";
    let config = domain::config::parse(config.as_bytes()).unwrap();
    let sha256 = domain::ids::Sha256Digest::of(b"");
    let source = Source {
        archive: domain::plan::ObjectRef {
            key: domain::keys::source(domain::ids::RepositoryKey::github(42), &sha256),
            sha256,
        },
        digests: std::collections::BTreeMap::new(),
        build_tree: None,
        author: "Ada".into(),
        subject: "first".into(),
    };
    let mut run = claimed();
    run.accept(source, config, at()).unwrap();
    let digest = ImageDigest::parse(&format!("sha256:{}", "ab".repeat(32))).unwrap();
    let artifact = Artifact::Image { digest };
    run.artifact_ready(artifact, ArtifactOrigin::Built, at())
        .unwrap();
    run
}

fn stack() -> StackName {
    StackName::parse("data").unwrap()
}

/// Every transition, on a run in a matching state.
fn all() -> Vec<(Run, Transition)> {
    let error = |name, message: &str| StepError::new(name, message);
    let later = |seconds| at() + jiff::SignedDuration::from_secs(seconds);
    let mut failed = sealed();
    let job = JobId::seal("plan", &stack(), 1, b"{}");
    failed.planning(&stack(), job.clone(), 1, at()).unwrap();
    let plan = SealedPlan {
        file: failed.forward().source().unwrap().clone(),
        json: failed.forward().source().unwrap().clone(),
        state: StateVersion {
            lineage: String::new(),
            serial: 0,
            resources: domain::plan::Resources::None,
        },
        dependencies: None,
    };
    let summary = PlanSummary::default();
    let plan = JudgedPlan {
        sealed: plan,
        summary: &summary,
        judgement: Verdict::Auto.into(),
        warnings: Warnings::default(),
        outputs: None,
    };
    failed.planned(&stack(), &job, plan, at()).unwrap();
    failed.applying(&stack(), job, 2, at()).unwrap();
    let mut good = failed.to_last_good(at()).unwrap();
    good.run = RunId::parse("shop-2a2a2a2a-abc123").unwrap();
    let denied = error(ErrorName::ApplyFailed, "stack data: AccessDenied");
    failed
        .handle_error(later(1), denied, Some(&good), at())
        .unwrap();
    let mut refused = failed.clone();
    let lost = error(
        ErrorName::PlanRefused,
        "aws_db_instance.main would be destroyed",
    );
    refused.handle_error(later(2), lost, None, at()).unwrap();
    assert_eq!(
        refused.rollback_outcome(),
        Some(RollbackOutcome::RollbackRefused)
    );
    vec![
        (claimed(), Transition::Claimed),
        (sealed(), Transition::Sealed),
        (sealed(), Transition::BuildStarted),
        (sealed(), Transition::ImageReady),
        (failed.clone(), Transition::BuildFailed),
        (
            sealed(),
            Transition::LockWaiting(RunId::parse("shop-2a2a2a2a-abc123").unwrap()),
        ),
        (sealed(), Transition::LockHeld),
        (sealed(), Transition::Superseded),
        (
            sealed(),
            Transition::StackSkipped(stack(), sealed().trigger().commit().clone()),
        ),
        (sealed(), Transition::ValidationStarted(stack(), 1)),
        (sealed(), Transition::ValidationFinished(stack(), 1)),
        (
            sealed(),
            Transition::ValidationFailed(stack(), 1, gone(ErrorName::PlanFailed)),
        ),
        (
            sealed(),
            Transition::PlanStarted(LegKind::Forward, stack(), 1),
        ),
        (
            sealed(),
            Transition::PlanFinished(LegKind::Forward, stack(), 1, Verdict::NeedsApproval),
        ),
        (
            sealed(),
            Transition::PlanFailed(LegKind::Forward, stack(), 1, gone(ErrorName::PlanFailed)),
        ),
        (sealed(), Transition::ApprovalRequested(stack(), 1)),
        (sealed(), Transition::ApprovalGranted(stack(), 1)),
        (
            sealed(),
            Transition::ApprovalDenied(stack(), 1, gone(ErrorName::ApprovalRejected)),
        ),
        (
            sealed(),
            Transition::ApplyStarted(LegKind::Forward, stack(), 1),
        ),
        (
            sealed(),
            Transition::ApplyFinished(LegKind::Forward, stack(), 1),
        ),
        (
            sealed(),
            Transition::ApplyFailed(LegKind::Forward, stack(), 1, gone(ErrorName::ApplyFailed)),
        ),
        (sealed(), Transition::DeployStarted(LegKind::Forward)),
        (sealed(), Transition::DeployHealthy(LegKind::Forward)),
        (
            sealed(),
            Transition::DeployFailed(LegKind::Forward, gone(ErrorName::Unhealthy)),
        ),
        (sealed(), Transition::Promoted),
        (failed.clone(), Transition::RollbackStarted),
        (
            failed.clone(),
            Transition::PlanStarted(LegKind::Rollback, stack(), 1),
        ),
        (failed.clone(), Transition::DeployStarted(LegKind::Rollback)),
        (failed.clone(), Transition::DeployHealthy(LegKind::Rollback)),
        (failed, Transition::RolledBack),
        (refused, Transition::Finished(Outcome::NeedsOperator)),
    ]
}

fn gone(name: ErrorName) -> StepError {
    StepError::new(name, "it is gone")
}

#[test]
fn a_task_that_failed_says_why_before_the_run_does() {
    let transition =
        Transition::ApplyFailed(LegKind::Forward, stack(), 1, gone(ErrorName::ApplyFailed));
    let data = StatusData::new(&sealed(), &transition);
    assert_eq!(data.error.unwrap().name, ErrorName::ApplyFailed);
}

#[test]
fn every_transition_has_its_event() {
    let lines: Vec<String> = all()
        .iter()
        .map(|(run, transition)| {
            let body = message(run, transition, at()).unwrap().body;
            let received = parse(&body).unwrap();
            let word = received.data.transition.as_str();
            format!("{word:18} {:58} {}", received.kind, received.subject)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_claimed_run_is_queued() {
    let message = message(&claimed(), &Transition::Claimed, at()).unwrap();
    let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
    insta::assert_json_snapshot!(body);
}

#[test]
fn a_finished_run_says_what_went_wrong_and_what_to_do() {
    let (run, transition) = all().pop().unwrap();
    let message = message(&run, &transition, at()).unwrap();
    let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
    insta::assert_json_snapshot!(body);
}

#[test]
fn what_is_written_can_be_read() {
    for (run, transition) in all() {
        let message = message(&run, &transition, at()).unwrap();
        let received = parse(&message.body).unwrap();
        assert_eq!(received.id, message.id);
        assert_eq!(received.at, at());
        assert_eq!(received.data, StatusData::new(&run, &transition));
        assert_eq!(message.group, run.id().as_str());
    }
}

#[test]
fn ids_are_stable_and_unique() {
    let once: Vec<String> = all()
        .iter()
        .map(|(run, transition)| message(run, transition, at()).unwrap().id)
        .collect();
    let later = at() + jiff::SignedDuration::from_secs(60);
    let again: Vec<String> = all()
        .iter()
        .map(|(run, transition)| message(run, transition, later).unwrap().id)
        .collect();
    assert_eq!(once, again);
    let mut unique = once.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), once.len());
}

#[test]
fn words_are_written_as_serde_writes_them() {
    for (_, transition) in all() {
        let word = transition.kind();
        assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        assert_eq!(
            serde_json::from_str::<TransitionKind>(&format!("{:?}", word.as_str())).unwrap(),
            word
        );
    }
}

#[test]
fn an_error_message_is_cut_and_plain() {
    let mut run = sealed();
    let error = StepError::new(ErrorName::PlanFailed, "\u{1b}[31mno\n".repeat(2000));
    run.handle_error(at(), error, None, at()).unwrap();
    let message = message(&run, &Transition::Finished(Outcome::Failed), at()).unwrap();
    let error = parse(&message.body).unwrap().data.error.unwrap();
    assert!(error.message.len() <= MESSAGE_LIMIT);
    assert!(!error.message.contains('\u{1b}'));
}

#[test]
fn foreign_texts_are_refused_by_name() {
    assert!(matches!(parse("{"), Err(ParseError::CloudEvent(_))));
    let plain = r#"{"specversion":"1.0","id":"1","type":"x","source":"/x","data":{"a":1}}"#;
    assert!(matches!(parse(plain), Err(ParseError::CdEvent { .. })));
    let body = message(&claimed(), &Transition::Claimed, at())
        .unwrap()
        .body;
    let mut event: serde_json::Value = serde_json::from_str(&body).unwrap();
    event["data"]["customData"]["transition"] = "exploded".into();
    assert!(matches!(
        parse(&event.to_string()),
        Err(ParseError::Data { .. })
    ));
    event["data"]["customData"]["transition"] = "claimed".into();
    event["data"]["customData"]["later"] = "addition".into();
    assert!(parse(&event.to_string()).is_ok());
}
