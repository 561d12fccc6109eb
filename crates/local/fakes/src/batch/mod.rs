//! AWS Batch on Fargate: compute environments, queues, job definitions and jobs. A job runs as a
//! native process or a container.
//!
//! Supported: job statuses, retries, timeouts, `TerminateJob`, `CancelJob`, compute environment
//! capacity, logs and events. Refused with an error that names the feature: array jobs, multi-node
//! jobs, dependencies, EC2 and EKS.

mod api;
mod run;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;

pub use self::api::Operation;
pub use self::run::container::Container;
pub use self::run::work::Runs;
use self::state::State;
use crate::background::Background;
use crate::cloud::Cloud;
use crate::{Host, lock, service};

/// The configuration of the fake.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings shared by all jobs.
    pub host: Host,
    /// What each image runs; the first match applies. A job whose image matches no entry fails as if the
    /// image could not be pulled.
    pub images: Vec<Image>,
    /// Durations. `Timing::default()` matches AWS.
    pub timing: Timing,
}

/// What runs instead of a container image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The image name in the job definition. A trailing `*` matches any suffix.
    pub name: String,
    /// What a job with this image runs as.
    pub runs: Runs,
    /// The image's own environment variables. Those of the job definition override them.
    pub env: BTreeMap<String, String>,
}

/// Durations of the fake.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The time between SIGTERM and SIGKILL. AWS: 30 s.
    pub grace: Duration,
    /// The minimum `attemptDurationSeconds`. AWS: 60 s.
    pub least_timeout: Duration,
    /// The time that a job spends in each status before it runs. AWS: seconds to minutes.
    pub step: Duration,
    /// The time between SIGTERM and SIGKILL when the fake itself shuts down.
    pub shutdown_grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            least_timeout: Duration::from_secs(60),
            step: Duration::from_millis(20),
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

/// The fake's configuration and state.
#[derive(Debug)]
pub struct Batch {
    config: Config,
    cloud: Arc<dyn Cloud>,
    state: Mutex<State>,
    /// Notified when a change may let a waiting job start.
    wake: watch::Sender<()>,
    background: Background,
}

/// The running fake. `AWS_ENDPOINT_URL_BATCH` is its URL.
pub type Handle = service::Handle<Batch>;

/// Serves AWS Batch on a port of 127.0.0.1, or on a free one if `port` is 0.
///
/// # Errors
/// When the port cannot be bound.
pub async fn start(port: u16, config: Config, cloud: Arc<dyn Cloud>) -> io::Result<Handle> {
    let batch = Batch {
        config,
        background: Background::start(Arc::clone(&cloud)),
        cloud,
        state: Mutex::default(),
        wake: watch::Sender::new(()),
    };
    Handle::start(port, batch).await
}

impl Handle {
    /// Interrupts a running job as Fargate Spot does: SIGTERM, SIGKILL after the grace period, and a
    /// distinct status reason. Does nothing when the job does not run.
    pub fn interrupt(&self, id: &str) {
        let batch = self.service();
        if let Some(job) = batch.state().jobs.get_mut(id) {
            job.interrupt(batch.config.timing.grace);
        }
    }
}

impl Batch {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn changed(&self) {
        self.wake.send_replace(());
    }

    /// Ends every job, and returns when their processes and directories are removed.
    async fn end_jobs(&self) {
        let grace = self.config.timing.shutdown_grace;
        for job in self.state().jobs.values_mut() {
            job.terminate("the fake Batch server shuts down", grace);
        }
        self.background.finish().await;
    }
}
