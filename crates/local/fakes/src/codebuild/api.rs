//! The JSON 1.1 API: routes each `X-Amz-Target` to its operation.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Answer, CodeBuild, Refused, invalid};

const SERVICE: &str = "CodeBuild_20161006.";

pub(super) fn router(codebuild: Arc<CodeBuild>) -> Router {
    Router::new().fallback(operation).with_state(codebuild)
}

async fn operation(
    State(codebuild): State<Arc<CodeBuild>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    let operation = target
        .and_then(|target| target.strip_prefix(SERVICE))
        .unwrap_or_default();
    let json = ("content-type", "application/x-amz-json-1.1");
    match parse(&body).and_then(|request| dispatch(&codebuild, operation, &request)) {
        Ok(value) => ([json], value.to_string()).into_response(),
        Err(Refused { name, message }) => {
            let body = json!({ "__type": name, "message": message }).to_string();
            (
                StatusCode::BAD_REQUEST,
                [json, ("x-amzn-errortype", name)],
                body,
            )
                .into_response()
        }
    }
}

fn dispatch(codebuild: &Arc<CodeBuild>, operation: &str, request: &Value) -> Answer {
    match operation {
        "CreateProject" => codebuild.create_project(request),
        "UpdateProject" => codebuild.update_project(request),
        "DeleteProject" => codebuild.delete_project(request),
        "BatchGetProjects" => codebuild.batch_get_projects(request),
        "ListProjects" => codebuild.list_projects(),
        "StartBuild" => codebuild.start_build(request),
        "BatchGetBuilds" => codebuild.batch_get_builds(request),
        "ListBuilds" => codebuild.list_builds(None),
        "ListBuildsForProject" => codebuild.list_builds_for_project(request),
        "StopBuild" => codebuild.stop_build(request),
        other => invalid(format!(
            "this fake does not support the operation {other:?}"
        )),
    }
}

fn parse(body: &[u8]) -> Result<Value, Refused> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body)
        .map_or_else(|error| invalid(format!("the body is no JSON: {error}")), Ok)
}
