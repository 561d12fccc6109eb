//! What a fake does in the background: the tasks of its jobs or builds, and the events about them,
//! published in the order in which they occurred.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::cloud::{Cloud, Event};
use crate::lock;

/// The time that a shutdown waits for the last events.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// Running tasks and unpublished events.
#[derive(Debug)]
pub(crate) struct Background {
    tasks: Mutex<JoinSet<()>>,
    publisher: Mutex<Option<Publisher>>,
}

#[derive(Debug)]
struct Publisher {
    events: mpsc::UnboundedSender<Event>,
    task: JoinHandle<()>,
}

impl Background {
    /// Starts to publish events to `cloud`.
    pub(crate) fn start(cloud: Arc<dyn Cloud>) -> Self {
        let (events, mut received) = mpsc::unbounded_channel::<Event>();
        let task = tokio::spawn(async move {
            while let Some(event) = received.recv().await {
                if let Err(error) = cloud.publish(&event).await {
                    tracing::warn!(detail_type = event.detail_type, %error, "an event was lost");
                }
            }
        });
        Self {
            tasks: Mutex::default(),
            publisher: Mutex::new(Some(Publisher { events, task })),
        }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).spawn(task);
    }

    /// Queues an event. Does nothing after [`Background::finish`].
    pub(crate) fn publish(&self, event: Event) {
        if let Some(publisher) = &*lock(&self.publisher) {
            publisher.events.send(event).ok();
        }
    }

    /// Waits for all tasks, and then, up to a limit, for their events.
    pub(crate) async fn finish(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
        let Some(Publisher { events, task }) = lock(&self.publisher).take() else {
            return;
        };
        drop(events);
        let abort = task.abort_handle();
        if tokio::time::timeout(LAST_EVENTS, task).await.is_err() {
            abort.abort();
        }
    }
}
