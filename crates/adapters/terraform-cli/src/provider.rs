//! A provider process that several Terraform commands share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::cancel::Cancel;
use crate::environment::Environment;
use crate::handshake::{Handshake, HandshakeError};
use crate::process::{self, Group, MAX_STDERR, Stream};

/// What Terraform adds to its own environment when it starts a provider. Terraform's source:
/// `internal/plugin/serve.go` and go-plugin's `client.go`.
const VARIABLES: [(&str, &str); 4] = [
    (
        "TF_PLUGIN_MAGIC_COOKIE",
        "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
    ),
    ("PLUGIN_PROTOCOL_VERSIONS", "5,6"),
    ("PLUGIN_MIN_PORT", "10000"),
    ("PLUGIN_MAX_PORT", "25000"),
];
/// The longest path of a Unix socket, in bytes.
const LONGEST_SOCKET: usize = 107;
/// The length of the socket's name, in bytes: `/plugin` and a number of at most 10 digits.
const SOCKET_NAME: usize = 17;

/// A provider that was started once for several commands of Terraform. Dropping it kills it.
#[derive(Debug)]
pub struct Provider {
    source: String,
    pid: u32,
    handshake: Handshake,
    running: watch::Receiver<bool>,
    stderr: Arc<Mutex<String>>,
    /// Dropping it makes the task below kill the process.
    kill: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    group: Group,
}

/// What to start.
#[derive(Clone, Copy, Debug)]
pub struct ProviderCommand<'a> {
    /// The source address, such as `registry.terraform.io/hashicorp/aws`.
    pub source: &'a str,
    /// The binary.
    pub binary: &'a Path,
    /// The working directory: that of Terraform, because a provider resolves relative paths in it.
    pub dir: &'a Path,
    /// The environment of Terraform, which a provider inherits.
    pub environment: &'a Environment,
    /// How long to wait for the handshake.
    pub limit: Duration,
}

/// A provider that could not be started. Terraform may still start it by itself.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The binary could not be started.
    #[error("{} could not be started: {cause}", .binary.display())]
    Start {
        /// The binary.
        binary: PathBuf,
        /// The error of the operating system.
        cause: std::io::Error,
    },
    /// The path of the socket would be longer than the operating system allows.
    #[error("its socket in {} would have more than {LONGEST_SOCKET} bytes", .dir.display())]
    LongPath {
        /// The directory for temporary files.
        dir: PathBuf,
    },
    /// The first line is not a handshake that the commands can use.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The process ended before its handshake.
    #[error("it ended without a handshake: {stderr}")]
    Ended {
        /// What it wrote to standard error.
        stderr: String,
    },
    /// The time is over.
    #[error("it sent no handshake within {} s", .limit.as_secs())]
    Silent {
        /// The limit.
        limit: Duration,
    },
    /// A stop was requested.
    #[error("a stop was requested")]
    Stopped,
}

impl Provider {
    /// Starts a provider as Terraform does: same working directory, environment and user. Returns
    /// after its handshake.
    ///
    /// The caller has compared [`crate::package_hash`] with the lock file: Terraform checks nothing
    /// of a provider that it did not start.
    ///
    /// # Errors
    /// [`ProviderError`]; no process is left.
    pub async fn start(
        command: ProviderCommand<'_>,
        cancel: &Cancel,
    ) -> Result<Self, ProviderError> {
        let temp = command.environment.temp();
        if temp.as_os_str().len() + SOCKET_NAME > LONGEST_SOCKET {
            return Err(ProviderError::LongPath { dir: temp });
        }
        let mut child = process::command(command.binary, command.dir, command.environment)
            .envs(VARIABLES)
            .spawn()
            .map_err(|cause| ProviderError::Start {
                binary: command.binary.to_owned(),
                cause,
            })?;
        let group = Group::of(&child);
        let pid = child.id().unwrap_or_default();
        let (first, line) = oneshot::channel();
        let stderr = Arc::new(Mutex::new(String::new()));
        let (alive, running) = watch::channel(true);
        let (kill, killed) = oneshot::channel();
        let pipes = (child.stdout.take(), child.stderr.take());
        let reports = Reports {
            first,
            stderr: Arc::clone(&stderr),
            alive,
            killed,
        };
        let task = tokio::spawn(watched(pipes, child, reports));
        let mut provider = Self {
            source: command.source.to_owned(),
            pid,
            handshake: Handshake::default(),
            running,
            stderr,
            kill: Some(kill),
            task,
            group,
        };
        let line = tokio::select! {
            line = line => line.ok(),
            () = tokio::time::sleep(command.limit) => {
                provider.end().await;
                return Err(ProviderError::Silent { limit: command.limit });
            }
            () = cancel.cancelled() => {
                provider.end().await;
                return Err(ProviderError::Stopped);
            }
        };
        let Some(line) = line else {
            let stderr = provider.stderr();
            provider.end().await;
            return Err(ProviderError::Ended { stderr });
        };
        match Handshake::parse(&line, &temp) {
            Ok(handshake) => {
                provider.handshake = handshake;
                Ok(provider)
            }
            Err(error) => {
                provider.end().await;
                Err(error.into())
            }
        }
    }

    /// Returns the id of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns whether the process runs. If it does not, Terraform has to start the provider itself.
    #[must_use]
    pub fn is_running(&self) -> bool {
        *self.running.borrow()
    }

    /// Waits until the process has ended by itself, at most for `limit`. Returns what it wrote to
    /// standard error, without its log: the stack trace of a crash. Returns `None` if it still runs.
    pub async fn crashed(&self, limit: Duration) -> Option<String> {
        let mut running = self.running.clone();
        let ended = running.wait_for(|running| !running);
        // An error means that the task which watches the process has ended.
        tokio::time::timeout(limit, ended).await.ok()?.ok();
        Some(self.stderr())
    }

    /// Kills the process, and returns when it has ended.
    pub async fn end(mut self) {
        self.kill = None;
        (&mut self.task).await.ok();
    }

    /// Returns the value of `TF_REATTACH_PROVIDERS`.
    pub(crate) fn reattach(&self) -> String {
        self.handshake.reattach(&self.source, self.pid)
    }

    fn stderr(&self) -> String {
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        stderr.trim().to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // The process id is not reused before the task has waited for the process.
        if self.is_running() {
            self.group.kill();
        }
        self.group.forget();
    }
}

/// What the task that watches a process reports, and its order to kill the process.
struct Reports {
    first: oneshot::Sender<String>,
    stderr: Arc<Mutex<String>>,
    alive: watch::Sender<bool>,
    killed: oneshot::Receiver<()>,
}

type Pipes = (
    Option<tokio::process::ChildStdout>,
    Option<tokio::process::ChildStderr>,
);

/// Reads both streams, so that the process never blocks on a pipe, and waits for its end.
async fn watched((output, errors): Pipes, mut child: Child, reports: Reports) {
    let Reports {
        first,
        stderr,
        alive,
        killed,
    } = reports;
    let group = Group::of(&child);
    let mut first = Some(first);
    let streams = async {
        let handshake = Stream::new(output).each_line(|line| {
            if let Some(first) = first.take() {
                // The receiver is gone after the limit.
                first.send(line.to_owned()).ok();
            }
        });
        let errors = Stream::new(errors).each_line(|line| {
            // The lines of its log are JSON. Terraform filters them too.
            let mut stderr = stderr.lock().unwrap_or_else(PoisonError::into_inner);
            if !line.starts_with("{\"@") && stderr.len() + line.len() < MAX_STDERR {
                stderr.push_str(line);
                stderr.push('\n');
            }
        });
        tokio::join!(handshake, errors);
    };
    tokio::pin!(streams);
    let mut open = true;
    let mut killed = Some(killed);
    loop {
        tokio::select! {
            () = &mut streams, if open => open = false,
            _ = child.wait() => break,
            () = ordered(&mut killed) => group.kill(),
        }
    }
    if open {
        // What it wrote last is still in the pipes, and explains its end.
        tokio::time::timeout(Duration::from_secs(1), streams)
            .await
            .ok();
    }
    alive.send_replace(false);
}

/// Completes once, when the sender is dropped.
async fn ordered(killed: &mut Option<oneshot::Receiver<()>>) {
    match killed {
        Some(receiver) => {
            receiver.await.ok();
            *killed = None;
        }
        None => std::future::pending().await,
    }
}
