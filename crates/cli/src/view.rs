//! The JSON view of a run. It leaves out what must not be shown, such as task tokens.

use crate::text;
use domain::error::StepError;
use domain::rollout::Rollout;
use domain::run::{Leg, Run, StackRun};
use serde::Serialize;
use serde_json::{Value, json};

/// The view of a run in a list.
#[derive(Debug, Clone, Serialize)]
pub struct Brief {
    run: String,
    state: String,
    outcome: Option<&'static str>,
    repository: String,
    repository_key: String,
    environment: Option<String>,
    branch: String,
    commit: String,
    subject: Option<String>,
    started_at: String,
    ended_at: Option<String>,
}

impl Brief {
    /// Returns the brief view of a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let trigger = run.trigger();
        let repository = trigger.repository();
        Self {
            run: run.id().to_string(),
            state: text::state(run),
            outcome: run.end().map(|end| end.outcome.as_str()),
            repository: repository.full_name.to_string(),
            repository_key: repository.key.to_string(),
            environment: run.environment().map(ToString::to_string),
            branch: trigger.branch().to_string(),
            commit: trigger.commit().to_string(),
            subject: run.subject().map(str::to_owned),
            started_at: text::time(run.started_at()),
            ended_at: run.end().map(|end| text::time(end.at)),
        }
    }
}

/// Returns everything of a run that may be shown.
///
/// # Errors
/// The errors of the JSON writer.
pub fn full(run: &Run) -> Result<Value, serde_json::Error> {
    let mut view = serde_json::to_value(Brief::of(run))?;
    let trigger = run.trigger();
    let more = json!({
        "trigger": trigger.kind(),
        "goal": run.goal(),
        "author": run.author(),
        "actor": trigger.actor(),
        "received_at": text::time(trigger.received_at()),
        "execution": run.execution(),
        "artifact": run.artifact(),
        "legs": run.legs().map(leg).collect::<Vec<_>>(),
        "error": run.failure().map(|failure| error(&failure.error)),
        "rollback": run.rollback_outcome(),
        "rollback_error": run.rollback_error().map(error),
        "promoted_at": run.promoted_at().map(text::time),
        "audit_seq": run.end().and_then(|end| end.audit_seq),
        "next": text::next(run),
    });
    if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
        view.extend(more);
    }
    Ok(view)
}

fn error(error: &StepError) -> Value {
    json!({"name": error.name.as_str(), "message": error.message})
}

fn leg(leg: &Leg) -> Value {
    json!({
        "kind": leg.kind(),
        "commit": leg.commit(),
        "source_sha256": leg.source().map(|source| &source.sha256),
        "since": text::time(leg.since()),
        "stacks": leg.stacks().iter().map(stack).collect::<Vec<_>>(),
        "rollouts": leg.rollouts().iter().map(rollout).collect::<Vec<_>>(),
    })
}

fn stack(stack: &StackRun) -> Value {
    json!({
        "stack": stack.name(),
        "dir": stack.spec().dir,
        "plan_kind": stack.plan_kind(),
        "state": text::stack_state(stack),
        "since": text::time(stack.since()),
        "plan": stack.plan(),
        "unrecorded": stack.unrecorded(),
        "warnings": stack.warnings(),
    })
}

fn rollout(rollout: &Rollout) -> Value {
    json!({
        "release": rollout.release,
        "commit": rollout.commit,
        "url": rollout.url,
        "since": text::time(rollout.since),
        "deadline": text::time(rollout.deadline),
        "healthy_at": rollout.healthy_at.map(text::time),
    })
}
