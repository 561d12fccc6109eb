//! Runs a job, from its spec to its result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::error::{ErrorName, StepError};
use domain::ids::{JobId, RunId};
use domain::job::{INTERRUPTED_EXIT, JOB_SCHEMA, JobOutcome, JobResult, JobSpec, Verb};
use domain::json;
use domain::keys::{JobFile, RunObjects};
use engine::{Clock, Objects, Written};
use terraform_cli::{Cancel, CancelHandle};

use crate::duplicate_job::{self, Patience};
use crate::log::Log;
use crate::outcome::Stop;
use crate::settings::Settings;
use crate::start::{Claim, Start, changes_nothing, host_name};
use crate::work::Prepared;

/// The job to run, from the command line.
#[derive(Clone, Debug)]
pub struct Request {
    /// The verb of the command: that of the job spec, or the one whose command runs it.
    pub verb: Verb,
    /// The run.
    pub run: RunId,
    /// The job id, which seals the job spec.
    pub job: JobId,
    /// The objects of the run. The job definition says of which repository and environment.
    pub objects: RunObjects,
}

/// The services and settings of a job.
pub struct JobContext {
    /// The artifacts bucket.
    pub objects: Arc<dyn Objects>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub log: Log,
    /// Requests an orderly stop, on SIGTERM.
    pub cancel: Cancel,
    /// The time between the SIGTERM and the SIGKILL to Terraform.
    pub grace: Duration,
    /// The job's settings.
    pub settings: Settings,
    /// How long to wait for the result of another Batch job with the same job spec.
    pub patience: Patience,
    /// Identifies this process. A process whose start had no response recognizes it by the nonce.
    pub nonce: String,
}

/// How the runner ended.
#[derive(Debug)]
pub enum Ended {
    /// The result is in S3. Boxed, because diagnostics may be long.
    Written(Box<JobResult>),
    /// The job ran before and its result is in S3. This process did nothing.
    Finished {
        /// The exit code of that start.
        exit_code: u8,
    },
    /// The job was started before and has no result. This process did nothing.
    StartedBefore,
    /// The process was stopped while it waited for the result of another start. It did nothing.
    StoppedWaiting,
}

impl Ended {
    /// Returns the exit code of the runner, which is all that Batch and the state machine use.
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
/// Fails if S3 does not respond or the result cannot be written. For AWS, the job then failed
/// without a result.
pub async fn run(request: &Request, context: &JobContext) -> Result<Ended, StepError> {
    let began = Instant::now();
    // Without a response from S3, no result may be written: another start of this job may be
    // running.
    let standing = context
        .objects
        .get(&job_key(request, JobFile::Spec))
        .await?;
    let spec = match sealed_record(request, standing) {
        Ok(spec) => spec,
        Err(error) => {
            let work = Work::over(Err(error.into()));
            return finish(request, context, began, work, Claim::First).await;
        }
    };
    let start = Start {
        schema: JOB_SCHEMA,
        at: context.clock.now(),
        by: context.nonce.clone(),
        batch: context.settings.batch.clone(),
        host: host_name(),
    };
    let claim = claim(request, context, &start).await?;
    if let Claim::Duplicate { first } = &claim {
        return duplicate_job::wait(request, context, &spec, first).await;
    }
    if claim != Claim::First {
        let exit_code = standing_exit(request, context).await?;
        match (&claim, exit_code) {
            // Only a plan that was interrupted, or that left no result, is repeated.
            (Claim::Again, None | Some(INTERRUPTED_EXIT)) => {
                context
                    .log
                    .step("the attempt before was interrupted: the plan is made again");
                let key = job_key(request, JobFile::Started);
                context
                    .objects
                    .put(&key, json::to_bytes("the start of a job", &start)?)
                    .await?;
            }
            (_, Some(exit_code)) => {
                context
                    .log
                    .step("the job has run before: its result is kept");
                return Ok(Ended::Finished { exit_code });
            }
            (_, None) => return Ok(Ended::StartedBefore),
        }
    }
    let work = within_budget(request, context, &spec).await;
    finish(request, context, began, work, claim).await
}

/// Claims the job for this process, unless another process has claimed it.
async fn claim(request: &Request, context: &JobContext, start: &Start) -> Result<Claim, StepError> {
    let key = job_key(request, JobFile::Started);
    let put = context
        .objects
        .put_if_absent(&key, json::to_bytes("the start of a job", start)?)
        .await;
    if let Ok(Written::Yes) = put {
        return Ok(Claim::First);
    }
    // The object exists, or the response was lost: the stored object decides.
    match context.objects.get(&key).await? {
        Some(standing) => {
            let standing: Option<Start> = serde_json::from_slice(&standing).ok();
            Ok(start.after(standing.as_ref(), request.verb))
        }
        None => put.map(|_| Claim::Repeated),
    }
}

/// Returns the exit code of the start that left a result; `None` without a result. Returns 0 for a
/// result that cannot be read, because the Lambda that reads it reports the error.
pub(crate) async fn standing_exit(
    request: &Request,
    context: &JobContext,
) -> Result<Option<u8>, StepError> {
    let key = job_key(request, JobFile::Result);
    let standing = context.objects.get(&key).await?;
    Ok(standing.map(|bytes| {
        serde_json::from_slice(&bytes).map_or(0, |result: JobResult| result.exit_code)
    }))
}

pub(crate) fn job_key(request: &Request, file: JobFile) -> String {
    request.objects.job(&request.job, file)
}

/// Checks that the stored job spec is the one that the job id seals.
fn sealed_record(request: &Request, standing: Option<Vec<u8>>) -> Result<JobSpec, StepError> {
    let key = job_key(request, JobFile::Spec);
    let violation = |message: String| StepError::new(ErrorName::ContractViolation, message);
    let Some(bytes) = standing else {
        return Err(violation(format!("no job spec at {key}")));
    };
    if !request.job.seals(&bytes) {
        let message = format!(
            "the job spec at {key} is not the one that job id {} was made from",
            request.job
        );
        return Err(StepError::new(ErrorName::PlanTampered, message));
    }
    let spec: JobSpec = serde_json::from_slice(&bytes)
        .map_err(|error| violation(format!("the job spec at {key} cannot be read: {error}")))?;
    if spec.schema != JOB_SCHEMA {
        return Err(violation(format!(
            "the job spec at {key} has schema {}, expected {JOB_SCHEMA}",
            spec.schema
        )));
    }
    if spec.run != request.run || spec.verb.command() != request.verb {
        return Err(violation(format!(
            "the job spec at {key} is for {} of run {}, the command says {} of run {}",
            spec.verb.as_str(),
            spec.run,
            request.verb.as_str(),
            request.run
        )));
    }
    if spec.objects() != request.objects {
        return Err(violation(format!(
            "the job spec at {key} is for {}, the job definition for {}",
            spec.objects(),
            request.objects
        )));
    }
    Ok(spec)
}

/// Uploads the log and writes the result, as the last step of a job. The result of a repeated plan
/// replaces the interrupted one.
async fn finish(
    request: &Request,
    context: &JobContext,
    began: Instant,
    work: Work,
    claim: Claim,
) -> Result<Ended, StepError> {
    let exit_code = work.exit_code;
    let outcome = work.outcome.unwrap_or_else(|stop| {
        context.log.error(&stop.error.to_string());
        stop.into_outcome(|text| context.log.clean(text))
    });
    let result = JobResult {
        schema: JOB_SCHEMA,
        run: request.run.clone(),
        job: request.job.clone(),
        outcome,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        exit_code,
    };
    let bytes = json::to_bytes("the result of a job", &result)?;
    // The log is optional: a result without a log is valid.
    if let Err(error) = context
        .objects
        .put(&job_key(request, JobFile::Log), context.log.kept())
        .await
    {
        context
            .log
            .error(&format!("the log could not be uploaded: {error}"));
    }
    let key = job_key(request, JobFile::Result);
    let put = if claim == Claim::Again {
        context
            .objects
            .put(&key, bytes)
            .await
            .map(|()| Written::Yes)
    } else {
        context.objects.put_if_absent(&key, bytes).await
    };
    Ok(match put? {
        Written::Yes => Ended::Written(Box::new(result)),
        Written::No => Ended::Finished { exit_code },
    })
}

/// The end of the work, and the exit code that follows from it.
struct Work {
    outcome: Result<JobOutcome, Stop>,
    exit_code: u8,
}

impl Work {
    /// Work that is not repeated, whether it succeeded or failed.
    fn over(outcome: Result<JobOutcome, Stop>) -> Self {
        Self {
            outcome,
            exit_code: 0,
        }
    }
}

/// Does the work. A SIGTERM and the time limit both request the same stop.
async fn within_budget(request: &Request, context: &JobContext, spec: &JobSpec) -> Work {
    let (handle, cancel) = CancelHandle::new();
    let limit = Duration::from_secs(spec.timeout_seconds.into());
    let mut late = false;
    let mut outcome = {
        let work = async {
            let prepared = Prepared::new(request, context, spec, cancel).await?;
            prepared.execute().await
        };
        tokio::pin!(work);
        let ended = tokio::select! {
            outcome = &mut work => Some(outcome),
            () = context.cancel.cancelled() => None,
            () = tokio::time::sleep(limit) => {
                late = true;
                None
            }
        };
        match ended {
            Some(outcome) => outcome,
            None => {
                context.log.step(if late {
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
            spec.timeout_seconds, stop.error.message
        );
        return Work::over(outcome);
    }
    // A retry does not help a plan that was too slow. A plan whose container was stopped is
    // retried.
    let taken_away = context.cancel.is_cancelled() && changes_nothing(request.verb);
    let exit_code = if taken_away { INTERRUPTED_EXIT } else { 0 };
    Work { outcome, exit_code }
}
