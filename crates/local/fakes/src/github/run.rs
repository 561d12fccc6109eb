//! What runs for a request of a git client: `git http-backend` as a CGI program.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio::io::AsyncWriteExt as _;

use super::state::repository;
use crate::process;
use crate::service::Request;

/// The time limit for a request.
const PATIENCE: Duration = Duration::from_secs(120);

/// Responds to a request of a git client. `path` is relative to the repository.
pub(super) async fn git(bare: &Path, path: &str, request: &Request) -> Response {
    // Only the smart protocol: files of the repository are not served directly.
    let known = ["info/refs", "git-upload-pack", "git-receive-pack"];
    if !known.contains(&path) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match tokio::time::timeout(PATIENCE, backend(bare, path, request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            tracing::warn!(%error, "git http-backend failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

async fn backend(bare: &Path, path: &str, request: &Request) -> std::io::Result<Response> {
    let header = |name: &str| {
        let value = request.headers().get(name);
        let value = value.and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut command = repository::git(bare);
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", bare)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{path}"))
        .env("REQUEST_METHOD", request.method().as_str())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body().len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "x-access-token")
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = process::spawn(&mut command).map_err(std::io::Error::other)?;
    let mut stdin = child.stdin.take();
    let body = request.body();
    let feed = async {
        if let Some(stdin) = &mut stdin {
            // The backend may exit before it has read the whole body.
            stdin.write_all(body).await.ok();
        }
        drop(stdin);
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    Ok(parse(&output?.stdout))
}

/// Parses the output of a CGI program: headers, an empty line, the body.
fn parse(output: &[u8]) -> Response {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let Some((head, body)) = end.and_then(|end| Some((output.get(..end)?, output.get(end + 4..)?)))
    else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(head).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => {
                let code = status
                    .split(' ')
                    .next()
                    .and_then(|code| code.parse::<u16>().ok());
                response = response.status(code.unwrap_or(500));
            }
            Some((name, value)) => response = response.header(name, value),
            None => {}
        }
    }
    let body = Body::from(body.to_vec());
    response
        .body(body)
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
