use crate::Result;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A step of the state machine: one decision, taken within seconds. It holds the ports that it
/// needs, so its fields say what it can touch.
#[async_trait]
pub trait Step: Send + Sync {
    /// What the state machine passes.
    type Input: DeserializeOwned + Send;
    /// What the state machine gets.
    type Output: Serialize + Send;
    /// Takes the decision. Called twice with the same input, it answers the same and does
    /// nothing twice.
    async fn run(&self, input: Self::Input) -> Result<Self::Output>;
}

/// A request to a function URL, its body decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The headers, their names in lower case. A header that came twice has both values, joined
    /// by a comma.
    pub headers: BTreeMap<String, String>,
    /// The raw bytes, or why they could not be decoded.
    pub body: std::result::Result<Vec<u8>, String>,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The body, plain text.
    pub body: String,
}

/// A function behind a URL: one answer to each request, within seconds.
#[async_trait]
pub trait UrlStep: Send + Sync {
    /// Answers a request. Every request has an answer, so there is no error.
    async fn answer(&self, request: HttpRequest) -> HttpResponse;
    /// Fetches what the first request would wait for. Called once at the start; what it cannot
    /// get now, `answer` gets later.
    async fn warm(&self);
}
