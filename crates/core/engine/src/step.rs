use crate::Result;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A step of the state machine: one decision, made within seconds. It holds the ports that it
/// needs, so its fields show what it can access.
#[async_trait]
pub trait Step: Send + Sync {
    /// The input from the state machine.
    type Input: DeserializeOwned + Send;
    /// The output to the state machine.
    type Output: Serialize + Send;
    /// Makes the decision. A repeated call with the same input returns the same output and repeats
    /// no effect.
    async fn run(&self, input: Self::Input) -> Result<Self::Output>;
}

/// A request to a function URL, with its body decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The HTTP method, such as `GET`.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The headers, with lower-case names. The values of a repeated header are joined by a comma.
    pub headers: BTreeMap<String, String>,
    /// The body, or why it could not be decoded.
    pub body: std::result::Result<Vec<u8>, String>,
}

/// The response to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The HTTP status code.
    pub status: u16,
    /// The body, as plain text.
    pub body: String,
}

/// A function behind a URL. It responds to each request within seconds.
#[async_trait]
pub trait UrlStep: Send + Sync {
    /// Returns the response to a request. Every request gets a response, so there is no error.
    async fn answer(&self, request: HttpRequest) -> HttpResponse;
    /// Fetches what the first request would wait for. Called once at startup. What cannot be
    /// fetched now is fetched by `answer` later.
    async fn warm(&self);
}
