//! The measured values, and what is computed from them.

use super::delivery::Delivery;
use super::lambdas::Lambda;
use super::raw::{Raw, Step};
use super::statistics::{median, minimum};
use serde::Serialize;

/// The goal for the median ratio.
pub(super) const GOAL: f64 = 0.75;
/// States that contain others. Their time is that of the states in them.
const CONTAINERS: [&str; 4] = [
    "BuildBesidePlans",
    "PlanFirstStacks",
    "ApplyStacks",
    "PlanStacks",
];

/// A name and a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Timed {
    /// What took the time.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
}

/// The same change on both sides.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Pair {
    /// Sluicegate: from the webhook to the end of the run, in seconds.
    pub sluicegate: f64,
    /// Terraform alone: the sum of its commands, in seconds.
    pub raw: f64,
    /// The state transitions of Sluicegate's execution.
    pub transitions: usize,
    /// Where Sluicegate's time went: the start, and each state that contains no other.
    pub states: Vec<Timed>,
    /// The steps of Sluicegate's jobs.
    pub phases: Vec<Timed>,
    /// The commands of Terraform alone.
    pub commands: Vec<Timed>,
}

/// A commit that changes the application only.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CodeOnly {
    /// From the webhook to the end of the run, in seconds.
    pub seconds: f64,
    /// The number of Terraform jobs that were started.
    pub jobs: usize,
    /// The state transitions of the execution.
    pub transitions: usize,
    /// Where the time went.
    pub states: Vec<Timed>,
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Results {
    /// When, and on which machine: a name and a value for each row.
    pub machine: Vec<(String, String)>,
    /// The pairs in order.
    pub pairs: Vec<Pair>,
    /// The commit that changes the application only.
    pub code_only: CodeOnly,
    /// The Lambdas.
    pub lambdas: Vec<Lambda>,
}

impl Pair {
    /// Combines the measurements of both sides.
    #[must_use]
    pub(super) fn new(delivery: &Delivery, raw: &Raw) -> Self {
        let commands = raw.steps.iter().map(|step: &Step| Timed {
            name: format!("{} {}", step.command, step.stack),
            seconds: step.seconds,
        });
        let phases = delivery.jobs.iter().flat_map(|job| {
            job.phases.iter().map(|(phase, seconds)| Timed {
                name: format!("{}: {phase}", job.name),
                seconds: *seconds,
            })
        });
        Self {
            sluicegate: delivery.seconds,
            raw: raw.seconds(),
            transitions: delivery.transitions,
            states: states(delivery),
            phases: phases.collect(),
            commands: commands.collect(),
        }
    }

    /// Returns Sluicegate's time divided by that of Terraform alone.
    #[must_use]
    pub(super) fn ratio(&self) -> f64 {
        self.sluicegate / self.raw
    }
}

impl CodeOnly {
    /// Summarizes the delivery of such a commit.
    #[must_use]
    pub(super) fn new(delivery: &Delivery) -> Self {
        Self {
            seconds: delivery.seconds,
            jobs: delivery.jobs.len(),
            transitions: delivery.transitions,
            states: states(delivery),
        }
    }
}

fn states(delivery: &Delivery) -> Vec<Timed> {
    let start = Timed {
        name: "webhook to start".to_owned(),
        seconds: delivery.start_seconds,
    };
    let visits = delivery.visits.iter();
    let visits = visits.filter(|visit| !CONTAINERS.contains(&visit.state.as_str()));
    let visits = visits.map(|visit| Timed {
        name: if visit.number == 1 {
            visit.state.clone()
        } else {
            format!("{} ({})", visit.state, visit.number)
        },
        seconds: visit.seconds,
    });
    std::iter::once(start).chain(visits).collect()
}

impl Results {
    /// Returns the median and the minimum of a value of the pairs.
    #[must_use]
    pub(super) fn summary(&self, value: impl Fn(&Pair) -> f64) -> (f64, f64) {
        let values: Vec<f64> = self.pairs.iter().map(value).collect();
        let of = |value: Option<f64>| value.unwrap_or(f64::NAN);
        (of(median(&values)), of(minimum(&values)))
    }

    /// Returns the median of each named time over the pairs that have it, in the order of the first pair,
    /// then of the others.
    #[must_use]
    pub(super) fn medians(&self, times: impl Fn(&Pair) -> &[Timed]) -> Vec<Timed> {
        let mut named: Vec<(&str, Vec<f64>)> = Vec::new();
        for one in self.pairs.iter().flat_map(&times) {
            match named.iter_mut().find(|(name, _)| *name == one.name) {
                Some((_, seconds)) => seconds.push(one.seconds),
                None => named.push((&one.name, vec![one.seconds])),
            }
        }
        let medians = named.into_iter().filter_map(|(name, seconds)| {
            Some(Timed {
                name: name.to_owned(),
                seconds: median(&seconds)?,
            })
        });
        medians.collect()
    }

    /// Returns the verdict: the median ratio, the ratio of the minima, and whether the goal is reached.
    #[must_use]
    pub(super) fn verdict(&self) -> String {
        let (ratio, _) = self.summary(Pair::ratio);
        let (_, ours) = self.summary(|pair| pair.sluicegate);
        let (_, raw) = self.summary(|pair| pair.raw);
        let reached = if ratio <= GOAL {
            "reached"
        } else {
            "not reached"
        };
        format!(
            "Sluicegate takes {ratio:.2} of the time of Terraform alone (median of {} pairs; {:.2} by the minima); the goal of {GOAL} is {reached}",
            self.pairs.len(),
            ours / raw
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn sample() -> Results {
        let timed = |name: &str, seconds| Timed {
            name: name.to_owned(),
            seconds,
        };
        let pair = |sluicegate: f64, raw: f64| Pair {
            sluicegate,
            raw,
            transitions: 31,
            states: vec![
                timed("webhook to start", 0.2),
                timed("RunFirstPlan", sluicegate / 2.0),
                timed("IsClaimed", 0.001),
            ],
            phases: vec![timed("plan data: init", sluicegate / 4.0)],
            commands: vec![timed("init data", raw / 2.0), timed("plan data", raw / 2.0)],
        };
        Results {
            machine: vec![("cores".to_owned(), "2".to_owned())],
            pairs: vec![pair(14.0, 20.0), pair(18.0, 20.0), pair(15.0, 21.0)],
            code_only: CodeOnly {
                seconds: 4.25,
                jobs: 0,
                transitions: 17,
                states: vec![timed("Validate", 0.4)],
            },
            lambdas: vec![
                Lambda {
                    name: "apply".to_owned(),
                    zips: [("arm64".to_owned(), 2_345_678)].into(),
                    local_peak: Some(20_000_000),
                    aws_peak: Some(8_400_000),
                },
                Lambda {
                    name: "webhook".to_owned(),
                    ..Lambda::default()
                },
            ],
        }
    }

    #[test]
    fn a_time_that_the_first_pair_lacks_is_kept() {
        let mut results = sample();
        for (pair, seconds) in results.pairs.iter_mut().skip(1).zip([2.0, 4.0]) {
            let name = "RunFirstPlan (2)".to_owned();
            pair.states.push(Timed { name, seconds });
        }
        let medians = results.medians(|pair| &pair.states);
        let last = medians.last().map(|one| (one.name.as_str(), one.seconds));
        assert_eq!((medians.len(), last), (4, Some(("RunFirstPlan (2)", 3.0))));
    }

    #[test]
    fn the_verdict_is_about_the_median() {
        let mut results = sample();
        insta::assert_snapshot!(
            results.verdict(),
            @"Sluicegate takes 0.71 of the time of Terraform alone (median of 3 pairs; 0.70 by the minima); the goal of 0.75 is reached"
        );
        results.pairs.truncate(2);
        insta::assert_snapshot!(
            results.verdict(),
            @"Sluicegate takes 0.80 of the time of Terraform alone (median of 2 pairs; 0.70 by the minima); the goal of 0.75 is not reached"
        );
    }
}
