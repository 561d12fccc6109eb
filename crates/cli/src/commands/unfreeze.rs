//! `sluicegate unfreeze`

use crate::args::OfEnvironment;
use crate::failure::Outcome;
use crate::output::Output;
use crate::pipeline::Pipeline;
use engine::environments::Environments;
use serde_json::json;

/// Unfreezes an environment, so that runs can use it again.
///
/// # Errors
/// Fails if the environment does not exist, and with the errors of the table, of Step Functions and
/// of the output.
pub async fn unfreeze(pipeline: &Pipeline, args: &OfEnvironment, out: &mut Output<'_>) -> Outcome {
    let known = super::environment(&*pipeline.table, args).await?;
    let (repository, name) = (args.repository, known.name().clone());
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
