//! Time limits in seconds, each defined once. A limit is longer than the limits of everything it
//! waits for. `tests/contract` compares them with those of Terraform.

use crate::state::{Call, Machine};
use domain::job::{APPLY_SECONDS, PLAN_SECONDS, Verb};
use serde::Serialize;
use std::collections::BTreeMap;

/// The maximum number of stacks that are planned, or applied, at the same time.
pub const STACKS_AT_ONCE: u32 = 10;

/// The interval between two checks of a rollout.
pub const ROLLOUT_INTERVAL: u32 = 5;

/// A plan job with a second attempt, including the wait in the job queue.
pub const PLAN_JOB: u32 = 3_900;

/// An apply job, including the wait in the job queue.
pub const APPLY_JOB: u32 = 14_400;

/// A build, including its wait in the queue.
pub const BUILD: u32 = 6_000;

/// The wait for an approval.
pub const APPROVAL: u32 = 86_400;

/// The wait for an environment. It is longer than the longest delivery of another run, with a late
/// approval for each stack.
pub const ENVIRONMENT: u32 = 3_628_800;

/// An execution: the wait for the environment, and a delivery with its rollback.
pub const EXECUTION: u32 = 7_344_000;

/// One call of a Lambda that has 60 s. Where a Lambda has more, `deliver` sets a longer limit.
pub const CALL: u32 = 90;

/// Returns the limit of a job of the runner.
#[must_use]
pub fn job(verb: Verb) -> u32 {
    match verb {
        Verb::Apply => APPLY_JOB,
        Verb::Plan | Verb::Validate => PLAN_JOB,
    }
}

/// The shortest time that any state waits for a Lambda, a job or a build.
/// `statemachine/limits.json` contains the values, and Terraform checks that functions, jobs and
/// builds end earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// By the Lambda's name. Waits for a task token are not included.
    pub functions: BTreeMap<&'static str, u32>,
    /// By the runner's verb.
    pub jobs: BTreeMap<&'static str, u32>,
    /// A build, including its wait in the queue.
    pub build: u32,
    /// The time after which the runner stops Terraform, by the runner's verb.
    pub terraform: BTreeMap<&'static str, u32>,
}

impl Limits {
    /// Returns the limits of a state machine.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let (mut functions, mut jobs) = (BTreeMap::new(), BTreeMap::new());
        for (_, task) in machine.tasks() {
            let (limits, name) = match task.call {
                Call::Lambda(action) => (&mut functions, action.step().as_str()),
                Call::Job(verb) => (&mut jobs, verb.as_str()),
                Call::LambdaWithToken(_) | Call::Build(_) => continue,
            };
            let shortest = limits.entry(name).or_insert(task.timeout_seconds);
            *shortest = task.timeout_seconds.min(*shortest);
        }
        Self {
            functions,
            jobs,
            build: BUILD,
            terraform: BTreeMap::from([
                (Verb::Plan.as_str(), PLAN_SECONDS),
                (Verb::Apply.as_str(), APPLY_SECONDS),
            ]),
        }
    }

    /// Returns the text of the JSON file.
    ///
    /// # Errors
    /// Returns an error of the JSON serializer.
    pub fn render(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}
