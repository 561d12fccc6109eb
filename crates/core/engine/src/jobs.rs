//! Batch jobs: the spec of one, and what it left.

use crate::environments::Owned;
use crate::{BatchJob, BatchJobs, JobProgress, Objects, Result};
use domain::error::{ErrorClass, ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::{APPLY_SECONDS, Backend, JOB_SCHEMA, JobResult, JobSpec, PLAN_SECONDS, Verb};
use domain::keys::{self, JobFile};
use domain::run::{Run, StackState};
use domain::step::CaughtError;

/// How many diagnostics go into an error's message.
const SHOWN: usize = 3;

/// Why a job is ended that nobody waits for any more.
const FORSAKEN: &str = "its run does not wait for it any more";

/// The bucket of the delivered stacks' states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateBucket {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
}

/// The spec of the next job of a stack, which only the run that holds the environment may have. An
/// apply gets the sealed plan.
///
/// # Errors
/// `ContractViolation` when the run has no such stack, or an apply has no plan; `Internal` before
/// the run was sealed.
pub fn spec(
    run: &Run,
    owned: &Owned,
    name: &StackName,
    verb: Verb,
    states: &StateBucket,
) -> Result<JobSpec> {
    let stack = run.stack(name)?;
    let environment = owned.environment().name().clone();
    let (source, commit) = run.source_of(stack)?;
    let (plan, timeout_seconds) = match (verb, stack.state()) {
        (Verb::Plan, _) => (None, PLAN_SECONDS),
        (Verb::Apply, StackState::Planned { plan, .. }) => (Some(plan.clone()), APPLY_SECONDS),
        (Verb::Apply, _) => {
            return Err(StepError::new(
                ErrorName::ContractViolation,
                format!("stack {name} of run {} has no plan to apply", run.id()),
            ));
        }
    };
    Ok(JobSpec {
        schema: JOB_SCHEMA,
        run: run.id().clone(),
        verb,
        plan_kind: stack.plan_kind(),
        attempt: stack.jobs() + 1,
        repository_key: run.trigger().repository_key(),
        repository: run.trigger().repository().full_name.clone(),
        commit: commit.clone(),
        backend: Backend::S3 {
            bucket: states.name.clone(),
            key: keys::state(run.trigger().repository_key(), &environment, name),
            region: states.region.clone(),
        },
        environment,
        stack: name.clone(),
        dir: stack.spec().dir.clone(),
        source: source.clone(),
        inputs: run.inputs(stack),
        plan,
        timeout_seconds,
    })
}

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
