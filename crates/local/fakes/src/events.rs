//! Publishes events in the order in which they occurred.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::cloud::{Cloud, Event};

/// The time that a shutdown waits for the last events.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Queues events and publishes them one after the other.
#[derive(Debug)]
pub(super) struct Publisher {
    events: mpsc::UnboundedSender<Event>,
}

impl Publisher {
    pub(super) fn start(cloud: Arc<dyn Cloud>) -> (Self, JoinHandle<()>) {
        let (events, mut received) = mpsc::unbounded_channel::<Event>();
        let task = tokio::spawn(async move {
            while let Some(event) = received.recv().await {
                if let Err(error) = cloud.publish(&event).await {
                    tracing::warn!(detail_type = event.detail_type, %error, "an event was lost");
                }
            }
        });
        (Self { events }, task)
    }

    pub(super) fn send(&self, event: Event) {
        // Fails only after the shutdown.
        self.events.send(event).ok();
    }
}

/// Waits for events that are still being published, up to a limit.
pub(super) async fn finish(task: JoinHandle<()>) {
    let abort = task.abort_handle();
    if tokio::time::timeout(LAST_WORDS, task).await.is_err() {
        abort.abort();
    }
}
