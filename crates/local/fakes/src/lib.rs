#![doc = include_str!("../README.md")]

mod aws_json;
mod background;
pub mod batch;
mod cloud;
pub mod codebuild;
mod emulator;
pub mod github;
pub mod http;
mod logs;
pub mod process;
mod server;
pub mod service;
pub mod tools;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use cloud::{Cloud, CloudError, Event, LogLine};
pub use emulator::Emulator;

/// Settings shared by jobs and builds.
#[derive(Clone, Debug)]
pub struct Host {
    /// The region in ARNs and in the environment of jobs.
    pub region: String,
    /// The 12-digit account id in ARNs.
    pub account: String,
    /// `AWS_ENDPOINT_URL` of the jobs, or none in tests without an emulator.
    pub endpoint: Option<String>,
    /// `DOCKER_HOST` for programs that run containers, or none for docker's default.
    pub docker_host: Option<String>,
    /// The parent directory of each job's scratch directory. It must exist.
    pub scratch: PathBuf,
    /// `PATH` of the jobs.
    pub path: String,
}

impl Host {
    /// Returns the variables that every job gets, without this process's own environment.
    fn environment(&self, home: &std::path::Path) -> BTreeMap<String, String> {
        let home = home.display().to_string();
        let mut env = BTreeMap::from([
            ("PATH".to_owned(), self.path.clone()),
            ("HOME".to_owned(), home.clone()),
            ("TMPDIR".to_owned(), home),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("AWS_REGION".to_owned(), self.region.clone()),
            ("AWS_DEFAULT_REGION".to_owned(), self.region.clone()),
            ("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
        ]);
        if let Some(endpoint) = &self.endpoint {
            env.insert("AWS_ENDPOINT_URL".to_owned(), endpoint.clone());
        }
        env
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{resource}",
            self.region, self.account
        )
    }
}

/// Returns the current time in milliseconds since 1970.
fn now_ms() -> i64 {
    now().as_millisecond()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the fakes keep real time, as the services do"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Locks a mutex. A panic of another holder does not matter: it ends the test or the local run.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
