//! Tells waiting runs what was decided about their environment.

use crate::documents::{environment_key, load, run_key, update_environment, update_run};
use crate::{Clock, Heard, Records, Result, Tokens};
use domain::environment::{Environment, LockWord};
use domain::error::{ErrorName, StepError};
use domain::ids::{EnvironmentName, RepositoryKey, RunId};
use domain::run::{Lock, Run};
use domain::step::LockAnswer;

/// How many answers one call gives at most: each of the runs that wait, and each that inherits
/// the environment from one that is gone.
const LIMIT: usize = 4 * domain::environment::QUEUE_LIMIT;

/// Tells runs what the environment's record says they are to be told, until nothing is left. Gives
/// the runs whose place a newer commit took, for the caller to announce.
///
/// The record keeps an answer until it was given: a process that dies in between leaves it to
/// the next call. Two processes that do this at once tell a run twice, which the second hears
/// as [`Heard::Gone`]. So a run whose token is gone keeps the environment, unless its record
/// says that it ended; one whose execution ended without a word is released by `record`, which
/// Step Functions' own event starts.
///
/// # Errors
/// Those of the table and of Step Functions; what was told until then stays told.
pub async fn flush(
    records: &dyn Records,
    tokens: &dyn Tokens,
    repository: RepositoryKey,
    name: &EnvironmentName,
    clock: &dyn Clock,
) -> Result<Vec<Run>> {
    let mut superseded = Vec::new();
    let key = environment_key(repository, name);
    for _ in 0..LIMIT {
        let environment: Option<Environment> = load(records, &key).await?;
        let Some(tell) = environment.and_then(|environment| environment.untold.first().cloned())
        else {
            return Ok(superseded);
        };
        if tell.word == LockWord::Superseded {
            superseded.extend(note_superseded(records, &tell.run).await?);
        }
        let answer = LockAnswer { verdict: tell.word };
        let output = serde_json::to_string(&answer).map_err(|error| {
            StepError::new(
                ErrorName::Internal,
                format!("write a lock's answer: {error}"),
            )
        })?;
        let heard = tokens.succeed(&tell.token, &output).await?;
        let over = heard == Heard::Gone && is_over(records, &tell.run).await?;
        update_environment(records, repository, name, |environment| {
            environment.told(&tell);
            if over {
                environment.release(&tell.run, clock.now());
            }
            Ok(())
        })
        .await?;
    }
    Err(StepError::new(
        ErrorName::Internal,
        format!(
            "environment {name} of repository {repository} had more than {LIMIT} answers to give at once"
        ),
    ))
}

/// Writes into the run that a newer commit took its place, before it is told: its end follows
/// from its record.
async fn note_superseded(records: &dyn Records, run: &RunId) -> Result<Option<Run>> {
    let noted = update_run(records, run, |run| {
        run.lock = Lock::Superseded;
        Ok(run.clone())
    })
    .await;
    match noted {
        Err(error) if error.name == ErrorName::RunNotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Whether nobody works for this run any more.
async fn is_over(records: &dyn Records, run: &RunId) -> Result<bool> {
    let run: Option<Run> = load(records, &run_key(run)).await?;
    Ok(run.is_none_or(|run| run.end.is_some()))
}
