//! Two Batch jobs for one job record: Step Functions submits once more when the answer to its
//! first `SubmitJob` was lost. One of the two works, and the other one waits for its result, so
//! that the state machine goes on with it whichever of the two it knows.

use std::time::Duration;

use domain::error::{ErrorClass, StepError};
use domain::job::{INTERRUPTED_EXIT, JobSpec};

use crate::job::{Ended, Request, World, standing_exit};

/// How a start waits for the result of another one.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The time between two looks.
    pub every: Duration,
    /// How long it waits beyond the time that the job itself has.
    pub beyond: Duration,
}

/// Waits until Batch job `first` has left its result, and ends as that one did.
pub(crate) async fn wait(
    request: &Request,
    world: &World,
    record: &JobSpec,
    first: &str,
) -> Result<Ended, StepError> {
    // The other one began before: by then its own time is over, and its result written.
    let limit = Duration::from_secs(record.timeout_seconds.into()) + world.patience.beyond;
    world.log.step(&format!(
        "Batch job {first} was started for this job before: waiting up to {} s for its result",
        limit.as_secs()
    ));
    let exit_code = tokio::select! {
        found = result(request, world) => Some(found?),
        () = world.cancel.cancelled() => {
            world.log.step(&format!(
                "stopped while waiting for the result of Batch job {first}"
            ));
            return Ok(Ended::StoppedWaiting);
        }
        () = tokio::time::sleep(limit) => standing_exit(request, world).await?,
    };
    Ok(if let Some(exit_code) = exit_code {
        world.log.step(&format!(
            "Batch job {first} left its result: ending with its exit code {exit_code}"
        ));
        Ended::Finished { exit_code }
    } else {
        world.log.error(&format!(
            "Batch job {first} left no result within {} s; this job did nothing, because the effects of that job are unknown: look at it in AWS Batch",
            limit.as_secs()
        ));
        Ended::StartedBefore
    })
}

/// Looks until there is a result. That of an interrupted plan is not the last word: Batch tries
/// the job again.
async fn result(request: &Request, world: &World) -> Result<u8, StepError> {
    loop {
        match standing_exit(request, world).await {
            Ok(Some(exit_code)) if exit_code != INTERRUPTED_EXIT => return Ok(exit_code),
            Ok(_) => {}
            Err(error) if error.name.class() == ErrorClass::Transient => {
                world.log.error(&format!("{error}; looking again"));
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(world.patience.every).await;
    }
}
