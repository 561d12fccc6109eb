//! AWS Batch on Fargate: compute environments, queues, job definitions and jobs. A job runs as a
//! native process or a container.
//!
//! Supported: job statuses, retries, timeouts, `TerminateJob`, `CancelJob`, compute environment
//! capacity, logs and events. Refused with an error that names the feature: array jobs, multi-node
//! jobs, dependencies, EC2 and EKS.

mod api;
mod container;
mod job;
mod resources;
mod retry;
mod run;
mod submit;
mod work;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use self::container::Container;
use self::job::Job;
pub use self::work::Runs;
use super::Host;
use super::cloud::Cloud;
use super::events::{self, Publisher};
use crate::server::Server;

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

/// A running fake.
#[derive(Debug)]
pub struct Handle {
    server: Server,
    batch: Arc<Batch>,
    publisher: JoinHandle<()>,
}

/// Serves AWS Batch on `listener`.
///
/// # Errors
/// When the listener has no local address.
pub fn start(listener: TcpListener, config: Config, cloud: Arc<dyn Cloud>) -> io::Result<Handle> {
    let (events, publisher) = Publisher::start(Arc::clone(&cloud));
    let batch = Arc::new(Batch {
        config,
        cloud,
        state: Mutex::default(),
        wake: watch::Sender::new(()),
        events: Mutex::new(Some(events)),
        tasks: Mutex::default(),
    });
    let server = Server::start(listener, api::router(Arc::clone(&batch)))?;
    Ok(Handle {
        server,
        batch,
        publisher,
    })
}

impl Handle {
    /// Returns the listening address. `AWS_ENDPOINT_URL_BATCH` is `http://` followed by it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Interrupts a running job as Fargate Spot does: SIGTERM, SIGKILL after the grace period, and a
    /// distinct status reason. Does nothing when the job does not run.
    pub fn interrupt(&self, id: &str) {
        let grace = self.batch.config.timing.grace;
        if let Some(job) = self.batch.state().jobs.get_mut(id) {
            job.interrupt(grace);
        }
    }

    /// Stops listening, ends every job, and returns when their processes and directories are removed.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        let mut tasks = std::mem::take(&mut *lock(&self.batch.tasks));
        let grace = self.batch.config.timing.shutdown_grace;
        for job in self.batch.state().jobs.values_mut() {
            job.terminate("the fake Batch server shuts down", grace);
        }
        while tasks.join_next().await.is_some() {}
        lock(&self.batch.events).take();
        events::finish(self.publisher).await;
    }
}

/// A refused request: the message of a `ClientException`.
#[derive(Debug)]
struct Refused(String);

type Answer = Result<Value, Refused>;

#[derive(Debug, Default)]
struct State {
    /// By name.
    environments: BTreeMap<String, Value>,
    /// By name.
    queues: BTreeMap<String, Value>,
    /// By name; all revisions, oldest first.
    definitions: BTreeMap<String, Vec<Value>>,
    /// By id.
    jobs: BTreeMap<String, Job>,
}

struct Batch {
    config: Config,
    cloud: Arc<dyn Cloud>,
    state: Mutex<State>,
    /// Notified when a change may let a waiting job start.
    wake: watch::Sender<()>,
    events: Mutex<Option<Publisher>>,
    tasks: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

impl Batch {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn changed(&self) {
        self.wake.send_replace(());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(message.into()))
}
