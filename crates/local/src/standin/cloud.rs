//! What the stand-ins need of the emulator: logs, events and objects.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

/// One line of a job's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
    /// The line without its end.
    pub text: String,
}

/// An event for the account's default bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Such as `aws.batch`.
    pub source: String,
    /// Such as `Batch Job State Change`.
    pub detail_type: String,
    /// ARNs.
    pub resources: Vec<String>,
    /// The event itself.
    pub detail: Value,
}

/// A call to the emulator failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CloudError {
    /// The log group or object does not exist.
    #[error("{0} does not exist")]
    Missing(String),
    /// Anything else.
    #[error("the emulator did not do what was asked: {0}")]
    Failed(String),
}

/// The emulator as the stand-ins see it.
#[async_trait]
pub trait Cloud: Send + Sync + 'static {
    /// Makes a log group; one that exists is fine.
    async fn create_log_group(&self, group: &str) -> Result<(), CloudError>;
    /// Makes a log stream; one that exists is fine.
    async fn create_log_stream(&self, group: &str, stream: &str) -> Result<(), CloudError>;
    /// Appends lines, oldest first.
    async fn write_logs(
        &self,
        group: &str,
        stream: &str,
        lines: &[LogLine],
    ) -> Result<(), CloudError>;
    /// Puts an event on the default bus.
    async fn publish(&self, event: &Event) -> Result<(), CloudError>;
    /// Reads an object whole.
    async fn object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, CloudError>;
}

/// A cloud in memory, for tests.
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
    /// The lines of a stream, oldest first; empty when there is no such stream.
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

    /// All events so far, oldest first.
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
