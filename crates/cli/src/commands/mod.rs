//! The commands, one file each.

pub mod answer;
pub mod audit;
pub mod config;
pub mod logs;
pub mod runs;
pub mod show;
pub mod unfreeze;
pub mod watch;

use crate::failure::{Failure, Kind, LIST_RUNS, Outcome};
use domain::ids::{IdError, RunId};
use domain::run::Run;
use engine::Table;
use engine::documents::load_run;

/// Reads the run that a command names.
///
/// # Errors
/// Fails if `id` is not a run id, or the run does not exist.
pub async fn run(table: &dyn Table, id: &str) -> Outcome<Run> {
    let id = id_of(id, RunId::parse, LIST_RUNS)?;
    Ok(load_run(table, &id).await?)
}

/// Parses an id from the command line. `next` says where the user finds a valid one.
pub(crate) fn id_of<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, IdError>,
    next: &str,
) -> Outcome<T> {
    parse(text).map_err(|error| Failure::new(Kind::ArgumentInvalid, error.to_string(), next))
}
