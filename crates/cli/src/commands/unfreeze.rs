//! `sluicegate unfreeze`

use crate::args::OfEnvironment;
use crate::failure::{Failure, Kind, Outcome};
use crate::output::Output;
use crate::pipeline::Pipeline;
use engine::documents::load_run;
use engine::environments::Environments;
use engine::jobs;
use serde_json::json;

/// Unfreezes an environment, so that runs can use it again. With settings, checks that no job of the
/// run that froze it still runs.
///
/// # Errors
/// Fails with `StillInUse` while such a job runs, if the environment does not exist, and with the errors of the table, of Step Functions and
/// of the output.
pub async fn unfreeze(pipeline: &Pipeline, args: &OfEnvironment, out: &mut Output<'_>) -> Outcome {
    let known = super::environment(&*pipeline.table, args).await?;
    let (repository, name) = (args.repository, known.name().clone());
    if let (Some(frozen), Ok(recovery)) = (known.frozen(), pipeline.recovery()) {
        let run = load_run(&*pipeline.table, &frozen.run).await?;
        let open = jobs::open(&*recovery.batch, &run).await?;
        if let Some(job) = open.first() {
            let what = format!(
                "job {job} of run {}, which froze it, has not ended",
                run.id()
            );
            let next =
                "Terminate it in AWS Batch, repair what it changed, then run the command again.";
            return Err(Failure::new(Kind::StillInUse, what, next));
        }
    }
    let environments = Environments {
        table: &*pipeline.table,
        tokens: &*pipeline.tokens,
        clock: &*pipeline.clock,
    };
    let frozen = environments.unfreeze(repository, &name).await?;
    if out.json {
        let run = frozen.as_ref().map(|frozen| &frozen.run);
        return out
            .value(&json!({"repository": repository, "environment": name, "was_frozen_by": run}));
    }
    match frozen {
        Some(frozen) => out.text(&format!(
            "environment {name} is no longer frozen; run {} had frozen it\n",
            frozen.run
        )),
        None => out.text(&format!("environment {name} was not frozen\n")),
    }
}
