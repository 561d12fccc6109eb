//! What the fakes need of the emulator: logs, events and objects.

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

/// The emulator as the fakes see it.
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
