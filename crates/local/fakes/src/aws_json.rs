//! The JSON protocols of AWS APIs: requests, responses and errors.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// How an API uses JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// The operation is in the path, and an error's name in a header.
    Rest,
    /// The operation is in `X-Amz-Target`, and an error's name in a header and in the body.
    Json11,
}

/// A refused call: the error's name and message.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) name: &'static str,
    pub(crate) message: String,
}

pub(crate) type Answer = Result<Value, Refused>;

/// Parses a request's body. An empty one is an object without members.
pub(crate) fn parse(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))
}

impl Protocol {
    pub(crate) fn response(self, answer: Answer) -> Response {
        match answer {
            Ok(value) => ([self.content_type()], value.to_string()).into_response(),
            Err(refused) => self.error(StatusCode::BAD_REQUEST, &refused),
        }
    }

    /// Returns an error response, which has a status of its own if the error is not the caller's.
    pub(crate) fn error(self, status: StatusCode, refused: &Refused) -> Response {
        let Refused { name, message } = refused;
        let body = match self {
            Self::Rest => json!({ "message": message }),
            Self::Json11 => json!({ "__type": name, "message": message }),
        };
        let headers = [self.content_type(), ("x-amzn-errortype", *name)];
        (status, headers, body.to_string()).into_response()
    }

    fn content_type(self) -> (&'static str, &'static str) {
        let json = match self {
            Self::Rest => "application/json",
            Self::Json11 => "application/x-amz-json-1.1",
        };
        ("content-type", json)
    }
}

/// Returns an optional string member.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

/// Sets a member of an object if there is a value.
pub(crate) fn put(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let (Some(members), Some(value)) = (object.as_object_mut(), value) {
        members.insert(name.to_owned(), value.into());
    }
}

/// Returns the last part of an ARN, or the name itself.
pub(crate) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
