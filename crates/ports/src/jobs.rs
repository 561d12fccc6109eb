//! What a Batch job left behind.

use crate::{Objects, Result};
use contract::job::{JOB_SCHEMA, JobResult};
use contract::keys::{self, JobFile};
use contract::step::CaughtError;
use domain::error::{ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};

/// How many diagnostics go into an error's message.
const SHOWN: usize = 3;

/// Reads a job's result.
///
/// # Errors
/// `JobLost` when the job left none, with what Batch said of it; `ContractViolation` when the
/// result is another job's or of another version; those of the bucket.
pub async fn result(
    objects: &dyn Objects,
    run: &RunId,
    stack: &StackName,
    job: &JobId,
    error: Option<&CaughtError>,
) -> Result<JobResult> {
    let key = keys::job(run, job, JobFile::Result);
    let Some(bytes) = objects.get(&key).await? else {
        let why = error.map_or_else(
            || "Batch says that it succeeded".to_owned(),
            |error| error.to_step_error().message,
        );
        return Err(StepError::new(
            ErrorName::JobLost,
            format!("job {job} of stack {stack} left no result: {why}"),
        ));
    };
    let result: JobResult = serde_json::from_slice(&bytes).map_err(|error| {
        StepError::new(
            ErrorName::ContractViolation,
            format!("{key} is not a result that this version reads: {error}"),
        )
    })?;
    if result.schema == JOB_SCHEMA && &result.run == run && &result.stack == stack {
        Ok(result)
    } else {
        Err(StepError::new(
            ErrorName::ContractViolation,
            format!(
                "{key} holds the result of run {}, stack {}, schema {}",
                result.run, result.stack, result.schema
            ),
        ))
    }
}

/// Adds the first diagnostics to an error's message.
#[must_use]
pub fn with_diagnostics(error: &StepError, diagnostics: &[String]) -> StepError {
    let shown = diagnostics
        .iter()
        .take(SHOWN)
        .filter(|line| !error.message.contains(*line));
    let lines: Vec<&str> = std::iter::once(error.message.as_str())
        .chain(shown.map(String::as_str))
        .collect();
    StepError::new(error.name, lines.join("\n"))
}
