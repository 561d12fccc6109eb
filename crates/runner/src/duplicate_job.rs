//! Handles two Batch jobs with one job spec. Step Functions submits again if the response to its
//! first `SubmitJob` was lost. One job does the work, and the other waits for its result, so the
//! state machine continues correctly with either of them.

use std::time::Duration;

use domain::error::{ErrorClass, StepError};
use domain::job::{INTERRUPTED_EXIT, JobSpec};

use crate::job::{Ended, JobContext, Request, standing_exit};

/// How long a start waits for the result of another one.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The interval between two requests.
    pub every: Duration,
    /// How long to wait in addition to the time limit of the job.
    pub beyond: Duration,
}

/// Waits for the result of Batch job `first`, and ends with its exit code.
pub(crate) async fn wait(
    request: &Request,
    context: &JobContext,
    spec: &JobSpec,
    first: &str,
) -> Result<Ended, StepError> {
    // The other job began earlier, so by then its time limit has passed and its result is written.
    let limit = Duration::from_secs(spec.timeout_seconds.into()) + context.patience.beyond;
    context.log.step(&format!(
        "Batch job {first} was started for this job before: waiting up to {} s for its result",
        limit.as_secs()
    ));
    let exit_code = tokio::select! {
        found = result(request, context) => Some(found?),
        () = context.cancel.cancelled() => {
            context.log.step(&format!(
                "stopped while waiting for the result of Batch job {first}"
            ));
            return Ok(Ended::StoppedWaiting);
        }
        () = tokio::time::sleep(limit) => standing_exit(request, context).await?,
    };
    Ok(if let Some(exit_code) = exit_code {
        context.log.step(&format!(
            "Batch job {first} left its result: ending with its exit code {exit_code}"
        ));
        Ended::Finished { exit_code }
    } else {
        context.log.error(&format!(
            "Batch job {first} left no result within {} s; this job did nothing, because the effects of that job are unknown: look at it in AWS Batch",
            limit.as_secs()
        ));
        Ended::StartedBefore
    })
}

/// Waits until there is a final result. That of an interrupted plan is not final, because Batch
/// retries the job.
async fn result(request: &Request, context: &JobContext) -> Result<u8, StepError> {
    loop {
        match standing_exit(request, context).await {
            Ok(Some(exit_code)) if exit_code != INTERRUPTED_EXIT => return Ok(exit_code),
            Ok(_) => {}
            Err(error) if error.name.class() == ErrorClass::Transient => {
                context.log.error(&format!("{error}; looking again"));
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(context.patience.every).await;
    }
}
