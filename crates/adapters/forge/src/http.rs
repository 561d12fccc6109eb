//! HTTP to the forge: no redirects, bounded times, and error names for replies.

use domain::error::{ErrorName, StepError};
use domain::text;
use engine::Result;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Response, Uri};

pub(crate) type Answer = Response<ureq::Body>;

/// The longest excerpt of a reply in an error, in characters.
const EXCERPT: usize = 200;

pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_recv_body(Some(Duration::from_secs(120)))
        .build()
        .new_agent()
}

/// Checks that a token may be sent to an address: https, or http to this machine.
pub(crate) fn check_address(url: &str, setting: &str) -> Result<String> {
    let wrong = |why: &str| {
        StepError::new(
            ErrorName::SettingsInvalid,
            format!("{setting} {url:?} {why}; expected https://host/path"),
        )
    };
    let uri: Uri = url.parse().map_err(|_| wrong("is not an address"))?;
    let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
    if authority.as_str().contains('@') {
        // The address is not shown: it may hold a password.
        return Err(StepError::new(
            ErrorName::SettingsInvalid,
            format!("{setting} holds a user name; the token belongs into the git secret"),
        ));
    }
    if uri.query().is_some() {
        return Err(wrong("has a query"));
    }
    let here = matches!(authority.host(), "127.0.0.1" | "localhost" | "[::1]");
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if here => {}
        _ => return Err(wrong("would show the token to the network")),
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Names the error of a call without a reply.
pub(crate) fn no_answer(call: &str, error: &ureq::Error) -> StepError {
    StepError::new(ErrorName::ForgeUnavailable, format!("{call}: {error}"))
}

/// Names the error of a reply that ended early or is not git's protocol.
pub(crate) fn broken(call: &str, error: &std::io::Error) -> StepError {
    StepError::new(
        ErrorName::ForgeUnavailable,
        format!("{call}: the answer broke off: {error}"),
    )
}

/// Returns a successful reply; names the error of any other.
pub(crate) fn check(call: &str, mut answer: Answer) -> Result<Answer> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let limited = header("x-ratelimit-remaining").as_deref() == Some("0")
        || header("retry-after").is_some()
        || status.as_u16() == 429;
    let moved = header("location");
    let said = excerpt(&mut answer);
    let (name, meaning) = match status.as_u16() {
        300..=399 => {
            let to = moved.unwrap_or_else(|| "another address".into());
            let text = format!("the repository moved to {to}; enrol its new address");
            (ErrorName::NotEnrolled, text)
        }
        _ if limited => (ErrorName::ForgeUnavailable, "rate limit reached".into()),
        401 | 403 => (
            ErrorName::ForgeDenied,
            "the token is not accepted here".into(),
        ),
        404 => (
            ErrorName::ForgeDenied,
            "no such repository, or the token may not see it".into(),
        ),
        408 | 500.. => (ErrorName::ForgeUnavailable, "the forge failed".into()),
        _ => (ErrorName::ForgeDenied, "the forge refused the call".into()),
    };
    Err(StepError::new(
        name,
        format!("{call}: {status}: {meaning}{said}"),
    ))
}

/// Returns the forge's error message, shortened, on one line.
fn excerpt(answer: &mut Answer) -> String {
    let read = answer
        .body_mut()
        .with_config()
        .limit(16 * 1024)
        .read_to_vec();
    let Ok(bytes) = read else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let said = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(json) => json
            .get("message")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned),
        Err(_) if text.trim_start().starts_with('<') => None,
        Err(_) => Some(text.into_owned()),
    };
    match text::line(&said.unwrap_or_default(), EXCERPT).as_str() {
        "" => String::new(),
        said => format!(" ({said})"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn a_token_goes_to_https_or_to_this_machine() {
        for good in [
            "https://github.com/acme/shop.git",
            "http://127.0.0.1:3000/acme/shop.git",
            "http://localhost/x",
        ] {
            assert_eq!(check_address(good, "clone_url").unwrap(), good);
        }
        for bad in [
            "http://github.com/acme/shop.git",
            "http://127.0.0.1.evil.test/x",
            "https://user:secret@github.com/x",
            "file:///etc",
            "git@github.com:acme/shop.git",
            "https://github.com/x?y",
            "",
        ] {
            let error = check_address(bad, "clone_url").unwrap_err();
            assert_eq!(error.name, ErrorName::SettingsInvalid, "{bad}");
            assert!(!error.message.contains("secret@"), "{error}");
        }
    }
}
