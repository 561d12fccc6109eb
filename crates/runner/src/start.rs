//! Decides which container runs a job: the first that writes `started.json`.

use domain::job::Verb;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The content of `started.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// [`domain::job::JOB_SCHEMA`].
    pub schema: u32,
    /// The time of the start.
    pub at: Timestamp,
    /// The nonce of the process.
    pub by: String,
    /// The attempt of the Batch job; `None` outside Batch.
    #[serde(default)]
    pub batch: Option<BatchAttempt>,
    /// The host name of the container. Terraform writes it into the lock of the state.
    #[serde(default)]
    pub host: String,
}

/// One attempt of a Batch job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAttempt {
    /// The id of the Batch job.
    pub job: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

/// Returns the host name as Terraform finds it; empty if the system has none.
#[must_use]
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// What a start may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The first start: it runs the job.
    First,
    /// A retry of a plan by Batch: the attempt before has ended, and a plan changes nothing.
    Again,
    /// Another Batch job has claimed the job spec: this one waits for its result.
    Duplicate {
        /// The Batch job that started first.
        first: String,
    },
    /// The effect of the start before is unknown: this one does nothing.
    Repeated,
}

impl Start {
    /// Returns what this start may do after the start `standing`; `None` is a start that cannot be
    /// read.
    #[must_use]
    pub fn after(&self, standing: Option<&Self>, verb: Verb) -> Claim {
        let Some(standing) = standing else {
            return Claim::Repeated;
        };
        // The response was lost: the nonce identifies the process.
        if standing.by == self.by {
            return Claim::First;
        }
        match (&self.batch, &standing.batch) {
            (Some(own), Some(first)) if own.job != first.job => Claim::Duplicate {
                first: first.job.clone(),
            },
            (Some(own), Some(first)) if own.attempt > first.attempt && changes_nothing(verb) => {
                Claim::Again
            }
            _ => Claim::Repeated,
        }
    }
}

/// Returns whether a job may be repeated after it was stopped at any point.
pub(crate) fn changes_nothing(verb: Verb) -> bool {
    matches!(verb, Verb::Plan | Verb::Validate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(by: &str, batch: Option<(&str, u32)>) -> Start {
        Start {
            schema: 1,
            at: Timestamp::UNIX_EPOCH,
            by: by.to_owned(),
            batch: batch.map(|(job, attempt)| BatchAttempt {
                job: job.to_owned(),
                attempt,
            }),
            host: "ip-10-0-1-7".to_owned(),
        }
    }

    #[test]
    fn the_holder_of_a_lock_is_found_by_its_start() {
        let bytes = serde_json::to_vec(&start("p", Some(("a", 1)))).unwrap();
        let read: domain::state_lock::JobStart = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read.host, "ip-10-0-1-7");
        assert_eq!(read.at, Timestamp::UNIX_EPOCH);
        assert!(!host_name().is_empty());
    }

    #[test]
    fn only_a_later_attempt_of_the_same_plan_job_runs_again_and_another_job_waits() {
        let duplicate = || Claim::Duplicate {
            first: "a".to_owned(),
        };
        let first = start("p", Some(("a", 1)));
        for (own, verb, expected) in [
            (start("p", Some(("a", 1))), Verb::Apply, Claim::First),
            (start("q", Some(("a", 2))), Verb::Plan, Claim::Again),
            (start("q", Some(("a", 2))), Verb::Apply, Claim::Repeated),
            (start("q", Some(("a", 1))), Verb::Plan, Claim::Repeated),
            (start("q", None), Verb::Plan, Claim::Repeated),
            (start("q", Some(("b", 1))), Verb::Plan, duplicate()),
            (start("q", Some(("b", 2))), Verb::Apply, duplicate()),
        ] {
            assert_eq!(own.after(Some(&first), verb), expected, "{own:?} {verb:?}");
        }
        let own = start("q", Some(("a", 2)));
        assert_eq!(
            own.after(Some(&start("p", None)), Verb::Plan),
            Claim::Repeated
        );
        assert_eq!(own.after(None, Verb::Plan), Claim::Repeated);
    }
}
