//! A run as JSON. Not the record itself: that one holds task tokens.

use crate::text;
use domain::error::StepError;
use domain::run::{Build, Rollout, Run, StackRun};
use serde::Serialize;
use serde_json::{Value, json};

/// A run in a list.
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
    /// The brief form of a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let trigger = &run.trigger;
        let end = run.end.as_ref();
        Self {
            run: run.id.to_string(),
            state: text::state(run),
            outcome: end.map(|end| end.outcome.as_str()),
            repository: trigger.repository.to_string(),
            repository_key: trigger.repository_key.to_string(),
            environment: run
                .config
                .as_ref()
                .map(|config| config.environment.to_string()),
            branch: trigger.branch.to_string(),
            commit: trigger.commit.to_string(),
            subject: run.source.as_ref().map(|source| source.subject.clone()),
            started_at: text::time(run.started_at),
            ended_at: end.map(|end| text::time(end.at)),
        }
    }
}

/// All of a run that may be shown.
///
/// # Errors
/// Those of the JSON writer.
pub fn full(run: &Run) -> Result<Value, serde_json::Error> {
    let mut view = serde_json::to_value(Brief::of(run))?;
    let more = json!({
        "author": run.source.as_ref().map(|source| &source.author),
        "pusher": run.trigger.pusher,
        "received_at": text::time(run.trigger.received_at),
        "execution": run.execution,
        "source_sha256": run.source.as_ref().map(|source| &source.archive.sha256),
        "image": match &run.build {
            Build::Ready { digest, .. } => Some(digest),
            Build::None | Build::Started { .. } | Build::Failed => None,
        },
        "stacks": run.stacks.iter().map(stack).collect::<Vec<_>>(),
        "deploy": run.deploy.as_ref().map(rollout),
        "error": run.failure.as_ref().map(|failure| error(&failure.error)),
        "restore": run.restore.as_ref().map(|restore| json!({
            "to": restore.target.commit,
            "stacks": restore.stacks.iter().map(stack).collect::<Vec<_>>(),
            "deploy": restore.deploy.as_ref().map(rollout),
        })),
        "rollback": domain::audit::RollbackEntry::of(run).map(|came| json!({
            "result": came.result,
            "error": came.error.as_ref().map(error),
        })),
        "promoted_at": run.promoted_at.map(text::time),
        "audit_seq": run.end.as_ref().and_then(|end| end.audit_seq),
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

fn stack(stack: &StackRun) -> Value {
    json!({
        "stack": stack.stack.name,
        "dir": stack.stack.dir,
        "plan_kind": stack.plan_kind,
        "state": text::stack_state(stack),
        "plan": stack.plan,
    })
}

fn rollout(rollout: &Rollout) -> Value {
    json!({
        "cluster": rollout.cluster,
        "service": rollout.service,
        "task_definition": rollout.task_definition,
        "image": rollout.image,
        "commit": rollout.commit,
        "url": rollout.url,
        "since": text::time(rollout.since),
        "deadline": text::time(rollout.deadline),
        "healthy_at": rollout.healthy_at.map(text::time),
    })
}
