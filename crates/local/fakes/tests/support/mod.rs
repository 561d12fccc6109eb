//! Test support for the fakes: a client for JSON APIs, and checks on processes.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test takes what it needs"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fakes::{Cloud, CloudError, Event, Host, LogLine};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;

pub fn host(scratch: &Path) -> Host {
    Host {
        region: "eu-central-1".to_owned(),
        account: "123456789012".to_owned(),
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        scratch: scratch.to_owned(),
        docker_host: None,
        path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
    }
}

/// Sends a request with a JSON body. Returns the status and the JSON response.
pub async fn call(
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
) -> (u16, Value) {
    let work = move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Polls until there is a result.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited too long for: {what}");
}

/// Returns whether a process with this id exists and is not a zombie.
pub fn lives(pid: &str) -> bool {
    let number: i32 = pid.trim().parse().unwrap();
    if kill(Pid::from_raw(number), None).is_err() {
        return false;
    }
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

pub fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

/// Logs, events and objects in memory.
#[derive(Debug, Default)]
pub struct MemoryCloud {
    state: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    groups: BTreeMap<String, BTreeMap<String, Vec<LogLine>>>,
    events: Vec<Event>,
    objects: BTreeMap<String, Vec<u8>>,
}

impl MemoryCloud {
    /// Returns the lines of a stream, oldest first. A missing stream has none.
    #[must_use]
    pub fn log(&self, group: &str, stream: &str) -> Vec<String> {
        let state = self.state();
        let lines = state
            .groups
            .get(group)
            .and_then(|streams| streams.get(stream));
        lines
            .into_iter()
            .flatten()
            .map(|line| line.text.clone())
            .collect()
    }

    /// Returns all published events, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// Stores an object.
    pub fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        self.state()
            .objects
            .insert(format!("{bucket}/{key}"), bytes);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Cloud for MemoryCloud {
    async fn create_log_group(&self, group: &str) -> Result<(), CloudError> {
        self.state().groups.entry(group.to_owned()).or_default();
        Ok(())
    }

    async fn create_log_stream(&self, group: &str, stream: &str) -> Result<(), CloudError> {
        let mut state = self.state();
        let streams = state.groups.get_mut(group);
        let streams = streams.ok_or_else(|| CloudError::Missing(format!("log group {group}")))?;
        streams.entry(stream.to_owned()).or_default();
        Ok(())
    }

    async fn write_logs(
        &self,
        group: &str,
        stream: &str,
        lines: &[LogLine],
    ) -> Result<(), CloudError> {
        let mut state = self.state();
        let found = state
            .groups
            .get_mut(group)
            .and_then(|streams| streams.get_mut(stream));
        let found = found.ok_or_else(|| CloudError::Missing(format!("log stream {stream}")))?;
        found.extend_from_slice(lines);
        Ok(())
    }

    async fn publish(&self, event: &Event) -> Result<(), CloudError> {
        self.state().events.push(event.clone());
        Ok(())
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, CloudError> {
        let name = format!("{bucket}/{key}");
        let found = self.state().objects.get(&name).cloned();
        found.ok_or(CloudError::Missing(name))
    }
}
