//! The REST API: routes each path to its operation.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use serde_json::{Value, json};

use super::{Answer, Batch, Refused, refuse};

pub(super) fn router(batch: Arc<Batch>) -> Router {
    Router::new()
        .route("/v1/tags/{*arn}", any(tags))
        .route("/v1/{operation}", post(operation))
        .fallback(unknown)
        .with_state(batch)
}

async fn operation(
    State(batch): State<Arc<Batch>>,
    Path(operation): Path<String>,
    body: Bytes,
) -> Response {
    let request = match parse(&body) {
        Ok(request) => request,
        Err(refused) => return answer(Err(refused)),
    };
    let request = &request;
    answer(match operation.as_str() {
        "submitjob" => batch.submit_job(request),
        "describejobs" => batch.describe_jobs(request),
        "listjobs" => batch.list_jobs(request),
        "terminatejob" => batch.terminate_job(request),
        "canceljob" => batch.cancel_job(request),
        "registerjobdefinition" => batch.register_job_definition(request),
        "deregisterjobdefinition" => batch.deregister_job_definition(request),
        "describejobdefinitions" => batch.describe_job_definitions(request),
        "createjobqueue" => batch.create_job_queue(request),
        "updatejobqueue" => batch.update_job_queue(request),
        "deletejobqueue" => batch.delete_job_queue(request),
        "describejobqueues" => batch.describe_job_queues(request),
        "createcomputeenvironment" => batch.create_compute_environment(request),
        "updatecomputeenvironment" => batch.update_compute_environment(request),
        "deletecomputeenvironment" => batch.delete_compute_environment(request),
        "describecomputeenvironments" => batch.describe_compute_environments(request),
        "listschedulingpolicies" | "describeschedulingpolicies" => {
            Ok(json!({ "schedulingPolicies": [] }))
        }
        other => refuse(format!("this fake does not support the operation {other}")),
    })
}

async fn tags(
    State(batch): State<Arc<Batch>>,
    Path(arn): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
    body: Bytes,
) -> Response {
    answer(match method {
        Method::GET => batch.list_tags(&arn),
        Method::POST => parse(&body).and_then(|request| batch.tag(&arn, &request)),
        Method::DELETE => batch.untag(&arn, &tag_keys(&query.unwrap_or_default())),
        _ => refuse("tags know GET, POST and DELETE"),
    })
}

/// Returns the values of `tagKeys` in a query string.
fn tag_keys(query: &str) -> Vec<String> {
    let values = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("tagKeys="));
    values.map(decode).collect()
}

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
            bytes.push(if first == b'+' { b' ' } else { first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn parse(body: &[u8]) -> Result<Value, Refused> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| Refused(format!("the body is no JSON: {error}")))
}

fn answer(answer: Answer) -> Response {
    let json = ("content-type", "application/json");
    match answer {
        Ok(value) => ([json], value.to_string()).into_response(),
        Err(Refused(message)) => {
            let headers = [json, ("x-amzn-errortype", "ClientException")];
            let body = json!({ "message": message }).to_string();
            (StatusCode::BAD_REQUEST, headers, body).into_response()
        }
    }
}

async fn unknown() -> Response {
    answer(refuse("this fake does not support this path"))
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
