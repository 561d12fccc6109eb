//! Time limits, in seconds, each written once. A limit is longer than those of everything it waits
//! for; `tests/contract` compares them with Terraform's.

use crate::state::{Call, Machine};
use domain::job::{APPLY_SECONDS, PLAN_SECONDS, Verb};
use domain::step::{Action, Step};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many stacks are planned, or applied, at the same time.
pub const STACKS_AT_ONCE: u32 = 10;

/// Between two looks at a rollout.
pub const ROLLOUT_INTERVAL: u32 = 5;

/// A plan job with a second attempt, and its wait in the queue.
pub const PLAN_JOB: u32 = 3_900;

/// An apply job and its wait in the queue.
pub const APPLY_JOB: u32 = 14_400;

/// A build and its wait in the queue.
pub const BUILD: u32 = 6_000;

/// A decision about a plan.
pub const APPROVAL: u32 = 86_400;

/// The environment: longer than the longest delivery before, with a late approval for each stack.
pub const ENVIRONMENT: u32 = 3_628_800;

/// An execution: the wait for the environment and a delivery with its rollback.
pub const EXECUTION: u32 = 7_344_000;

/// One call of a Lambda. It is longer than the Lambda's own time limit.
#[must_use]
pub fn call(action: Action) -> u32 {
    match action.step() {
        Step::Validate => 300,
        Step::Record => 150,
        Step::Webhook
        | Step::Plan
        | Step::Apply
        | Step::BuildTrigger
        | Step::Deploy
        | Step::Rollback => 90,
    }
}

/// A job of the runner.
#[must_use]
pub fn job(verb: Verb) -> u32 {
    match verb {
        Verb::Apply => APPLY_JOB,
        Verb::Plan => PLAN_JOB,
    }
}

/// The shortest time that any state waits for a Lambda, a job or a build: `statemachine/limits.json`,
/// from which Terraform checks that functions, jobs and builds end earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// By the Lambda's name. Waits for a task token are not among them.
    pub functions: BTreeMap<&'static str, u32>,
    /// By the runner's verb.
    pub jobs: BTreeMap<&'static str, u32>,
    /// A build with its wait in the queue.
    pub build: u32,
    /// After this time the runner stops terraform, by its verb.
    pub terraform: BTreeMap<&'static str, u32>,
}

impl Limits {
    /// The limits of a machine.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let (mut functions, mut jobs) = (BTreeMap::new(), BTreeMap::new());
        for (_, task) in machine.tasks() {
            let (limits, name) = match task.call {
                Call::Lambda(action) => (&mut functions, action.step().as_str()),
                Call::Job(verb) => (&mut jobs, verb.as_str()),
                Call::LambdaWithToken(_) | Call::Build => continue,
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

    /// The file's text.
    ///
    /// # Errors
    /// Those of the JSON library.
    pub fn render(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}
