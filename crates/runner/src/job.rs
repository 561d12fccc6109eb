//! A job from its record to its result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::error::{ErrorName, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::{INTERRUPTED_EXIT, JOB_SCHEMA, JobOutcome, JobResult, JobSpec, Verb};
use domain::keys::{self, JobFile};
use engine::{Clock, Objects, Written};
use terraform_cli::{Cancel, CancelHandle};

use crate::log::Log;
use crate::outcome::Stop;
use crate::rival::{self, Patience};
use crate::settings::Settings;
use crate::start::{Claim, Start, changes_nothing};
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
    /// How it waits for the result of another Batch job of the same record.
    pub patience: Patience,
    /// Tells this process from every other one: a start whose answer was lost is known again.
    pub nonce: String,
}

/// How the runner itself ended.
#[derive(Debug)]
pub enum Ended {
    /// The result stands in S3. Boxed: a summary may be long.
    Written(Box<JobResult>),
    /// The job ran before and its result stands in S3; nothing was done.
    Finished {
        /// What that start ended with.
        exit_code: u8,
    },
    /// The job was started before and has no result; nothing was done.
    StartedBefore,
    /// It was told to stop while it waited for the result of another start; nothing was done.
    StoppedWaiting,
}

impl Ended {
    /// What the runner ends with: Batch and the state machine look at nothing else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Written(result) => result.exit_code,
            Self::Finished { exit_code } => *exit_code,
            Self::StartedBefore => 3,
            Self::StoppedWaiting => INTERRUPTED_EXIT,
        }
    }
}

/// Runs a job.
///
/// # Errors
/// Only when the result could not be written: AWS then sees a job that failed without a result.
pub async fn run(request: &Request, world: &World) -> Result<Ended, StepError> {
    let began = Instant::now();
    // Without an answer there is no result: another start of this job may be at work.
    let standing = world.objects.get(&job_key(request, JobFile::Spec)).await?;
    let record = match sealed_record(request, standing) {
        Ok(record) => record,
        Err(error) => {
            let work = Work::over(Err(error.into()));
            return finish(request, world, began, work, Claim::First).await;
        }
    };
    let start = Start {
        schema: JOB_SCHEMA,
        at: world.clock.now(),
        by: world.nonce.clone(),
        batch: world.settings.batch.clone(),
    };
    let claim = claim(request, world, &start).await?;
    if let Claim::Rival { first } = &claim {
        return rival::wait(request, world, &record, first).await;
    }
    if claim != Claim::First {
        let exit_code = standing_exit(request, world).await?;
        match (&claim, exit_code) {
            // Only a plan that was interrupted, or that left nothing, is made again.
            (Claim::Again, None | Some(INTERRUPTED_EXIT)) => {
                world
                    .log
                    .step("the attempt before was interrupted: the plan is made again");
                let key = job_key(request, JobFile::Started);
                world.objects.put(&key, written(&start)?).await?;
            }
            (_, Some(exit_code)) => {
                world
                    .log
                    .step("the job ran before, and its result stands: nothing is done");
                return Ok(Ended::Finished { exit_code });
            }
            (_, None) => return Ok(Ended::StartedBefore),
        }
    }
    let work = within_budget(request, world, &record).await;
    finish(request, world, began, work, claim).await
}

/// Claims the job for this process, unless another one did before.
async fn claim(request: &Request, world: &World, start: &Start) -> Result<Claim, StepError> {
    let key = job_key(request, JobFile::Started);
    let put = world.objects.put_if_absent(&key, written(start)?).await;
    if let Ok(Written::Yes) = put {
        return Ok(Claim::First);
    }
    // No, or no answer: what stands there tells.
    match world.objects.get(&key).await? {
        Some(standing) => {
            let standing: Option<Start> = serde_json::from_slice(&standing).ok();
            Ok(start.after(standing.as_ref(), request.verb))
        }
        None => put.map(|_| Claim::Repeated),
    }
}

/// What the start that left a result ended with; none when there is no result. One that cannot be
/// read is for the Lambda that reads it to judge.
pub(crate) async fn standing_exit(
    request: &Request,
    world: &World,
) -> Result<Option<u8>, StepError> {
    let key = job_key(request, JobFile::Result);
    let standing = world.objects.get(&key).await?;
    Ok(standing.map(|bytes| {
        serde_json::from_slice(&bytes).map_or(0, |result: JobResult| result.exit_code)
    }))
}

fn written(value: &impl serde::Serialize) -> Result<Vec<u8>, StepError> {
    serde_json::to_vec(value)
        .map_err(|error| StepError::new(ErrorName::Internal, format!("write JSON: {error}")))
}

pub(crate) fn job_key(request: &Request, file: JobFile) -> String {
    keys::job(&request.run, &request.job, file)
}

/// Holds what stands in the record's place against the id that seals it.
fn sealed_record(request: &Request, standing: Option<Vec<u8>>) -> Result<JobSpec, StepError> {
    let key = job_key(request, JobFile::Spec);
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
    let record: JobSpec = serde_json::from_slice(&bytes)
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

/// Uploads the log and writes the result: the last thing a job does. A plan that is made again
/// takes the place of the interrupted one.
async fn finish(
    request: &Request,
    world: &World,
    began: Instant,
    work: Work,
    claim: Claim,
) -> Result<Ended, StepError> {
    let exit_code = work.exit_code;
    let outcome = work.outcome.unwrap_or_else(|stop| {
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
        exit_code,
    };
    let bytes = written(&result)?;
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
    let key = job_key(request, JobFile::Result);
    let put = if claim == Claim::Again {
        world.objects.put(&key, bytes).await.map(|()| Written::Yes)
    } else {
        world.objects.put_if_absent(&key, bytes).await
    };
    Ok(match put? {
        Written::Yes => Ended::Written(Box::new(result)),
        Written::No => Ended::Finished { exit_code },
    })
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

/// What came of the work.
struct Work {
    outcome: Result<JobOutcome, Stop>,
    exit_code: u8,
}

impl Work {
    /// Work that is not done again, whatever came of it.
    fn over(outcome: Result<JobOutcome, Stop>) -> Self {
        Self {
            outcome,
            exit_code: 0,
        }
    }
}

/// The work, with a SIGTERM or the end of its time handed on as one and the same stop.
async fn within_budget(request: &Request, world: &World, record: &JobSpec) -> Work {
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
                    "received SIGTERM: stopping"
                });
                handle.cancel();
                work.await
            }
        }
    };
    let Err(stop) = &mut outcome else {
        return Work::over(outcome);
    };
    if stop.error.name != ErrorName::Interrupted {
        return Work::over(outcome);
    }
    if late {
        stop.error.message = format!(
            "the job ran longer than its {} s and was stopped: {}",
            record.timeout_seconds, stop.error.message
        );
        return Work::over(outcome);
    }
    // More time would not help one that is late; one whose container was taken away is made again.
    let taken_away = world.cancel.is_cancelled() && changes_nothing(request.verb);
    let exit_code = if taken_away { INTERRUPTED_EXIT } else { 0 };
    Work { outcome, exit_code }
}
