//! A job from its record to its result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::job::{JOB_SCHEMA, JobOutcome, JobRecord, JobResult, Verb};
use contract::keys::{self, JobFile};
use domain::error::{ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};
use ports::{Clock, Objects, Written};
use serde_json::json;
use terraform_cli::{Cancel, CancelHandle};

use crate::log::Log;
use crate::outcome::Stop;
use crate::settings::Settings;
use crate::work::Prepared;

/// Which job to run, from the command line.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to do.
    pub verb: Verb,
    /// The run.
    pub run: RunId,
    /// The job: its id seals the record.
    pub job: JobId,
}

/// The world around a job.
pub struct World {
    /// The artifacts bucket.
    pub objects: Arc<dyn Objects>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub log: Log,
    /// Asks for an orderly stop (SIGTERM).
    pub cancel: Cancel,
    /// What terraform has between its SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The job's settings.
    pub settings: Settings,
    /// Tells this process from every other one: a start whose answer was lost is known again.
    pub nonce: String,
}

/// How the runner itself ended.
#[derive(Debug)]
pub enum Ended {
    /// The result stands in S3. Boxed: a summary may be long.
    Written(Box<JobResult>),
    /// The job ran before and its result stands in S3; nothing was done.
    Finished,
    /// The job was started before and has no result; nothing was done.
    StartedBefore,
}

/// Runs a job.
///
/// # Errors
/// Only when the result could not be written: AWS then sees a job that failed without a result.
pub async fn run(request: &Request, world: &World) -> Result<Ended, StepError> {
    let began = Instant::now();
    // Without an answer there is no result: another start of this job may be at work.
    let standing = world
        .objects
        .get(&job_key(request, JobFile::Record))
        .await?;
    let record = match sealed_record(request, standing) {
        Ok(record) => record,
        Err(error) => return finish(request, world, began, Err(error.into())).await,
    };
    if !is_first_start(request, world).await? {
        let result = world
            .objects
            .get(&job_key(request, JobFile::Result))
            .await?;
        return Ok(match result {
            Some(_) => {
                world
                    .log
                    .step("the job ran before, and its result stands: nothing is done");
                Ended::Finished
            }
            None => Ended::StartedBefore,
        });
    }
    let outcome = within_budget(request, world, &record).await;
    finish(request, world, began, outcome).await
}

/// Claims the job for this process. Whoever comes second is refused, for good: nobody knows what
/// the first one did.
async fn is_first_start(request: &Request, world: &World) -> Result<bool, StepError> {
    let key = job_key(request, JobFile::Started);
    let at = world.clock.now().to_string();
    let started = json!({"schema": JOB_SCHEMA, "at": at, "by": world.nonce}).to_string();
    let written = world
        .objects
        .put_if_absent(&key, started.clone().into_bytes())
        .await;
    if let Ok(Written::Yes) = written {
        return Ok(true);
    }
    // No, or no answer: what stands there tells.
    match world.objects.get(&key).await? {
        Some(standing) => Ok(standing == started.as_bytes()),
        None => written.map(|_| false),
    }
}

pub(crate) fn job_key(request: &Request, file: JobFile) -> String {
    keys::job(&request.run, &request.job, file)
}

/// Holds what stands in the record's place against the id that seals it.
fn sealed_record(request: &Request, standing: Option<Vec<u8>>) -> Result<JobRecord, StepError> {
    let key = job_key(request, JobFile::Record);
    let violation = |message: String| StepError::new(ErrorName::ContractViolation, message);
    let Some(bytes) = standing else {
        return Err(violation(format!("no job record at {key}")));
    };
    if !request.job.seals(&bytes) {
        let message = format!(
            "the job record at {key} is not the one that job id {} was made from",
            request.job
        );
        return Err(StepError::new(ErrorName::PlanTampered, message));
    }
    let record: JobRecord = serde_json::from_slice(&bytes)
        .map_err(|error| violation(format!("the job record at {key} cannot be read: {error}")))?;
    if record.schema != JOB_SCHEMA {
        return Err(violation(format!(
            "the job record at {key} has schema {}, expected {JOB_SCHEMA}",
            record.schema
        )));
    }
    if record.run != request.run || record.verb != request.verb {
        return Err(violation(format!(
            "the job record at {key} is for {} of run {}, the command says {} of run {}",
            record.verb.as_str(),
            record.run,
            request.verb.as_str(),
            request.run
        )));
    }
    Ok(record)
}

/// Uploads the log and writes the result: the last thing a job does.
async fn finish(
    request: &Request,
    world: &World,
    began: Instant,
    outcome: Result<JobOutcome, Stop>,
) -> Result<Ended, StepError> {
    let outcome = outcome.unwrap_or_else(|stop| {
        world.log.error(&stop.error.to_string());
        stop.into_outcome(|text| world.log.clean(text))
    });
    let result = JobResult {
        schema: JOB_SCHEMA,
        run: request.run.clone(),
        verb: request.verb,
        stack: stack_of(&request.job)?,
        outcome,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let bytes = serde_json::to_vec(&result)
        .map_err(|error| StepError::new(ErrorName::Internal, format!("result: {error}")))?;
    // The log is a convenience: a result without one still counts.
    if let Err(error) = world
        .objects
        .put(&job_key(request, JobFile::Log), world.log.kept())
        .await
    {
        world
            .log
            .error(&format!("the log could not be uploaded: {error}"));
    }
    match world
        .objects
        .put_if_absent(&job_key(request, JobFile::Result), bytes)
        .await?
    {
        Written::Yes => Ok(Ended::Written(Box::new(result))),
        Written::No => Ok(Ended::Finished),
    }
}

/// The stack's name out of `<verb>-<stack>-<n>-<seal>`.
fn stack_of(job: &JobId) -> Result<StackName, StepError> {
    job.as_str()
        .split_once('-')
        .and_then(|(_, rest)| rest.rsplit_once('-'))
        .and_then(|(rest, _)| rest.rsplit_once('-'))
        .and_then(|(stack, _)| StackName::parse(stack).ok())
        .ok_or_else(|| {
            StepError::new(
                ErrorName::ContractViolation,
                format!("job id {job} names no stack"),
            )
        })
}

/// The work, with a SIGTERM or the end of its time handed on as one and the same stop.
async fn within_budget(
    request: &Request,
    world: &World,
    record: &JobRecord,
) -> Result<JobOutcome, Stop> {
    let (handle, cancel) = CancelHandle::new();
    let limit = Duration::from_secs(record.timeout_seconds.into());
    let mut late = false;
    let mut outcome = {
        let work = async {
            let prepared = Prepared::new(request, world, record, cancel).await?;
            prepared.execute().await
        };
        tokio::pin!(work);
        let ended = tokio::select! {
            outcome = &mut work => Some(outcome),
            () = world.cancel.cancelled() => None,
            () = tokio::time::sleep(limit) => {
                late = true;
                None
            }
        };
        match ended {
            Some(outcome) => outcome,
            None => {
                world.log.step(if late {
                    "out of time: stopping"
                } else {
                    "told to stop: stopping"
                });
                handle.cancel();
                work.await
            }
        }
    };
    if let Err(stop) = &mut outcome
        && late
        && stop.error.name == ErrorName::Interrupted
    {
        stop.error.message = format!(
            "the job ran longer than its {} s and was stopped: {}",
            record.timeout_seconds, stop.error.message
        );
    }
    outcome
}
