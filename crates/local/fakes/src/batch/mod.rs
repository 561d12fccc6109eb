//! AWS Batch: compute environments, queues, job definitions and jobs on Fargate, where a job is a
//! native process or a container.
//!
//! Kept of Batch: the states of a job, retries, the timeout, `TerminateJob` and `CancelJob`, the
//! capacity of a compute environment, logs and events. Refused by name: array and multi-node jobs,
//! dependencies, EC2 and EKS.

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

/// How the fake runs jobs.
#[derive(Clone, Debug)]
pub struct Config {
    /// What all jobs have in common.
    pub host: Host,
    /// What to run for which image; the first entry that fits is taken. A job whose image fits
    /// none fails as one whose image cannot be pulled.
    pub images: Vec<Image>,
    /// Durations; `Timing::default()` is what AWS does.
    pub timing: Timing,
}

/// What runs in place of a container image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The image's name as the job definition says it; a `*` at the end stands for anything.
    pub name: String,
    /// What a job of it runs as.
    pub runs: Runs,
    /// The image's own environment: what a job definition says goes before.
    pub env: BTreeMap<String, String>,
}

/// Durations of the fake.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between SIGTERM and SIGKILL. AWS: 30 s.
    pub grace: Duration,
    /// The shortest `attemptDurationSeconds` accepted. AWS: 60 s.
    pub least_timeout: Duration,
    /// How long a job stays in each state before it runs. Seconds to minutes on AWS.
    pub step: Duration,
    /// Between SIGTERM and SIGKILL when the fake itself shuts down.
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
    /// Where it listens; `AWS_ENDPOINT_URL_BATCH` is `http://` and this.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Takes the capacity of a running job away, as Fargate Spot does: SIGTERM, SIGKILL after the
    /// grace, and a status reason of its own. A job that does not run is left as it is.
    pub fn interrupt(&self, id: &str) {
        let grace = self.batch.config.timing.grace;
        if let Some(job) = self.batch.state().jobs.get_mut(id) {
            job.interrupt(grace);
        }
    }

    /// Stops listening, ends every job and returns when their processes and directories are gone.
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

/// A request that is refused: the message of a `ClientException`.
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
    /// Told when something changed for which a waiting job may wait.
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
