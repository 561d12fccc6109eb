//! [`Cloud`] on the emulator over plain HTTP. The emulator checks no signature.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::cloud::{Cloud, CloudError, Event, LogLine};
use crate::http::{self, JsonCall};

/// The time limit for a response.
const LIMIT: Duration = Duration::from_secs(60);
/// The maximum size of an object, in bytes.
const LARGEST_OBJECT: u64 = 1 << 30;

/// The emulator at an endpoint.
#[derive(Clone, Debug)]
pub struct Emulator {
    endpoint: String,
    region: String,
}

impl Emulator {
    /// Creates a client. `endpoint` is an address such as `http://127.0.0.1:4566`.
    #[must_use]
    pub fn new(endpoint: &str, region: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            region: region.to_owned(),
        }
    }

    async fn call(&self, service: &str, target: &str, body: &Value) -> Result<Value, Refusal> {
        let call = JsonCall {
            endpoint: &self.endpoint,
            region: &self.region,
            service,
            target,
        };
        let answer = call.post(body, LIMIT).await;
        let answer = answer.map_err(|error| Refusal::other(format!("{target}: {error}")))?;
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        if answer.status == 200 {
            return Ok(body);
        }
        let name = body
            .get("__type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Err(Refusal {
            name: name.rsplit('#').next().unwrap_or_default().to_owned(),
            text: format!("{target} answered {}: {}", answer.status, answer.body),
        })
    }

    async fn logs(&self, operation: &str, body: Value) -> Result<Value, Refusal> {
        self.call("logs", &format!("Logs_20140328.{operation}"), &body)
            .await
    }
}

/// A call that the emulator refused or did not answer.
struct Refusal {
    /// The exception's name, or empty.
    name: String,
    text: String,
}

impl Refusal {
    fn other(text: String) -> Self {
        Self {
            name: String::new(),
            text,
        }
    }
}

impl From<Refusal> for CloudError {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal.text)
    }
}

/// Treats a resource that already exists as created.
fn made(result: Result<Value, Refusal>, missing: &str) -> Result<(), CloudError> {
    match result {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.name == "ResourceAlreadyExistsException" => Ok(()),
        Err(refusal) if refusal.name == "ResourceNotFoundException" => {
            Err(CloudError::Missing(missing.to_owned()))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

#[async_trait]
impl Cloud for Emulator {
    async fn create_log_group(&self, group: &str) -> Result<(), CloudError> {
        let body = json!({ "logGroupName": group });
        made(self.logs("CreateLogGroup", body).await, group)
    }

    async fn create_log_stream(&self, group: &str, stream: &str) -> Result<(), CloudError> {
        let body = json!({ "logGroupName": group, "logStreamName": stream });
        let made_stream = self.logs("CreateLogStream", body).await;
        made(made_stream, &format!("log group {group}"))
    }

    async fn write_logs(
        &self,
        group: &str,
        stream: &str,
        lines: &[LogLine],
    ) -> Result<(), CloudError> {
        let events: Vec<Value> = lines
            .iter()
            .map(|line| json!({ "timestamp": line.at, "message": line.text }))
            .collect();
        let body = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events });
        self.logs("PutLogEvents", body).await?;
        Ok(())
    }

    async fn publish(&self, event: &Event) -> Result<(), CloudError> {
        let body = json!({ "Entries": [{
            "Source": event.source,
            "DetailType": event.detail_type,
            "Resources": event.resources,
            "Detail": event.detail.to_string(),
        }] });
        let answer = self.call("events", "AWSEvents.PutEvents", &body).await?;
        match answer
            .pointer("/Entries/0/ErrorCode")
            .and_then(Value::as_str)
        {
            None => Ok(()),
            Some(code) => Err(CloudError::Failed(format!("PutEvents refused it: {code}"))),
        }
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, CloudError> {
        let url = format!("{}/{bucket}/{}", self.endpoint, encoded(key));
        let answer = http::get_bytes(&url, LARGEST_OBJECT, LIMIT).await;
        match answer.map_err(CloudError::Failed)? {
            (200, bytes) => Ok(bytes),
            (404, _) => Err(CloudError::Missing(format!("{bucket}/{key}"))),
            (status, _) => Err(CloudError::Failed(format!("GET {url} answered {status}"))),
        }
    }
}

/// Returns a key as a URL path. Percent-encodes all but unreserved characters and slashes.
fn encoded(key: &str) -> String {
    let mut path = String::new();
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_is_a_path() {
        assert_eq!(
            super::encoded("sources/1/a b+c.zip"),
            "sources/1/a%20b%2Bc.zip"
        );
    }
}
