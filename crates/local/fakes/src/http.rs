//! Plain HTTP requests to local addresses.

use std::time::Duration;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as text, limited to 1 MiB.
    pub body: String,
}

/// Sends a GET request.
///
/// # Errors
/// A message for a person: no connection, or no response in time.
pub async fn get(url: &str, limit: Duration) -> Result<Answer, String> {
    get_with(url, Vec::new(), limit).await
}

/// Sends a GET request. Returns the status and at most `most` bytes of the body.
///
/// # Errors
/// A message for a person: no connection, no response in time, or a longer body.
pub async fn get_bytes(url: &str, most: u64, limit: Duration) -> Result<(u16, Vec<u8>), String> {
    let url = url.to_owned();
    blocking(move || {
        let answer = agent(limit).get(&url).call();
        let mut answer = answer.map_err(|error| error.to_string())?;
        let body = answer.body_mut().with_config().limit(most).read_to_vec();
        Ok((
            answer.status().as_u16(),
            body.map_err(|error| error.to_string())?,
        ))
    })
    .await
}

/// A call of an AWS JSON 1.1 API on the emulator, which reads the region and checks no signature.
#[derive(Debug, Clone, Copy)]
pub struct JsonCall<'a> {
    /// For example `http://127.0.0.1:4566`.
    pub endpoint: &'a str,
    /// The region.
    pub region: &'a str,
    /// The service name in the request signature, such as `secretsmanager`.
    pub service: &'a str,
    /// `X-Amz-Target`, such as `secretsmanager.PutSecretValue`.
    pub target: &'a str,
}

impl JsonCall<'_> {
    /// Sends a request.
    ///
    /// # Errors
    /// A message for a person: no connection, or no response in time.
    pub async fn post(&self, body: &serde_json::Value, limit: Duration) -> Result<Answer, String> {
        let (region, service) = (self.region, self.service);
        let scope = format!("Credential=test/20260101/{region}/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
        let headers = vec![
            ("Authorization".to_owned(), authorization),
            (
                "Content-Type".to_owned(),
                "application/x-amz-json-1.1".to_owned(),
            ),
            ("X-Amz-Target".to_owned(), self.target.to_owned()),
        ];
        post(self.endpoint, headers, body.to_string().into_bytes(), limit).await
    }
}

/// Sends a GET request with headers.
///
/// # Errors
/// A message for a person: no connection, or no response in time.
pub async fn get_with(
    url: &str,
    headers: Vec<(String, String)>,
    limit: Duration,
) -> Result<Answer, String> {
    let url = url.to_owned();
    blocking(move || {
        let mut request = agent(limit).get(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        read(request.call())
    })
    .await
}

/// Sends a POST request with headers.
///
/// # Errors
/// A message for a person: no connection, or no response in time.
pub async fn post(
    url: &str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    limit: Duration,
) -> Result<Answer, String> {
    let url = url.to_owned();
    blocking(move || {
        let mut request = agent(limit).post(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        read(request.send(&body[..]))
    })
    .await
}

/// Sends a PUT request.
///
/// # Errors
/// A message for a person: no connection, or no response in time.
pub async fn put(url: &str, body: &str, limit: Duration) -> Result<Answer, String> {
    let (url, body) = (url.to_owned(), body.to_owned());
    blocking(move || read(agent(limit).put(&url).send(&body))).await
}

/// Sends a DELETE request.
///
/// # Errors
/// A message for a person: no connection, or no response in time.
pub async fn delete(url: &str, limit: Duration) -> Result<Answer, String> {
    let url = url.to_owned();
    blocking(move || read(agent(limit).delete(&url).call())).await
}

fn agent(limit: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .max_redirects(0)
        .build()
        .new_agent()
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let mut body = answer
        .body_mut()
        .with_config()
        .limit(1 << 20)
        .read_to_vec()
        .unwrap_or_default();
    body.truncate(1 << 20);
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.to_string())?
}
