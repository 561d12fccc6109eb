//! `sluicegate unfreeze`

use crate::args::Unfreeze;
use crate::failure::{Failure, Kind, Outcome};
use crate::output::Output;
use crate::pipeline::Pipeline;
use domain::environment::Environment;
use domain::ids::EnvironmentName;
use engine::documents::{environment_key, load};
use engine::environments::Environments;
use serde_json::json;

/// Unfreezes an environment, so that runs can use it again.
///
/// # Errors
/// Fails if the environment does not exist, and with the errors of the table, of Step Functions and
/// of the output.
pub async fn unfreeze(pipeline: &Pipeline, args: &Unfreeze, out: &mut Output<'_>) -> Outcome {
    let repository = args.repository;
    let next = "`sluicegate runs` lists the runs; `sluicegate show` with the id of one names the repository's key and the environment.";
    let name = EnvironmentName::parse(&args.environment)
        .map_err(|error| Failure::new(Kind::ArgumentInvalid, error.to_string(), next))?;
    let key = environment_key(repository, &name);
    let known: Option<Environment> = load(&*pipeline.table, &key).await?;
    if known.is_none() {
        let what = format!("repository {repository} has no environment {name}");
        return Err(Failure::new(Kind::EnvironmentNotFound, what, next));
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
