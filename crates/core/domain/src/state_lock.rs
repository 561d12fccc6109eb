//! The lock that Terraform writes beside a state, and whether its holder has ended.
//!
//! A killed apply leaves its lock behind. It may be removed only on proof that its holder was a job
//! of a run that ended, and that no such job can still write the state.

use crate::ids::{JobId, RunId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How much later than the lock a job's start may be recorded by another clock.
const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// The operation of the lock of `sluicegate state restore`. Terraform's begin with `OperationType`.
const RESTORE: &str = "sluicegate state restore";

/// The lock of a state, as Terraform's S3 backend writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StateLock {
    /// The lock's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The holder. Terraform writes `user@host`.
    pub who: String,
    /// The command that holds the lock, such as `OperationTypeApply`.
    #[serde(default)]
    pub operation: String,
    /// When the lock was acquired.
    pub created: Timestamp,
}

impl StateLock {
    /// Parses the lock file.
    ///
    /// # Errors
    /// Fails when the bytes are not a lock of Terraform.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// Returns the host of the holder.
    #[must_use]
    pub fn host(&self) -> &str {
        self.who.rsplit_once('@').map_or("", |(_, host)| host)
    }

    /// Returns the lock that `sluicegate state restore` holds while it works.
    #[must_use]
    pub fn of_restore(by: &str, now: Timestamp) -> Self {
        Self {
            id: format!("restore-{}", now.as_millisecond()),
            who: by.to_owned(),
            operation: RESTORE.to_owned(),
            created: now,
        }
    }

    /// Returns whether the holder is a `sluicegate state restore`.
    #[must_use]
    pub fn is_of_restore(&self) -> bool {
        self.operation == RESTORE
    }

    /// Returns whether a job of a run that was open then may hold the lock. `ended` is none if the run has not ended.
    #[must_use]
    pub fn fits_run(&self, started: Timestamp, ended: Option<Timestamp>) -> bool {
        let later = |time: Timestamp| time.saturating_add(SLACK).unwrap_or(time);
        started <= later(self.created) && ended.is_none_or(|ended| self.created <= later(ended))
    }

    /// Returns whether a job that started then and there may hold the lock.
    #[must_use]
    pub fn fits(&self, start: &JobStart) -> bool {
        let limit = self.created.saturating_add(SLACK).unwrap_or(self.created);
        !self.host().is_empty() && start.host == self.host() && start.at <= limit
    }
}

/// Where and when a job started: the part of `started.json` that identifies the holder of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobStart {
    /// When the job started.
    pub at: Timestamp,
    /// The host name of its container.
    #[serde(default)]
    pub host: String,
}

/// Whether a run or a job can still change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It can.
    Open,
    /// It has ended.
    Ended,
}

/// A job that may hold a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The job's run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// When the job started.
    pub started_at: Timestamp,
    /// Whether the run has ended.
    pub run_progress: Progress,
    /// Whether every Batch job of this name has ended.
    pub job_progress: Progress,
}

/// Why a lock is not removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum LockHeld {
    #[error("its holder {who} is not a job of a known run")]
    NotAJob { who: String },
    #[error("`sluicegate state restore` of {who} may still work")]
    Restore { who: String },
    #[error("run {run}, whose job {job} may hold it, has not ended")]
    RunOpen { run: RunId, job: JobId },
    #[error("job {job} of run {run}, which may hold it, has not ended in AWS Batch")]
    JobOpen { run: RunId, job: JobId },
}

/// Returns the ended holder of a lock: the newest job that may hold it. Two jobs can have had the
/// same host name one after the other, so all of them must have ended.
///
/// # Errors
/// Fails with the reason when a holder may still work, or none is known.
pub fn ended_holder<'a>(
    lock: &StateLock,
    candidates: &'a [Candidate],
) -> Result<&'a Candidate, LockHeld> {
    for candidate in candidates {
        let (run, job) = (candidate.run.clone(), candidate.job.clone());
        match (candidate.run_progress, candidate.job_progress) {
            (Progress::Open, _) => return Err(LockHeld::RunOpen { run, job }),
            (Progress::Ended, Progress::Open) => return Err(LockHeld::JobOpen { run, job }),
            (Progress::Ended, Progress::Ended) => {}
        }
    }
    let newest = candidates
        .iter()
        .max_by_key(|candidate| candidate.started_at);
    newest.ok_or_else(|| LockHeld::NotAJob {
        who: lock.who.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    const LOCK: &str = r#"{"ID":"32938cb2","Operation":"OperationTypeApply","Info":"",
        "Who":"runner@ip-10-0-1-7","Version":"1.11.4","Created":"2026-11-21T09:41:42.96117085Z",
        "Path":"state/github-42/production/data.tfstate"}"#;

    fn candidate(run: &str, run_progress: Progress, job_progress: Progress) -> Candidate {
        let number: i64 = run.trim_start_matches("run-").parse().unwrap();
        let stack = crate::ids::StackName::parse("data").unwrap();
        Candidate {
            run: RunId::parse(run).unwrap(),
            job: JobId::seal("apply", &stack, 1, run.as_bytes()),
            started_at: Timestamp::from_second(number).unwrap(),
            run_progress,
            job_progress,
        }
    }

    #[test]
    fn a_job_fits_a_lock_by_its_host_and_time() {
        let lock = StateLock::parse(LOCK.as_bytes()).unwrap();
        let start = |host: &str, at: &str| JobStart {
            at: at.parse().unwrap(),
            host: host.into(),
        };
        assert!(lock.fits(&start("ip-10-0-1-7", "2026-11-21T09:41:00Z")));
        assert!(lock.fits(&start("ip-10-0-1-7", "2026-11-21T09:44:00Z")));
        assert!(!lock.fits(&start("ip-10-0-1-7", "2026-11-21T09:50:00Z")));
        assert!(!lock.fits(&start("ip-10-0-1-8", "2026-11-21T09:41:00Z")));
        assert!(!lock.fits(&start("", "2026-11-21T09:41:00Z")));
        assert!(StateLock::parse(b"{}").is_err());
    }

    #[test]
    fn a_run_fits_a_lock_if_it_was_open_when_the_lock_was_acquired() {
        let lock = StateLock::parse(LOCK.as_bytes()).unwrap();
        let at = |time: &str| -> Timestamp { format!("2026-11-21T{time}Z").parse().unwrap() };
        assert!(lock.fits_run(at("08:00:00"), None));
        assert!(lock.fits_run(at("08:00:00"), Some(at("09:50:00"))));
        assert!(!lock.fits_run(at("08:00:00"), Some(at("09:30:00"))));
        assert!(!lock.fits_run(at("09:50:00"), None));
        // The clocks of two machines differ.
        assert!(lock.fits_run(at("09:43:00"), Some(at("09:44:00"))));
        assert!(lock.fits_run(at("09:30:00"), Some(at("09:40:00"))));
    }

    #[test]
    fn a_lock_of_a_restore_is_not_one_of_terraform() {
        let now = Timestamp::from_second(1).unwrap();
        assert!(StateLock::of_restore("mona", now).is_of_restore());
        assert!(!StateLock::parse(LOCK.as_bytes()).unwrap().is_of_restore());
    }

    #[test]
    fn a_lock_is_removed_only_when_every_job_that_may_hold_it_has_ended() {
        use Progress::{Ended, Open};
        let lock = StateLock::parse(LOCK.as_bytes()).unwrap();
        let text = |candidates: &[Candidate]| match ended_holder(&lock, candidates) {
            Ok(holder) => format!("held by ended {}", holder.run),
            Err(held) => held.to_string(),
        };
        let ended = |run| candidate(run, Ended, Ended);
        assert_eq!(
            text(&[ended("run-1"), ended("run-2")]),
            "held by ended run-2"
        );
        assert!(
            text(&[ended("run-1"), candidate("run-2", Open, Ended)]).contains("run-2, whose job")
        );
        assert!(text(&[candidate("run-1", Ended, Open), ended("run-2")]).contains("AWS Batch"));
        assert!(text(&[]).contains("runner@ip-10-0-1-7 is not a job"));
    }
}
