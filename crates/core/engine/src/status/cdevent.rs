use super::{StatusData, Transition};
use cdevents_sdk::spec_0_5_1::{
    artifact_published, pipelinerun_finished, pipelinerun_queued, pipelinerun_started,
    service_deployed, service_rolledback, taskrun_finished, taskrun_started,
};
use cdevents_sdk::{CDEvent, Content, Id, Subject, Uri, UriReference};
use cloudevents::Event;
use domain::ids::RunId;
use domain::plan::LegKind;
use domain::release::Artifact;
use domain::run::{Conclusion, Outcome, Run};
use jiff::Timestamp;
use std::fmt::Display;
use uuid::Uuid;

/// The UUIDv5 namespace of message ids.
const NAMESPACE: Uuid = Uuid::from_u128(0x9d1d_55c2_2f0c_4d7e_8a6b_51c3_07f4_e0a1);

/// A status message to send to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusMessage {
    /// The message id. A transition of a run always has the same id, so the queue drops a second
    /// copy.
    pub id: String,
    /// The message group. Messages of one run arrive in order.
    pub group: String,
    /// A CDEvent, in the structured JSON form of CloudEvents 1.0.
    pub body: String,
}

/// A message could not be written. Values of the closed types never cause this.
#[derive(Debug, thiserror::Error)]
#[error("write the status message {transition} of run {run}: {reason}")]
pub struct MessageError {
    run: RunId,
    transition: &'static str,
    reason: String,
}

/// Returns the message of a transition.
///
/// # Errors
/// Fails with [`MessageError`], which values of the closed types never cause.
pub fn message(
    run: &Run,
    transition: &Transition,
    at: Timestamp,
) -> Result<StatusMessage, MessageError> {
    let data = StatusData::new(run, transition);
    let id = Uuid::new_v5(&NAMESPACE, key(run, transition).as_bytes()).to_string();
    let body = body(run, transition, at, &id, &data).map_err(|error| MessageError {
        run: run.id().clone(),
        transition: data.transition.as_str(),
        reason: error.to_string(),
    })?;
    Ok(StatusMessage {
        id,
        group: run.id().to_string(),
        body,
    })
}

/// Returns a text that identifies a transition of a run. It depends only on the transition itself,
/// because a transition may be announced again after the run has continued.
fn key(run: &Run, transition: &Transition) -> String {
    let word = transition.kind().as_str();
    let leg = match transition {
        Transition::PlanStarted(LegKind::Rollback, ..)
        | Transition::PlanFinished(LegKind::Rollback, ..)
        | Transition::PlanFailed(LegKind::Rollback, ..)
        | Transition::ApplyStarted(LegKind::Rollback, ..)
        | Transition::ApplyFinished(LegKind::Rollback, ..)
        | Transition::ApplyFailed(LegKind::Rollback, ..)
        | Transition::DeployStarted(LegKind::Rollback)
        | Transition::DeployHealthy(LegKind::Rollback)
        | Transition::DeployFailed(LegKind::Rollback, _) => "rollback",
        _ => "forward",
    };
    let (stack, attempt) = transition.stack();
    let stack = stack.map_or("", |stack| stack.as_str());
    let attempt = attempt.unwrap_or_default();
    format!("v2|{}|{word}|{leg}|{stack}|{attempt}", run.id())
}

type Problem = Box<dyn std::error::Error + Send + Sync>;

fn body(
    run: &Run,
    transition: &Transition,
    at: Timestamp,
    id: &str,
    data: &StatusData,
) -> Result<String, Problem> {
    let source = source(data);
    let (about, content) = content(run, transition, data)?;
    let subject = Subject::from(content)
        .with_id(Id::try_from(about)?)
        .with_source(UriReference::try_from(source.as_str())?);
    let event = CDEvent::from(subject)
        .with_id(Id::try_from(id)?)
        .with_source(UriReference::try_from(source.as_str())?)
        .with_timestamp(time::OffsetDateTime::from_unix_timestamp_nanos(
            at.as_nanosecond(),
        )?)
        .with_custom_data(serde_json::to_value(data)?)
        .with_custom_data_content_type("application/json".into());
    Ok(serde_json::to_string(&Event::try_from(event)?)?)
}

fn source(data: &StatusData) -> String {
    match &data.environment {
        Some(environment) => format!("/sluicegate/{}/{environment}", data.repository),
        None => format!("/sluicegate/{}", data.repository),
    }
}

/// Returns the subject of the event, and the content that its type requires.
fn content(
    run: &Run,
    transition: &Transition,
    data: &StatusData,
) -> Result<(String, Content), Problem> {
    let whole = run.id().to_string();
    Ok(match transition {
        Transition::Claimed => {
            let content = pipelinerun_queued::Content {
                pipeline_name: Some(pipeline(run)),
                uri: Some(execution(run)?),
            };
            (whole, content.into())
        }
        Transition::Sealed => {
            let content = pipelinerun_started::Content {
                pipeline_name: pipeline(run),
                uri: execution(run)?,
            };
            (whole, content.into())
        }
        Transition::Finished(outcome) => {
            let content = pipelinerun_finished::Content {
                errors: errors(data),
                outcome: Some(pipeline_outcome(*outcome)),
                pipeline_name: Some(pipeline(run)),
                uri: Some(execution(run)?),
            };
            (whole, content.into())
        }
        Transition::BuildStarted => started(run, "build", &task(run, "build"))?,
        Transition::BuildFailed => finished(data, "build", &task(run, "build"), false)?,
        Transition::ImageReady => {
            let content = artifact_published::Content {
                sbom: None,
                user: None,
            };
            (artifact(run, data.leg), content.into())
        }
        Transition::ValidationStarted(..) => {
            started(run, "validate", &stack_task(data, "validate"))?
        }
        Transition::ValidationFinished(..) => {
            finished(data, "validate", &stack_task(data, "validate"), true)?
        }
        Transition::ValidationFailed(..) => {
            finished(data, "validate", &stack_task(data, "validate"), false)?
        }
        Transition::PlanStarted(..) => started(run, "plan", &stack_task(data, "plan"))?,
        Transition::PlanFinished(..) => finished(data, "plan", &stack_task(data, "plan"), true)?,
        Transition::PlanFailed(..) => finished(data, "plan", &stack_task(data, "plan"), false)?,
        Transition::ApplyStarted(..) => started(run, "apply", &stack_task(data, "apply"))?,
        Transition::ApplyFinished(..) => finished(data, "apply", &stack_task(data, "apply"), true)?,
        Transition::ApplyFailed(..) => finished(data, "apply", &stack_task(data, "apply"), false)?,
        Transition::DeployStarted(leg) => started(run, "deploy", &rollout_task(run, *leg))?,
        Transition::DeployFailed(leg, _) => {
            finished(data, "deploy", &rollout_task(run, *leg), false)?
        }
        Transition::DeployHealthy(LegKind::Forward) => {
            let content = service_deployed::Content {
                artifact_id: Id::try_from(artifact(run, data.leg))?,
                environment: service_deployed::ContentEnvironment {
                    id: Id::try_from(environment(data))?,
                    source: None,
                },
            };
            (service(data), content.into())
        }
        Transition::DeployHealthy(LegKind::Rollback) => {
            let content = service_rolledback::Content {
                artifact_id: Id::try_from(artifact(run, data.leg))?,
                environment: service_rolledback::ContentEnvironment {
                    id: Id::try_from(environment(data))?,
                    source: None,
                },
            };
            (service(data), content.into())
        }
        Transition::LockWaiting(_) => own(whole, "environment", "waited"),
        Transition::StackSkipped(stack, _) => {
            let about = format!("{whole}/stack-{stack}");
            own(about, "stack", "skipped")
        }
        Transition::LockHeld => own(whole, "environment", "acquired"),
        Transition::Superseded => own(whole, "run", "superseded"),
        Transition::ApprovalRequested(..) => own(whole, "approval", "requested"),
        Transition::ApprovalGranted(..) => own(whole, "approval", "granted"),
        Transition::ApprovalDenied(..) => own(whole, "approval", "denied"),
        Transition::Promoted => own(whole, "environment", "promoted"),
        Transition::RollbackStarted => own(whole, "rollback", "started"),
        Transition::RolledBack => own(whole, "rollback", "finished"),
    })
}

/// Returns an event without a type in CDEvents, named by the specification's rule for custom
/// events.
fn own(about: String, subject: &str, predicate: &str) -> (String, Content) {
    let content = Content::Custom {
        ty: format!("dev.cdeventsx.sluicegate-{subject}.{predicate}.0.1.0"),
        json: serde_json::json!({}),
    };
    (about, content)
}

fn started(run: &Run, name: &str, task: &str) -> Result<(String, Content), Problem> {
    let content = taskrun_started::Content {
        pipeline_run: Some(taskrun_started::ContentPipelineRun {
            id: Id::try_from(run.id().as_str())?,
            source: None,
        }),
        task_name: Some(name.to_owned()),
        uri: None,
    };
    Ok((task.to_owned(), content.into()))
}

fn finished(
    data: &StatusData,
    name: &str,
    task: &str,
    success: bool,
) -> Result<(String, Content), Problem> {
    let content = taskrun_finished::Content {
        errors: if success { None } else { errors(data) },
        outcome: Some(if success { "success" } else { "failure" }.to_owned()),
        pipeline_run: Some(taskrun_finished::ContentPipelineRun {
            id: Id::try_from(data.run.as_str())?,
            source: None,
        }),
        task_name: Some(name.to_owned()),
        uri: None,
    };
    Ok((task.to_owned(), content.into()))
}

fn errors(data: &StatusData) -> Option<String> {
    data.error
        .as_ref()
        .map(|error| format!("{}: {}", error.name, error.message))
}

fn pipeline_outcome(outcome: Outcome) -> pipelinerun_finished::ContentOutcome {
    use pipelinerun_finished::ContentOutcome;
    match outcome.conclusion() {
        Conclusion::Success => ContentOutcome::Success,
        Conclusion::Cancelled => ContentOutcome::Cancel,
        Conclusion::Failure => ContentOutcome::Failure,
        Conclusion::Error => ContentOutcome::Error,
    }
}

/// Returns the name of the pipeline of a repository's branch.
fn pipeline(run: &Run) -> String {
    let branch = run.trigger().branch().as_str();
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    format!("{}@{branch}", run.trigger().repository().full_name)
}

/// Returns the execution's ARN as a URI, or a URN of the run if the execution has no ARN.
fn execution(run: &Run) -> Result<Uri, Problem> {
    let uri = if run.execution().starts_with("arn:") {
        Uri::try_from(run.execution())
    } else {
        Uri::try_from(format!("urn:sluicegate:run:{}", run.id()))
    };
    Ok(uri?)
}

fn task(run: &Run, verb: &str) -> String {
    format!("{}/{verb}", run.id())
}

fn rollout_task(run: &Run, leg: LegKind) -> String {
    match leg {
        LegKind::Forward => task(run, "deploy"),
        LegKind::Rollback => task(run, "rollback-deploy"),
    }
}

fn stack_task(data: &StatusData, verb: &str) -> String {
    let leg = match data.leg {
        LegKind::Forward => "",
        LegKind::Rollback => "rollback-",
    };
    let stack: &dyn Display = match &data.stack {
        Some(stack) => stack,
        None => &"",
    };
    let attempt = data.attempt.unwrap_or_default();
    format!("{}/{leg}{verb}-{stack}-{attempt}", data.run)
}

/// Returns the artifact of a leg as a package URL.
fn artifact(run: &Run, leg: LegKind) -> String {
    let name = run
        .trigger()
        .repository()
        .full_name
        .name()
        .to_ascii_lowercase();
    let artifact = match (leg, run.rollback()) {
        (LegKind::Rollback, Some(rollback)) => {
            rollback.target().and_then(|good| good.artifact.as_ref())
        }
        _ => run.artifact(),
    };
    match artifact {
        Some(Artifact::Image { digest }) => {
            format!("pkg:oci/{name}@{}", digest.as_str().replace(':', "%3A"))
        }
        None => format!("pkg:oci/{name}"),
    }
}

fn environment(data: &StatusData) -> &str {
    data.environment
        .as_ref()
        .map_or("unknown", |environment| environment.as_str())
}

fn service(data: &StatusData) -> String {
    format!("{}/{}", data.repository, environment(data))
}

#[cfg(all(test, feature = "fakes"))]
mod tests;
