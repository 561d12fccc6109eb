//! `sluicegate unlock`

use crate::args::OfEnvironment;
use crate::failure::{Failure, Kind, Outcome};
use crate::output::Output;
use crate::pipeline::Pipeline;
use domain::ids::RunId;
use domain::reconcile::{Activity, Condition};
use engine::closing::{self, Closing};
use engine::documents::load_run;
use serde_json::json;

/// Releases an environment whose holder has stopped, as the scheduled reconciliation does.
///
/// # Errors
/// Fails with `StillInUse` if anything of the holder may still change something, if the environment
/// does not exist, and with the errors of AWS and of the output.
pub async fn unlock(pipeline: &Pipeline, args: &OfEnvironment, out: &mut Output<'_>) -> Outcome {
    let environment = super::environment(&*pipeline.table, args).await?;
    let name = environment.name();
    let recovery = pipeline.recovery()?;
    let closing = Closing {
        table: pipeline.table.clone(),
        objects: pipeline.artifacts.clone(),
        batch: recovery.batch.clone(),
        tokens: pipeline.tokens.clone(),
        announcer: recovery.announcer.clone(),
        clock: pipeline.clock.clone(),
    };
    let Some(holder) = environment.holder() else {
        closing.notify(&environment).await?;
        if out.json {
            return out.value(&json!({"environment": name, "was_held_by": null}));
        }
        return out.text(&format!("no run holds environment {name}\n"));
    };
    let run = load_run(&*pipeline.table, &holder.run).await?;
    let (executions, batch) = (&*recovery.executions, &*recovery.batch);
    let why = match closing::condition(executions, batch, &run, pipeline.clock.now()).await? {
        Condition::Active(sign) => return Err(in_use(run.id(), &sign)),
        Condition::Ended => {
            closing.release(&run).await?;
            "it had ended".to_owned()
        }
        Condition::Stopped(cause) => {
            let why = cause.to_string();
            closing.end_stopped(&run, cause).await?;
            why
        }
    };
    let after = super::environment(&*pipeline.table, args).await?;
    let next = after.holder().map(|holder| &holder.run);
    let frozen = after.frozen().map(|frozen| frozen.reason.as_str());
    if out.json {
        return out.value(&json!({
            "environment": name, "was_held_by": run.id(), "held_by": next, "frozen": frozen,
        }));
    }
    let mut text = format!(
        "run {} no longer holds environment {name}: {why}\nan audit entry that is missing is \
         written within ten minutes\n",
        run.id()
    );
    if let Some(next) = next {
        text.push_str(&format!("run {next} holds the environment now\n"));
    }
    if let Some(reason) = frozen {
        text.push_str(&format!("the environment is frozen: {reason}\n"));
    }
    out.text(&text)
}

fn in_use(run: &RunId, sign: &Activity) -> Failure {
    let next = match sign {
        Activity::Execution { execution } => format!(
            "Wait for it with `sluicegate watch {run}`, or stop it with `aws stepfunctions \
             stop-execution --execution-arn {execution}`, which ends the run, and freezes the environment if \
             the run may have changed something."
        ),
        Activity::NewExecution { .. } => "Run the command again in 15 minutes.".to_owned(),
        Activity::Jobs { .. } => "The scheduled reconciliation terminates them within five \
             minutes. Run the command again when AWS Batch shows them as FAILED."
            .to_owned(),
    };
    Failure::new(
        Kind::StillInUse,
        format!("run {run} is still active: {sign}"),
        next,
    )
}
