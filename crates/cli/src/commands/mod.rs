//! The commands, one file each.

pub mod answer;
pub mod audit;
pub mod config;
pub mod logs;
pub mod runs;
pub mod show;
pub mod state;
pub mod unfreeze;
pub mod unlock;
pub mod watch;

use crate::args::OfEnvironment;
use crate::failure::{Failure, Kind, LIST_RUNS, Outcome};
use domain::environment::Environment;
use domain::ids::{EnvironmentName, IdError, RunId};
use domain::run::{Leg, Run, StackRun};
use engine::Table;
use engine::documents::{environment_key, load, load_run};
use std::collections::BTreeSet;

/// Reads the run that a command names.
///
/// # Errors
/// Fails if `id` is not a run id, or the run does not exist.
pub async fn run(table: &dyn Table, id: &str) -> Outcome<Run> {
    let id = id_of(id, RunId::parse, LIST_RUNS)?;
    Ok(load_run(table, &id).await?)
}

/// Reads the environment that a command names.
///
/// # Errors
/// Fails if the name is not one of an environment, or the environment does not exist.
pub async fn environment(table: &dyn Table, of: &OfEnvironment) -> Outcome<Environment> {
    let next = "`sluicegate runs` lists the runs; `sluicegate show` with the id of one names the repository's key and the environment.";
    let name = id_of(&of.environment, EnvironmentName::parse, next)?;
    let key = environment_key(of.repository, &name);
    load(table, &key).await?.ok_or_else(|| {
        let what = format!("repository {} has no environment {name}", of.repository);
        Failure::new(Kind::EnvironmentNotFound, what, next)
    })
}

/// Returns a stack of a run, on either leg.
///
/// # Errors
/// Fails if the run has no such stack.
pub(crate) fn stack_of<'run>(run: &'run Run, name: &str) -> Outcome<&'run StackRun> {
    let mut stacks = run.legs().flat_map(Leg::stacks);
    stacks
        .find(|stack| stack.name().as_str() == name)
        .ok_or_else(|| {
            let known: BTreeSet<&str> = run
                .legs()
                .flat_map(Leg::stacks)
                .map(|stack| stack.name().as_str())
                .collect();
            let next = if known.is_empty() {
                "It has no stacks.".to_owned()
            } else {
                let names: Vec<&str> = known.into_iter().collect();
                format!("Its stacks are {}.", names.join(", "))
            };
            let what = format!("run {} has no stack {name:?}", run.id());
            Failure::new(Kind::StackNotFound, what, next)
        })
}

/// Parses an id from the command line. `next` says where the user finds a valid one.
pub(crate) fn id_of<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, IdError>,
    next: &str,
) -> Outcome<T> {
    parse(text).map_err(|error| Failure::new(Kind::ArgumentInvalid, error.to_string(), next))
}
