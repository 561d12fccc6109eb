//! Converts errors that Step Functions caught into step errors.

use crate::error::{ErrorName, StepError};
use crate::ids::BuildId;
use crate::step::CaughtError;
use crate::text;
use serde_json::Value;

/// The maximum length of a cause in a message, in characters.
pub(crate) const CAUSE_LIMIT: usize = 2000;

impl CaughtError {
    /// Returns the error under one of our names, with a message for a person.
    ///
    /// An error of a step keeps its name and message. An error of AWS gets the name for its source,
    /// and for whether a retry can help.
    #[must_use]
    pub fn to_step_error(&self) -> StepError {
        let cause: Option<Value> = serde_json::from_str(&self.cause).ok();
        let message = cause
            .as_ref()
            .and_then(message_of)
            .unwrap_or_else(|| self.cause.clone());
        let message = readable(&message);
        if let Some(name) = ErrorName::parse(&self.error) {
            return StepError::new(
                name,
                if message.is_empty() {
                    "no cause was given"
                } else {
                    &message
                },
            );
        }
        let (name, what) = sort(&self.error, cause.as_ref());
        let error = readable(&self.error);
        let text = match (what, message.is_empty()) {
            ("", true) => format!("{error}, without a cause"),
            ("", false) => format!("{error}: {message}"),
            (what, true) => format!("{what} ({error})"),
            (what, false) => format!("{what} ({error}): {message}"),
        };
        StepError::new(name, text)
    }
}

impl CaughtError {
    /// Returns whether the state exceeded its time limit, which a job that never started spent in its queue.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.error.as_str(),
            "States.Timeout" | "States.HeartbeatTimeout"
        )
    }
}

/// A build that CodeBuild reports as failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedBuild {
    /// The build's id, if the report has one.
    pub id: Option<BuildId>,
    /// What failed, for the middle of a sentence.
    pub part: &'static str,
    /// The reason that CodeBuild gives, if any.
    pub reason: Option<String>,
}

impl CaughtError {
    /// Returns the failed build that the cause describes, if it describes one.
    #[must_use]
    pub fn failed_build(&self) -> Option<FailedBuild> {
        let cause: Value = serde_json::from_str(&self.cause).ok()?;
        cause.get("Build")?;
        let id = cause.pointer("/Build/Id").and_then(Value::as_str);
        let failed = failed_phase(&cause);
        let phase = failed.and_then(|phase| phase.get("PhaseType")?.as_str());
        let reason = failed.map(phase_reason).filter(|reason| !reason.is_empty());
        Some(FailedBuild {
            id: id.and_then(|id| BuildId::parse(id).ok()),
            // As in terraform/modules/build/test.yml and image.yml.
            part: match phase {
                Some("PRE_BUILD") => "the tests",
                Some("BUILD") => "the image build",
                Some("POST_BUILD") => "the push of the image",
                _ => "the build",
            },
            reason: reason.map(readable),
        })
    }
}

/// Returns our name for an error of AWS, and an explanation where the error has none of its own.
fn sort(error: &str, cause: Option<&Value>) -> (ErrorName, &'static str) {
    match error {
        "States.Timeout" | "States.HeartbeatTimeout" => {
            (ErrorName::JobLost, "a state exceeded its time limit")
        }
        "States.TaskFailed" if cause.is_some_and(|cause| cause.get("Build").is_some()) => {
            (ErrorName::BuildFailed, "the build failed")
        }
        "States.TaskFailed" if cause.is_some_and(|cause| cause.get("JobId").is_some()) => {
            (ErrorName::JobLost, "a job ended without a result")
        }
        "States.TaskFailed" => (ErrorName::JobLost, "a task failed"),
        "States.Permissions" => (
            ErrorName::AwsDenied,
            "the state machine's role lacks a permission",
        ),
        "Lambda.Unknown" | "Sandbox.Timedout" | "Runtime.ExitError" => (
            ErrorName::Internal,
            "a function ended without a result; its log shows why",
        ),
        _ if error.starts_with("States.") => {
            (ErrorName::Internal, "the state machine itself failed")
        }
        _ => match error.split_once('.') {
            Some(("Lambda" | "Batch" | "CodeBuild", exception)) => (exception_name(exception), ""),
            _ => (ErrorName::Internal, ""),
        },
    }
}

/// Returns our name for an exception of an AWS API.
fn exception_name(exception: &str) -> ErrorName {
    let has = |parts: &[&str]| parts.iter().any(|part| exception.contains(part));
    if has(&["Throttl", "TooManyRequests", "LimitExceeded"]) {
        ErrorName::AwsThrottled
    } else if has(&["AccessDenied", "Unauthorized"]) {
        ErrorName::AwsDenied
    } else if has(&[
        "ServerException",
        "ServiceException",
        "ServiceUnavailable",
        "InternalError",
        "AWSLambdaException",
        "SdkClientException",
        "NotReady",
    ]) {
        ErrorName::AwsUnavailable
    } else {
        ErrorName::AwsRefused
    }
}

/// Returns the message in a cause: a Lambda's error, or the end of a Batch job or a build.
fn message_of(cause: &Value) -> Option<String> {
    let text = |pointer: &str| cause.pointer(pointer).and_then(Value::as_str);
    if let Some(message) = text("/errorMessage") {
        return Some(message.to_owned());
    }
    if let Some(job) = text("/JobId") {
        let name = text("/JobName").unwrap_or(job);
        let status = text("/Status").unwrap_or("FAILED");
        let mut message = format!("job {name} ended {status}");
        let reasons = [text("/StatusReason"), text("/Container/Reason")];
        for reason in reasons.into_iter().flatten() {
            message.push_str(", ");
            message.push_str(reason);
        }
        if let Some(code) = cause.pointer("/Container/ExitCode").and_then(Value::as_i64) {
            message.push_str(&format!(", exit code {code}"));
        }
        return Some(message);
    }
    if cause.get("Build").is_some() {
        let id = text("/Build/Id").unwrap_or("without id");
        let status = text("/Build/BuildStatus").unwrap_or("FAILED");
        let phase = failed_phase(cause)
            .and_then(phase_message)
            .unwrap_or_default();
        return Some(format!("build {id} ended {status}{phase}"));
    }
    None
}

fn failed_phase(cause: &Value) -> Option<&Value> {
    let phases = cause.pointer("/Build/Phases")?.as_array()?;
    phases.iter().find(|phase| {
        phase
            .get("PhaseStatus")
            .and_then(Value::as_str)
            .is_some_and(|status| status != "SUCCEEDED")
    })
}

fn phase_message(failed: &Value) -> Option<String> {
    let name = failed.get("PhaseType").and_then(Value::as_str)?;
    Some(format!(" in phase {name}: {}", phase_reason(failed)))
}

fn phase_reason(failed: &Value) -> &str {
    let message = failed
        .pointer("/Contexts/0/Message")
        .and_then(Value::as_str);
    without_script(message.unwrap_or_default())
}

/// Removes the command that CodeBuild quotes before the reason. For a script, only the reason
/// matters.
fn without_script(message: &str) -> &str {
    match message.rsplit_once(". Reason: ") {
        Some((command, reason)) if command.contains('\n') => reason,
        _ => message,
    }
}

/// Returns the text without what a terminal would act on, cut at [`CAUSE_LIMIT`].
fn readable(text: &str) -> String {
    text::lines(text, CAUSE_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(error: &str, cause: &str) -> String {
        let caught = CaughtError {
            error: error.into(),
            cause: cause.into(),
        };
        caught.to_step_error().to_string()
    }

    #[test]
    fn our_own_errors_keep_name_and_message() {
        let cause = r#"{"errorType":"PlanFailed","errorMessage":"stack data: invalid"}"#;
        assert_eq!(
            named("PlanFailed", cause),
            "PlanFailed: stack data: invalid"
        );
        assert_eq!(named("StalePlan", ""), "StalePlan: no cause was given");
        assert_eq!(named("LockLost", "plain text"), "LockLost: plain text");
    }

    #[test]
    fn what_aws_named_is_sorted() {
        let job = r#"{"JobId":"1","JobName":"apply-data-1","Status":"FAILED",
            "StatusReason":"Task failed to start","Container":{"Reason":"OutOfMemoryError","ExitCode":137}}"#;
        let build = r#"{"Build":{"Id":"b:1","BuildStatus":"FAILED","Phases":[
            {"PhaseType":"SUBMITTED","PhaseStatus":"SUCCEEDED"},
            {"PhaseType":"BUILD","PhaseStatus":"FAILED","Contexts":[{"Message":"exit status 1"}]}]}}"#;
        let lines: Vec<String> = [
            ("States.Timeout", ""),
            ("States.TaskFailed", job),
            ("States.TaskFailed", build),
            ("States.TaskFailed", ""),
            ("States.Permissions", "not authorized"),
            ("States.QueryEvaluationError", "bad expression"),
            ("Lambda.TooManyRequestsException", "Rate Exceeded."),
            ("Lambda.ServiceException", ""),
            ("Lambda.Unknown", "The cause could not be determined"),
            ("Batch.ClientException", "JobQueue not found"),
            ("Batch.ServerException", "oops"),
            ("CodeBuild.AccountLimitExceededException", "limit"),
            ("CodeBuild.InvalidInputException", "source"),
            ("Surprise", "\u{1b}[31mred\u{1b}[0m"),
        ]
        .into_iter()
        .map(|(error, cause)| named(error, cause))
        .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    proptest! {
        #[test]
        fn any_error_gets_a_name_and_a_short_readable_message(error in any::<String>(), cause in ".{0,5000}") {
            let caught = CaughtError { error, cause };
            let named = caught.to_step_error();
            prop_assert!(named.message.chars().all(|c| !c.is_control() || c == '\n'));
            prop_assert!(named.message.chars().count() < 3 * CAUSE_LIMIT);
        }
    }
}
