//! Writes the output of a running job to CloudWatch Logs in batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cloud::{Cloud, CloudError, LogLine};
use crate::now_ms;

/// The API limits a call to 1 MiB and 10,000 events. Each event counts 26 extra bytes.
const BATCH_BYTES: usize = 1_000_000;
const BATCH_LINES: usize = 5_000;
const EVENT_BYTES: usize = 26;
/// The maximum delay before a batch is sent.
const EVERY: Duration = Duration::from_millis(250);
const TRIES: u32 = 5;

/// A writer for one log stream.
pub(super) struct LogWriter {
    /// Receives the lines.
    pub(super) lines: mpsc::Sender<String>,
    task: JoinHandle<()>,
}

impl LogWriter {
    /// Creates the stream, and a missing group if `create_group` is true.
    pub(super) async fn open(
        cloud: Arc<dyn Cloud>,
        group: &str,
        stream: &str,
        create_group: bool,
    ) -> Result<Self, CloudError> {
        let open = async || {
            if create_group {
                cloud.create_log_group(group).await?;
            }
            cloud.create_log_stream(group, stream).await
        };
        let mut result = open().await;
        for attempt in 1..TRIES {
            if !matches!(result, Err(CloudError::Failed(_))) {
                break;
            }
            tokio::time::sleep(EVERY * attempt).await;
            result = open().await;
        }
        result?;
        let (lines, received) = mpsc::channel(1024);
        let task = tokio::spawn(write(cloud, group.to_owned(), stream.to_owned(), received));
        Ok(Self { lines, task })
    }

    /// Returns when every line has been written or discarded.
    pub(super) async fn close(self) {
        drop(self.lines);
        self.task.await.ok();
    }
}

async fn write(
    cloud: Arc<dyn Cloud>,
    group: String,
    stream: String,
    mut received: mpsc::Receiver<String>,
) {
    let mut last = 0;
    while let Some(first) = received.recv().await {
        let mut batch = Vec::new();
        let mut size = 0;
        let due = tokio::time::Instant::now() + EVERY;
        let mut next = Some(first);
        while let Some(text) = next {
            // The API refuses empty messages and decreasing timestamps.
            last = now_ms().max(last);
            size += text.len() + EVENT_BYTES;
            let text = if text.is_empty() {
                " ".to_owned()
            } else {
                text
            };
            batch.push(LogLine { at: last, text });
            if size >= BATCH_BYTES || batch.len() >= BATCH_LINES {
                break;
            }
            next = tokio::time::timeout_at(due, received.recv())
                .await
                .ok()
                .flatten();
        }
        write_batch(&*cloud, &group, &stream, &batch).await;
    }
}

async fn write_batch(cloud: &dyn Cloud, group: &str, stream: &str, batch: &[LogLine]) {
    for attempt in 1..=TRIES {
        match cloud.write_logs(group, stream, batch).await {
            Ok(()) => return,
            Err(error) if attempt == TRIES => {
                tracing::warn!(group, stream, lines = batch.len(), %error, "log lines were lost");
            }
            Err(_) => tokio::time::sleep(EVERY * attempt).await,
        }
    }
}
