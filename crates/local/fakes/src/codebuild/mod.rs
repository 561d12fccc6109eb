//! AWS CodeBuild: projects and builds. A build runs the phases of its buildspec in a shell.
//!
//! Supported: buildspec version 0.2, phase order and failure handling, `finally`, variables with
//! their precedence, S3 sources, timeouts, `StopBuild`, logs and events. Refused with an error that
//! names the feature: sources other than S3 and none, artifacts, batch builds, secrets and
//! parameters by reference, `on-failure: RETRY`.

mod api;
mod build;
mod buildspec;
mod phases;
mod project;
mod run;
mod source;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use self::build::Build;
use super::Host;
use super::cloud::Cloud;
use super::events::{self, Publisher};
use crate::server::Server;

/// The configuration of the fake.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings shared by all builds.
    pub host: Host,
    /// A directory that comes first in the builds' `PATH`. See [`super::tools`].
    pub tools: Option<PathBuf>,
    /// Variables of every build, overridden by those of the buildspec: what the build image would
    /// provide, such as `DOCKER_HOST`, or a cache shared by builds, such as `CARGO_TARGET_DIR`.
    pub env: BTreeMap<String, String>,
    /// Durations.
    pub timing: Timing,
}

/// Durations of the fake.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The time between SIGTERM and SIGKILL for a build that is stopped or times out.
    pub grace: Duration,
    /// The length of one minute of `timeoutInMinutes`. Tests shorten it.
    pub minute: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(5),
            minute: Duration::from_mins(1),
        }
    }
}

/// A running fake.
#[derive(Debug)]
pub struct Handle {
    server: Server,
    codebuild: Arc<CodeBuild>,
    publisher: JoinHandle<()>,
}

/// Serves AWS CodeBuild on `listener`.
///
/// # Errors
/// When the listener has no local address.
pub fn start(listener: TcpListener, config: Config, cloud: Arc<dyn Cloud>) -> io::Result<Handle> {
    let (events, publisher) = Publisher::start(Arc::clone(&cloud));
    let codebuild = Arc::new(CodeBuild {
        config,
        cloud,
        state: Mutex::default(),
        events: Mutex::new(Some(events)),
        tasks: Mutex::default(),
    });
    let server = Server::start(listener, api::router(Arc::clone(&codebuild)))?;
    Ok(Handle {
        server,
        codebuild,
        publisher,
    })
}

impl Handle {
    /// Returns the listening address. `AWS_ENDPOINT_URL_CODEBUILD` is `http://` followed by it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops listening, ends every build, and returns when their processes and directories are removed.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        let mut tasks = std::mem::take(&mut *lock(&self.codebuild.tasks));
        let grace = self.codebuild.config.timing.grace;
        for build in self.codebuild.state().builds.values_mut() {
            build.stop(grace);
        }
        while tasks.join_next().await.is_some() {}
        lock(&self.codebuild.events).take();
        events::finish(self.publisher).await;
    }
}

/// A refused request: the error's name and message.
#[derive(Debug)]
struct Refused {
    name: &'static str,
    message: String,
}

type Answer = Result<Value, Refused>;

#[derive(Debug, Default)]
struct State {
    /// By name.
    projects: BTreeMap<String, Value>,
    /// By id.
    builds: BTreeMap<String, Build>,
    /// The number of builds that each project has had.
    numbers: BTreeMap<String, u64>,
}

struct CodeBuild {
    config: Config,
    cloud: Arc<dyn Cloud>,
    state: Mutex<State>,
    events: Mutex<Option<Publisher>>,
    tasks: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for CodeBuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeBuild").finish_non_exhaustive()
    }
}

impl CodeBuild {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        name: "InvalidInputException",
        message: message.into(),
    })
}

fn missing<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        name: "ResourceNotFoundException",
        message: message.into(),
    })
}

/// Returns an optional string member.
fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

/// Returns a required string member.
fn required<'a>(value: &'a Value, name: &str) -> Result<&'a str, Refused> {
    let given = text(value, name).filter(|given| !given.is_empty());
    given.map_or_else(|| invalid(format!("{name} is required")), Ok)
}

/// Returns the last part of an ARN, or the name itself.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Converts milliseconds since 1970 to the time format of this API: seconds with a fraction.
#[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
