//! The interface of the fakes to the emulator: logs, events and objects.

use async_trait::async_trait;
use serde_json::Value;

/// One line of a job's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// The time of writing, in milliseconds since 1970.
    pub at: i64,
    /// The line without its line ending.
    pub text: String,
}

/// An event for the account's default bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// For example `aws.batch`.
    pub source: String,
    /// For example `Batch Job State Change`.
    pub detail_type: String,
    /// ARNs of the affected resources.
    pub resources: Vec<String>,
    /// The event's content.
    pub detail: Value,
}

/// A failed call to the emulator.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CloudError {
    /// The log group or object does not exist.
    #[error("{0} does not exist")]
    Missing(String),
    /// Any other failure.
    #[error("the emulator did not do what was asked: {0}")]
    Failed(String),
}

/// The emulator as the fakes use it.
#[async_trait]
pub trait Cloud: std::fmt::Debug + Send + Sync + 'static {
    /// Creates a log group. Succeeds if it already exists.
    async fn create_log_group(&self, group: &str) -> Result<(), CloudError>;
    /// Creates a log stream. Succeeds if it already exists.
    async fn create_log_stream(&self, group: &str, stream: &str) -> Result<(), CloudError>;
    /// Appends lines, oldest first.
    async fn write_logs(
        &self,
        group: &str,
        stream: &str,
        lines: &[LogLine],
    ) -> Result<(), CloudError>;
    /// Publishes an event to the default bus.
    async fn publish(&self, event: &Event) -> Result<(), CloudError>;
    /// Reads a whole object.
    async fn object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, CloudError>;
}
