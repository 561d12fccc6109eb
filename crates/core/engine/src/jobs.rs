//! What a Batch job left behind.

use crate::{BatchJob, BatchJobs, JobProgress, Objects, Result};
use domain::error::{ErrorClass, ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::{JOB_SCHEMA, JobResult};
use domain::keys::{self, JobFile};
use domain::step::CaughtError;

/// How many diagnostics go into an error's message.
const SHOWN: usize = 3;

/// Why a job is ended that nobody waits for any more.
const FORSAKEN: &str = "its run does not wait for it any more";

/// Reads a job's result.
///
/// Without one, Batch is asked first: the reply to a submission may have been lost, and a job that
/// nobody waits for would apply its plan once the run has gone on. Such a job is ended, and nothing
/// is decided before it has ended.
///
/// # Errors
/// `JobLost` when the job left none, with what Batch says of it; `AwsUnavailable` while a job that
/// was ended is still there; `ContractViolation` when the result is another job's or of another
/// version; those of the bucket and of Batch.
pub async fn result(
    objects: &dyn Objects,
    batch: &dyn BatchJobs,
    run: &RunId,
    stack: &StackName,
    job: &JobId,
    error: Option<&CaughtError>,
) -> Result<JobResult> {
    let key = keys::job(run, job, JobFile::Result);
    let mut found = objects.get(&key).await?;
    let mut said = String::new();
    if found.is_none() {
        let jobs = end(batch, job).await?;
        said = jobs.iter().fold(said, |said, job| said + "; " + &job.said);
        // It may have been written while Batch was asked.
        found = objects.get(&key).await?;
    }
    let Some(bytes) = found else {
        let why = error.map_or_else(
            || "Batch says that it succeeded".to_owned(),
            |error| error.to_step_error().message,
        );
        return Err(StepError::new(
            ErrorName::JobLost,
            format!("job {job} of stack {stack} left no result: {why}{said}"),
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

/// Ends every job of a name, and gives them once all have ended.
///
/// # Errors
/// `AwsUnavailable` while one of them has not ended; those of Batch that may pass. What Batch
/// refuses is logged: a job that is lost must not be the end of the way back too.
async fn end(batch: &dyn BatchJobs, name: &JobId) -> Result<Vec<BatchJob>> {
    let jobs = match terminate_open(batch, name).await {
        Err(error) if error.name.class() == ErrorClass::Permanent => {
            tracing::error!(job = %name, %error, "Batch does not say what became of the job");
            return Ok(Vec::new());
        }
        jobs => jobs?,
    };
    match jobs.iter().find(|job| job.progress == JobProgress::Open) {
        None => Ok(jobs),
        Some(open) => Err(StepError::new(
            ErrorName::AwsUnavailable,
            format!("job {name} was ended and is still there: {}", open.said),
        )),
    }
}

/// Ends the jobs of a name that have not ended, and gives all as they were found.
///
/// # Errors
/// Those of Batch.
pub async fn terminate_open(batch: &dyn BatchJobs, name: &JobId) -> Result<Vec<BatchJob>> {
    let jobs = batch.find(name).await?;
    for open in jobs.iter().filter(|job| job.progress == JobProgress::Open) {
        tracing::warn!(job = %name, id = open.id, said = open.said, "ended: {FORSAKEN}");
        batch.terminate(&open.id, FORSAKEN).await?;
    }
    Ok(jobs)
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
