//! Request routing, and the REST API.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as From};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{Fault, FaultKind, Side};
use super::{DEFAULT_BRANCH, Entry, GitHub, Repository, Status, git_http};
use crate::server::CutConnection;

/// The maximum size of a push, in bytes.
const LARGEST_BODY: usize = 256 * 1024 * 1024;
const LONGEST_DESCRIPTION: usize = 140;
/// The maximum number of statuses for one commit and context, as on GitHub.
const MOST_STATUSES: usize = 1000;

pub(super) fn router(github: Arc<GitHub>) -> Router {
    Router::new()
        .fallback(any)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(github)
}

async fn any(
    From(github): From<Arc<GitHub>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let side = match parts.as_slice() {
        ["_fake", rest @ ..] => return control(&github, &method, rest, &body),
        [_, repository, _, ..] if repository.ends_with(".git") => Side::Git,
        _ => Side::Api,
    };
    let fault = github
        .state()
        .faults
        .meet(side, method.as_str(), uri.path());
    if let Some(kind) = fault {
        return fail(side, kind).await;
    }
    if !authorized(&github, side, &headers) {
        return unauthorized(side);
    }
    match (side, &method, parts.as_slice()) {
        (Side::Git, _, [owner, repository, rest @ ..]) => {
            let name = repository.trim_end_matches(".git");
            let Some(entry) = find(&github, owner, name) else {
                return (StatusCode::NOT_FOUND, "Repository not found.").into_response();
            };
            let request = git_http::Request {
                method: &method,
                path: &rest.join("/"),
                query: uri.query().unwrap_or_default(),
                headers: &headers,
                body: &body,
            };
            git_http::answer(&entry.bare, &request).await
        }
        (Side::Api, method, ["repos", owner, name, rest @ ..]) => {
            let Some(entry) = find(&github, owner, name) else {
                return not_found();
            };
            repository(&github, &entry, method, rest, &body).await
        }
        _ => not_found(),
    }
}

/// Serves the control API for tests: `GET|POST|DELETE /_fake/faults`, `GET /_fake/calls`.
fn control(github: &GitHub, method: &Method, parts: &[&str], body: &[u8]) -> Response {
    let mut state = github.state();
    match (method, parts) {
        (&Method::POST, ["faults"]) => match serde_json::from_slice::<Fault>(body) {
            Ok(fault) => {
                state.faults.order(fault);
                StatusCode::NO_CONTENT.into_response()
            }
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        },
        (&Method::DELETE, ["faults"]) => {
            state.faults.heal();
            StatusCode::NO_CONTENT.into_response()
        }
        (&Method::GET, ["calls"]) => reply(StatusCode::OK, &json!(state.faults.calls())),
        _ => not_found(),
    }
}

async fn fail(side: Side, kind: FaultKind) -> Response {
    match (kind, side) {
        (FaultKind::ServerError, _) => reply(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "message": "Server Error" }),
        ),
        (FaultKind::RateLimit, Side::Git) => (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", "60")],
            "Too many requests",
        )
            .into_response(),
        (FaultKind::RateLimit, Side::Api) => {
            let body = json!({ "message": "API rate limit exceeded for user ID 1." });
            let headers = [
                ("x-ratelimit-limit", "5000"),
                ("x-ratelimit-remaining", "0"),
                ("retry-after", "60"),
            ];
            (headers, reply(StatusCode::FORBIDDEN, &body)).into_response()
        }
        (FaultKind::Hang, _) => std::future::pending().await,
        (FaultKind::Close, _) => {
            let mut response = StatusCode::OK.into_response();
            response.extensions_mut().insert(CutConnection);
            response
        }
    }
}

fn authorized(github: &GitHub, side: Side, headers: &HeaderMap) -> bool {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let Some((scheme, secret)) = given.and_then(|given| given.split_once(' ')) else {
        return false;
    };
    let token = match (side, scheme.to_ascii_lowercase().as_str()) {
        (Side::Api, "bearer" | "token") => secret.to_owned(),
        (Side::Git, "basic") => {
            let pair = STANDARD.decode(secret).ok();
            let pair = pair
                .and_then(|pair| String::from_utf8(pair).ok())
                .unwrap_or_default();
            pair.split_once(':')
                .map(|(_, token)| token.to_owned())
                .unwrap_or_default()
        }
        _ => return false,
    };
    !token.is_empty() && token == github.config.token
}

fn unauthorized(side: Side) -> Response {
    match side {
        Side::Api => reply(
            StatusCode::UNAUTHORIZED,
            &json!({ "message": "Bad credentials" }),
        ),
        Side::Git => {
            let realm = [("www-authenticate", "Basic realm=\"GitHub\"")];
            (StatusCode::UNAUTHORIZED, realm, "Authentication failed.").into_response()
        }
    }
}

fn find(github: &GitHub, owner: &str, name: &str) -> Option<Entry> {
    github
        .state()
        .repositories
        .get(&format!("{owner}/{name}"))
        .cloned()
}

async fn repository(
    github: &GitHub,
    entry: &Entry,
    method: &Method,
    rest: &[&str],
    body: &[u8],
) -> Response {
    match (method, rest) {
        (&Method::GET, []) => reply(StatusCode::OK, &about(entry)),
        (&Method::POST, ["statuses", commit]) => set_status(github, entry, commit, body).await,
        (&Method::GET, ["statuses", commit] | ["commits", commit, "statuses"]) => {
            let statuses = github.state().statuses_of(&entry.full_name, commit);
            reply(StatusCode::OK, &json!(statuses))
        }
        (&Method::GET, ["commits", commit, "status"]) => {
            let statuses = github.state().statuses_of(&entry.full_name, commit);
            reply(StatusCode::OK, &combined(entry, commit, statuses))
        }
        _ => not_found(),
    }
}

fn about(entry: &Entry) -> Value {
    let (owner, name) = entry.full_name.split_once('/').unwrap_or_default();
    json!({
        "id": entry.id,
        "name": name,
        "full_name": entry.full_name,
        "owner": { "login": owner },
        "private": true,
        "default_branch": DEFAULT_BRANCH,
    })
}

#[derive(Deserialize)]
struct NewStatus {
    state: String,
    context: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
}

async fn set_status(github: &GitHub, entry: &Entry, commit: &str, body: &[u8]) -> Response {
    let new: NewStatus = match serde_json::from_slice(body) {
        Ok(new) => new,
        Err(error) => {
            let body = json!({ "message": format!("Problems parsing JSON: {error}") });
            return reply(StatusCode::BAD_REQUEST, &body);
        }
    };
    let long = |text: &Option<String>| {
        text.as_ref()
            .is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION)
    };
    if !["error", "failure", "pending", "success"].contains(&new.state.as_str()) {
        return unprocessable("Validation Failed: state is not included in the list");
    }
    if long(&new.description) {
        return unprocessable(
            "Validation Failed: description is too long (maximum is 140 characters)",
        );
    }
    if !Repository::open(&entry.bare).has_commit(commit).await {
        return unprocessable(&format!("No commit found for SHA: {commit}"));
    }
    let mut state = github.state();
    state.last_status += 1;
    let status = Status {
        id: state.last_status,
        state: new.state,
        context: new.context.unwrap_or_else(|| "default".to_owned()),
        description: new.description,
        target_url: new.target_url,
    };
    let key = (entry.full_name.clone(), commit.to_owned());
    let statuses = state.statuses.entry(key).or_default();
    if statuses
        .iter()
        .filter(|other| other.context == status.context)
        .count()
        >= MOST_STATUSES
    {
        return unprocessable("This SHA and context has reached the maximum number of statuses.");
    }
    statuses.push(status.clone());
    reply(StatusCode::CREATED, &json!(status))
}

/// Returns the newest status of each context, and their combined state.
fn combined(entry: &Entry, commit: &str, newest_first: Vec<Status>) -> Value {
    let mut by_context = BTreeMap::new();
    for status in newest_first {
        by_context.entry(status.context.clone()).or_insert(status);
    }
    let any = |state: &str| by_context.values().any(|status| status.state == state);
    let state = if any("failure") || any("error") {
        "failure"
    } else if any("pending") || by_context.is_empty() {
        "pending"
    } else {
        "success"
    };
    json!({
        "state": state,
        "sha": commit,
        "total_count": by_context.len(),
        "statuses": by_context.values().collect::<Vec<_>>(),
        "repository": about(entry),
    })
}

fn unprocessable(message: &str) -> Response {
    reply(
        StatusCode::UNPROCESSABLE_ENTITY,
        &json!({ "message": message }),
    )
}

fn not_found() -> Response {
    reply(StatusCode::NOT_FOUND, &json!({ "message": "Not Found" }))
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let headers = [("content-type", "application/json; charset=utf-8")];
    (status, headers, body.to_string()).into_response()
}
