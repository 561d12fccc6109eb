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
use domain::run::Run;
use engine::Table;
use engine::documents::{environment_key, load, load_run};

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

/// Parses an id from the command line. `next` says where the user finds a valid one.
pub(crate) fn id_of<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, IdError>,
    next: &str,
) -> Outcome<T> {
    parse(text).map_err(|error| Failure::new(Kind::ArgumentInvalid, error.to_string(), next))
}
