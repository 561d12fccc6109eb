//! AWS CodeBuild: projects and builds. A build runs the phases of its buildspec in a shell.
//!
//! Supported: buildspec version 0.2, phase order and failure handling, `finally`, variables with
//! their precedence, S3 sources, timeouts, `StopBuild`, logs and events. Refused with an error that
//! names the feature: sources other than S3 and none, artifacts, batch builds, secrets and
//! parameters by reference, `on-failure: RETRY`.

mod api;
mod run;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub use self::api::Operation;
use self::state::State;
use crate::background::Background;
use crate::cloud::Cloud;
use crate::{Host, lock, service};

/// The configuration of the fake.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings shared by all builds.
    pub host: Host,
    /// The directory with the programs of AWS's build image, which is the builds' whole `PATH`. See
    /// [`crate::tools`]. Without it, builds have the `PATH` of `host`.
    pub tools: Option<PathBuf>,
    /// The build images that have more than AWS's.
    pub images: Vec<Image>,
    /// Variables of every build, overridden by those of the buildspec, such as `DOCKER_HOST`.
    pub env: BTreeMap<String, String>,
    /// Durations.
    pub timing: Timing,
}

/// A build image that an installation made itself: AWS's, with more. A project uses it by its name.
#[derive(Clone, Debug)]
pub struct Image {
    /// The name in the project's environment.
    pub name: String,
    /// A directory with more programs, which comes last in `PATH`.
    pub programs: PathBuf,
    /// More variables, overridden by those of the buildspec.
    pub env: BTreeMap<String, String>,
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

/// The fake's configuration and state.
#[derive(Debug)]
pub struct CodeBuild {
    config: Config,
    cloud: Arc<dyn Cloud>,
    state: Mutex<State>,
    background: Background,
}

/// The running fake. `AWS_ENDPOINT_URL_CODEBUILD` is its URL.
pub type Handle = service::Handle<CodeBuild>;

/// Serves AWS CodeBuild on a port of 127.0.0.1, or on a free one if `port` is 0.
///
/// # Errors
/// When the port cannot be bound.
pub async fn start(port: u16, config: Config, cloud: Arc<dyn Cloud>) -> io::Result<Handle> {
    let codebuild = CodeBuild {
        config,
        background: Background::start(Arc::clone(&cloud)),
        cloud,
        state: Mutex::default(),
    };
    Handle::start(port, codebuild).await
}

impl CodeBuild {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Ends every build, and returns when their processes and directories are removed.
    async fn end_builds(&self) {
        let grace = self.config.timing.grace;
        for build in self.state().builds.values_mut() {
            build.stop(grace);
        }
        self.background.finish().await;
    }
}
