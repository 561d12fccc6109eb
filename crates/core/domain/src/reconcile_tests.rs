#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
use crate::error::StepError;
use crate::event::{EVENT_SCHEMA, EventRepository, MissedPush, Trigger};
use crate::ids::{BranchRef, CommitId, RepositoryKey, RepositoryName, StackName};

fn at(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH
        .saturating_add(SignedDuration::from_mins(minutes))
        .unwrap()
}

fn run() -> Run {
    let trigger = Trigger::Reconciliation(MissedPush {
        schema: EVENT_SCHEMA,
        repository: EventRepository {
            key: RepositoryKey::github(42),
            full_name: RepositoryName::parse("acme/shop").unwrap(),
        },
        branch: BranchRef::parse("refs/heads/main").unwrap(),
        before: CommitId::parse(&"1".repeat(40)).unwrap(),
        after: CommitId::parse(&"2".repeat(40)).unwrap(),
        found_at: at(0),
    });
    Run::claim(trigger, "one".into(), at(0))
}

fn job() -> JobId {
    JobId::seal("apply", &StackName::parse("data").unwrap(), 1, b"")
}

#[test]
fn only_evidence_that_it_has_stopped_ends_a_run() {
    let run = run();
    let (soon, late) = (at(14), at(15));
    let states = [
        Some(ExecutionState::Running),
        Some(ExecutionState::Succeeded),
        Some(ExecutionState::Failed),
        Some(ExecutionState::TimedOut),
        Some(ExecutionState::Aborted),
        None,
    ];
    let mut lines = Vec::new();
    for state in states {
        for (when, now, open) in [
            ("soon", soon, vec![]),
            ("late", late, vec![]),
            ("late, with a job", late, vec![job()]),
        ] {
            let condition = match examine(&run, state, &open, now) {
                Condition::Ended => "ended".to_owned(),
                Condition::Active(sign) => format!("active: {sign}"),
                Condition::Stopped(cause) => format!("stopped: {}", StepError::from(cause)),
            };
            lines.push(format!("{state:?} {when}: {condition}"));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn an_ended_run_is_neither_active_nor_stopped() {
    let mut run = run();
    run.close(None, 1, at(1)).unwrap();
    let condition = examine(&run, Some(ExecutionState::Running), &[], at(2));
    assert_eq!(condition, Condition::Ended);
}
