//! Which container runs a job: the first that says so in `started.json`.

use domain::job::Verb;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What `started.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// [`domain::job::JOB_SCHEMA`].
    pub schema: u32,
    /// When.
    pub at: Timestamp,
    /// The process, by its nonce.
    pub by: String,
    /// What AWS Batch calls it; none outside of Batch.
    #[serde(default)]
    pub batch: Option<BatchAttempt>,
}

/// One attempt of a Batch job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAttempt {
    /// The Batch job's id.
    pub job: String,
    /// Counts its attempts, from 1.
    pub attempt: u32,
}

/// What a start may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the first: it runs the job.
    First,
    /// Batch tries a plan again: the attempt before it ended, and a plan changes nothing.
    Again,
    /// Another Batch job has the job record: it waits for that one's result.
    Rival {
        /// The Batch job that began.
        first: String,
    },
    /// Nobody knows what the one before it did: it does nothing.
    Repeated,
}

impl Start {
    /// What this start may do when `standing` came first; none stands for one that cannot be read.
    #[must_use]
    pub fn after(&self, standing: Option<&Self>, verb: Verb) -> Claim {
        let Some(standing) = standing else {
            return Claim::Repeated;
        };
        // An answer that was lost: the nonce tells a process from every other one.
        if standing.by == self.by {
            return Claim::First;
        }
        match (&self.batch, &standing.batch) {
            (Some(own), Some(first)) if own.job != first.job => Claim::Rival {
                first: first.job.clone(),
            },
            (Some(own), Some(first)) if own.attempt > first.attempt && changes_nothing(verb) => {
                Claim::Again
            }
            _ => Claim::Repeated,
        }
    }
}

/// Whether a job may be run again after one that was ended anywhere.
pub(crate) fn changes_nothing(verb: Verb) -> bool {
    matches!(verb, Verb::Plan)
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
        }
    }

    #[test]
    fn only_a_later_attempt_of_the_same_plan_job_runs_again_and_another_job_waits() {
        let rival = || Claim::Rival {
            first: "a".to_owned(),
        };
        let first = start("p", Some(("a", 1)));
        for (own, verb, expected) in [
            (start("p", Some(("a", 1))), Verb::Apply, Claim::First),
            (start("q", Some(("a", 2))), Verb::Plan, Claim::Again),
            (start("q", Some(("a", 2))), Verb::Apply, Claim::Repeated),
            (start("q", Some(("a", 1))), Verb::Plan, Claim::Repeated),
            (start("q", None), Verb::Plan, Claim::Repeated),
            (start("q", Some(("b", 1))), Verb::Plan, rival()),
            (start("q", Some(("b", 2))), Verb::Apply, rival()),
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
