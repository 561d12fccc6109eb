//! The JSON 1.1 API: the operations, which `X-Amz-Target` names.

mod builds;
mod projects;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::CodeBuild;
use crate::aws_json::{self, Answer, Protocol, Refused};
use crate::service::{Failure, Request, Service};

const TARGET: &str = "x-amz-target";
const PREFIX: &str = "CodeBuild_20161006.";

/// The operations that the fake supports. Their names are those in `X-Amz-Target`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[expect(missing_docs, reason = "they are the names of the API")]
pub enum Operation {
    BatchGetBuilds,
    BatchGetProjects,
    CreateProject,
    DeleteProject,
    ListBuilds,
    ListBuildsForProject,
    ListProjects,
    StartBuild,
    StopBuild,
    UpdateProject,
}

impl Service for CodeBuild {
    type Operation = Operation;

    fn operation(head: &Parts) -> Option<Operation> {
        let target = head.headers.get(TARGET)?.to_str().ok()?;
        let name: StrDeserializer<'_, Error> = target.strip_prefix(PREFIX)?.into_deserializer();
        Operation::deserialize(name).ok()
    }

    fn failure(_: Operation, failure: Failure) -> Response {
        let (status, name, message) = match failure {
            Failure::ServerError => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "Internal server error",
            ),
            Failure::RateLimit => (
                StatusCode::BAD_REQUEST,
                "ThrottlingException",
                "Rate exceeded",
            ),
        };
        let message = message.to_owned();
        Protocol::Json11.error(status, &Refused { name, message })
    }

    async fn respond(self: Arc<Self>, operation: Option<Operation>, request: Request) -> Response {
        Protocol::Json11.response(self.answer(operation, &request))
    }

    async fn stop(&self) {
        self.end_builds().await;
    }
}

impl CodeBuild {
    fn answer(self: &Arc<Self>, operation: Option<Operation>, request: &Request) -> Answer {
        let Some(operation) = operation else {
            let target = request.headers().get(TARGET);
            return invalid(format!("this fake does not support the target {target:?}"));
        };
        let body = &aws_json::parse(request.body()).or_else(invalid)?;
        match operation {
            Operation::CreateProject => self.create_project(body),
            Operation::UpdateProject => self.update_project(body),
            Operation::DeleteProject => self.delete_project(body),
            Operation::BatchGetProjects => self.batch_get_projects(body),
            Operation::ListProjects => self.list_projects(),
            Operation::StartBuild => self.start_build(body),
            Operation::BatchGetBuilds => self.batch_get_builds(body),
            Operation::ListBuilds => self.list_builds(None),
            Operation::ListBuildsForProject => self.list_builds_for_project(body),
            Operation::StopBuild => self.stop_build(body),
        }
    }
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        name: "InvalidInputException",
        message: message.into(),
    })
}

fn missing<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        name: "ResourceNotFoundException",
        message: message.into(),
    })
}

/// Returns a required string member.
fn required<'a>(value: &'a Value, name: &str) -> Result<&'a str, Refused> {
    let given = aws_json::text(value, name).filter(|given| !given.is_empty());
    given.map_or_else(|| invalid(format!("{name} is required")), Ok)
}
