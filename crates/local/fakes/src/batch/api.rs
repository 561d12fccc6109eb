//! The REST API: the operations, and the path of each.

mod jobs;
mod resources;

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) use self::jobs::resource;
use super::Batch;
use crate::aws_json::{self, Answer, Protocol, Refused};
use crate::service::{Failure, Request, Service};

/// The operations that the fake supports. Their names are those in the path.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are the names of the API")]
pub enum Operation {
    CancelJob,
    CreateComputeEnvironment,
    CreateJobQueue,
    DeleteComputeEnvironment,
    DeleteJobQueue,
    DeregisterJobDefinition,
    DescribeComputeEnvironments,
    DescribeJobDefinitions,
    DescribeJobQueues,
    DescribeJobs,
    DescribeSchedulingPolicies,
    ListJobs,
    ListSchedulingPolicies,
    ListTagsForResource,
    RegisterJobDefinition,
    SubmitJob,
    TagResource,
    TerminateJob,
    UntagResource,
    UpdateComputeEnvironment,
    UpdateJobQueue,
}

impl Service for Batch {
    type Operation = Operation;

    fn operation(head: &Parts) -> Option<Operation> {
        let path = head.uri.path().strip_prefix("/v1/")?;
        if path.starts_with("tags/") {
            return match head.method {
                Method::GET => Some(Operation::ListTagsForResource),
                Method::POST => Some(Operation::TagResource),
                Method::DELETE => Some(Operation::UntagResource),
                _ => None,
            };
        }
        let name: StrDeserializer<'_, Error> = path.into_deserializer();
        let operation = Operation::deserialize(name).ok();
        operation.filter(|_| head.method == Method::POST)
    }

    fn failure(_: Operation, failure: Failure) -> Response {
        let (status, name, message) = match failure {
            Failure::ServerError => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "ServerException",
                "Internal server error",
            ),
            Failure::RateLimit => (
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsException",
                "Too Many Requests",
            ),
        };
        let message = message.to_owned();
        Protocol::Rest.error(status, &Refused { name, message })
    }

    async fn respond(self: Arc<Self>, operation: Option<Operation>, request: Request) -> Response {
        Protocol::Rest.response(self.answer(operation, &request))
    }

    async fn stop(&self) {
        self.end_jobs().await;
    }
}

impl Batch {
    fn answer(self: &Arc<Self>, operation: Option<Operation>, request: &Request) -> Answer {
        let path = request.uri().path();
        let Some(operation) = operation else {
            let method = request.method();
            return refuse(format!("this fake does not support {method} {path}"));
        };
        let body = &aws_json::parse(request.body()).or_else(refuse)?;
        let arn = || decode(path.strip_prefix("/v1/tags/").unwrap_or_default());
        match operation {
            Operation::SubmitJob => self.submit_job(body),
            Operation::DescribeJobs => self.describe_jobs(body),
            Operation::ListJobs => self.list_jobs(body),
            Operation::TerminateJob => self.terminate_job(body),
            Operation::CancelJob => self.cancel_job(body),
            Operation::RegisterJobDefinition => self.register_job_definition(body),
            Operation::DeregisterJobDefinition => self.deregister_job_definition(body),
            Operation::DescribeJobDefinitions => self.describe_job_definitions(body),
            Operation::CreateJobQueue => self.create_job_queue(body),
            Operation::UpdateJobQueue => self.update_job_queue(body),
            Operation::DeleteJobQueue => self.delete_job_queue(body),
            Operation::DescribeJobQueues => self.describe_job_queues(body),
            Operation::CreateComputeEnvironment => self.create_compute_environment(body),
            Operation::UpdateComputeEnvironment => self.update_compute_environment(body),
            Operation::DeleteComputeEnvironment => self.delete_compute_environment(body),
            Operation::DescribeComputeEnvironments => self.describe_compute_environments(body),
            Operation::ListSchedulingPolicies | Operation::DescribeSchedulingPolicies => {
                Ok(json!({ "schedulingPolicies": [] }))
            }
            Operation::ListTagsForResource => self.list_tags(&arn()),
            Operation::TagResource => self.tag(&arn(), body),
            Operation::UntagResource => {
                self.untag(&arn(), &tag_keys(request.uri().query().unwrap_or_default()))
            }
        }
    }
}

/// Refuses a call with a `ClientException`.
pub(super) fn refuse<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        name: "ClientException",
        message: message.into(),
    })
}

/// Returns a required string member.
fn required<'a>(value: &'a Value, name: &str) -> Result<&'a str, Refused> {
    let given = aws_json::text(value, name).filter(|given| !given.is_empty());
    given.map_or_else(
        || {
            refuse(format!(
                "Error executing request, Exception : {name} is required"
            ))
        },
        Ok,
    )
}

/// Returns the values of `tagKeys` in a query string.
fn tag_keys(query: &str) -> Vec<String> {
    let values = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("tagKeys="));
    values
        .map(|value| decode(&value.replace('+', " ")))
        .collect()
}

/// Decodes a percent-encoded text.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'%').then(|| tail.get(..2)).flatten();
        let code = code.and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_keys_are_decoded() {
        assert_eq!(tag_keys("tagKeys=a%2Fb&x=1&tagKeys=c+d"), ["a/b", "c d"]);
        assert_eq!(tag_keys("tagKeys=100%"), ["100%"]);
    }
}
