//! The REST API: routes each request to its operation.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::{Entry, Status};
use super::{DEFAULT_BRANCH, GitHub, Repository, run};
use crate::service::{Failure, Request, Service};

const LONGEST_DESCRIPTION: usize = 140;
/// The maximum number of statuses for one commit and context, as on GitHub.
const MOST_STATUSES: usize = 1000;

/// The kinds of requests.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A call of the REST API.
    Api,
    /// A request of a git client.
    Git,
}

impl Service for GitHub {
    type Operation = Operation;

    fn operation(head: &Parts) -> Option<Operation> {
        let mut parts = head.uri.path().trim_start_matches('/').split('/').skip(1);
        let repository = parts.next().filter(|_| parts.next().is_some());
        let is_git = repository.is_some_and(|repository| repository.ends_with(".git"));
        Some(if is_git {
            Operation::Git
        } else {
            Operation::Api
        })
    }

    fn failure(operation: Operation, failure: Failure) -> Response {
        match (failure, operation) {
            (Failure::ServerError, _) => reply(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "message": "Server Error" }),
            ),
            (Failure::RateLimit, Operation::Git) => (
                StatusCode::TOO_MANY_REQUESTS,
                [("retry-after", "60")],
                "Too many requests",
            )
                .into_response(),
            (Failure::RateLimit, Operation::Api) => {
                let body = json!({ "message": "API rate limit exceeded for user ID 1." });
                let headers = [
                    ("x-ratelimit-limit", "5000"),
                    ("x-ratelimit-remaining", "0"),
                    ("retry-after", "60"),
                ];
                (headers, reply(StatusCode::FORBIDDEN, &body)).into_response()
            }
        }
    }

    async fn respond(self: Arc<Self>, operation: Option<Operation>, request: Request) -> Response {
        let operation = operation.unwrap_or(Operation::Api);
        if !authorized(&self, operation, request.headers()) {
            return unauthorized(operation);
        }
        let path = request.uri().path().trim_start_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        match (operation, parts.as_slice()) {
            (Operation::Git, [owner, repository, rest @ ..]) => {
                let name = repository.trim_end_matches(".git");
                match find(&self, owner, name) {
                    Some(entry) => run::git(&entry.bare, &rest.join("/"), &request).await,
                    None => (StatusCode::NOT_FOUND, "Repository not found.").into_response(),
                }
            }
            (Operation::Api, ["repos", owner, name, rest @ ..]) => match find(&self, owner, name) {
                Some(entry) => {
                    let (method, body) = (request.method(), request.body());
                    repository(&self, &entry, method, rest, body).await
                }
                None => not_found(),
            },
            _ => not_found(),
        }
    }

    /// Does nothing: nothing runs between requests.
    async fn stop(&self) {}
}

fn authorized(github: &GitHub, operation: Operation, headers: &HeaderMap) -> bool {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let Some((scheme, secret)) = given.and_then(|given| given.split_once(' ')) else {
        return false;
    };
    let token = match (operation, scheme.to_ascii_lowercase().as_str()) {
        (Operation::Api, "bearer" | "token") => secret.to_owned(),
        (Operation::Git, "basic") => {
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

fn unauthorized(operation: Operation) -> Response {
    match operation {
        Operation::Api => reply(
            StatusCode::UNAUTHORIZED,
            &json!({ "message": "Bad credentials" }),
        ),
        Operation::Git => {
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
        (&Method::GET, ["compare", range]) => compare(entry, range).await,
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

/// Compares two commits: `<base>...<head>`. The lists of commits and files are left out.
async fn compare(entry: &Entry, range: &str) -> Response {
    let range = range.replace("%2F", "/");
    let Some((base, head)) = range.split_once("...") else {
        return not_found();
    };
    match Repository::open(&entry.bare).compare(base, head).await {
        Ok((behind, ahead)) => {
            let status = match (behind, ahead) {
                (0, 0) => "identical",
                (0, _) => "ahead",
                (_, 0) => "behind",
                _ => "diverged",
            };
            let body = json!({ "status": status, "ahead_by": ahead, "behind_by": behind });
            reply(StatusCode::OK, &body)
        }
        Err(error) => {
            tracing::debug!(%error, "nothing to compare");
            not_found()
        }
    }
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
