//! Continuous requests to the application, from the first deployment to the end of the demo.

use fakes::http;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The time limit for a response.
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// A client that requests `/version` ten times a second.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    so_far: Seen,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
}

/// The requests of the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) sent: u64,
    pub(super) failed: u64,
}

impl Load {
    pub(super) fn start(address: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&counts));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let answer = http::get(&address, LIMIT).await;
                seen.sent.fetch_add(1, Ordering::Relaxed);
                if !answer.is_ok_and(|answer| answer.status == 200) {
                    seen.failed.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self {
            stop,
            counts,
            so_far: Seen::default(),
            task,
        }
    }

    /// Returns the requests since the previous call.
    pub(super) fn since(&mut self) -> Seen {
        let (now, so_far) = (self.counts.seen(), self.so_far);
        self.so_far = now;
        Seen {
            sent: now.sent - so_far.sent,
            failed: now.failed - so_far.failed,
        }
    }

    /// Stops the client and returns the total.
    pub(super) async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let counts = Arc::clone(&self.counts);
        self.task.await.ok();
        counts.seen()
    }
}

impl Counts {
    fn seen(&self) -> Seen {
        // A request is counted as sent before it is counted as failed.
        let failed = self.failed.load(Ordering::Relaxed);
        Seen {
            sent: self.sent.load(Ordering::Relaxed),
            failed,
        }
    }
}
