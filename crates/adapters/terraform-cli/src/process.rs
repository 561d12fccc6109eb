//! Runs one child process: own process group, scrubbed environment, limited output, one SIGTERM.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use domain::plan::MAX_PLAN_JSON;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};

use crate::cancel::Cancel;
use crate::environment::Environment;
use crate::error::Error;
use crate::lines::LineSplitter;
use crate::ui::Source;

/// How long the output is read after the child process has ended. A grandchild may keep the pipe
/// open.
const DRAIN: Duration = Duration::from_secs(2);
/// The largest standard output that is captured (`state pull`), in bytes.
const MAX_CAPTURE: usize = 512 * 1024 * 1024;
/// The most bytes of standard error that are kept.
pub(crate) const MAX_STDERR: usize = 64 * 1024;

/// The handling of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// Passed to the callback, line by line.
    Lines,
    /// Captured as bytes and not passed on, because it may contain sensitive values.
    Capture,
    /// The same, of a plan as JSON.
    Plan,
}

impl Stdout {
    /// Returns the most bytes that are captured.
    fn limit(self) -> usize {
        match self {
            Self::Plan => MAX_PLAN_JSON,
            Self::Capture | Self::Lines => MAX_CAPTURE,
        }
    }
}

/// A command to run.
pub(crate) struct Job<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) args: &'a [std::ffi::OsString],
    pub(crate) dir: &'a Path,
    pub(crate) environment: &'a Environment,
    pub(crate) cancel: &'a Cancel,
    pub(crate) grace: Duration,
    pub(crate) stdout: Stdout,
}

/// The end of a child process.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) captured: Vec<u8>,
    pub(crate) stderr: String,
    /// Whether a stop was requested while it ran.
    pub(crate) asked: bool,
    /// Whether the grace period ended and the process group got a SIGKILL.
    pub(crate) killed: bool,
}

/// The process group of the child. Dropping it kills the remaining processes: providers and
/// provisioners outlive a killed Terraform.
#[derive(Debug)]
pub(crate) struct Group(Option<Pid>);

impl Group {
    pub(crate) fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    pub(crate) fn kill(&self) {
        if let Some(pid) = self.0 {
            // ESRCH means that the group has no processes left, which is the goal.
            let _gone = killpg(pid, Signal::SIGKILL);
        }
    }

    /// Forgets the group, whose id may soon belong to other processes. Dropping it has no effect then.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }

    /// Sends SIGTERM to Terraform only. Terraform stops its providers itself; a provider that is
    /// terminated while it creates a resource loses track of it.
    fn terminate_leader(&self) {
        if let Some(pid) = self.0 {
            let _gone = kill(pid, Signal::SIGTERM);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns a command with exactly this environment, in a process group of its own. Both outputs are
/// pipes. Dropping the child kills it.
pub(crate) fn command(binary: &Path, dir: &Path, environment: &Environment) -> Command {
    let mut command = Command::new(binary);
    command
        .current_dir(dir)
        .env_clear()
        .envs(environment.iter())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Runs the child process to its end. Reads both streams all the time, so that it never blocks on a
/// pipe.
pub(crate) async fn run(
    job: Job<'_>,
    mut on_line: impl FnMut(Source, &str),
) -> Result<Ended, Error> {
    let mut child = command(job.binary, job.dir, job.environment)
        .args(job.args)
        .spawn()
        .map_err(|source| Error::Start {
            binary: job.binary.to_owned(),
            source,
        })?;
    let group = Group::of(&child);
    let mut stdout = Stream::new(child.stdout.take());
    let mut stderr = Stream::new(child.stderr.take());
    let (mut captured, mut error_text) = (Vec::new(), String::new());
    let (mut asked, mut killed) = (false, false);
    let mut status = None;
    let mut deadline = far_future();

    while status.is_none() || stdout.open() || stderr.open() {
        tokio::select! {
            chunk = stdout.read(), if stdout.open() => match job.stdout {
                Stdout::Capture | Stdout::Plan => {
                    let limit = job.stdout.limit();
                    if captured.len() + chunk.len() > limit {
                        return Err(Error::TooLong { limit });
                    }
                    captured.extend_from_slice(chunk);
                }
                Stdout::Lines => stdout.lines(|line| on_line(Source::Stdout, line)),
            },
            _ = stderr.read(), if stderr.open() => stderr.lines(|line| {
                if error_text.len() < MAX_STDERR {
                    error_text.push_str(line);
                    error_text.push('\n');
                }
                on_line(Source::Stderr, line);
            }),
            ended = child.wait(), if status.is_none() => {
                status = Some(ended.map_err(|source| Error::Io {
                    what: "wait for terraform",
                    path: job.binary.to_owned(),
                    source,
                })?);
                group.kill();
                deadline = Instant::now() + DRAIN;
            }
            () = job.cancel.cancelled(), if !asked && status.is_none() => {
                asked = true;
                group.terminate_leader();
                deadline = Instant::now() + job.grace;
            }
            () = sleep_until(deadline) => {
                if status.is_some() {
                    break;
                }
                killed = true;
                group.kill();
                deadline = far_future();
            }
        }
    }
    let status = match status {
        Some(status) => status,
        None => child.wait().await.map_err(|source| Error::Io {
            what: "wait for terraform",
            path: job.binary.to_owned(),
            source,
        })?,
    };
    Ok(Ended {
        status,
        captured,
        stderr: error_text,
        asked,
        killed,
    })
}

/// Returns an instant that is later than any job's end.
fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(30 * 24 * 3600)
}

/// An output pipe of the child process.
pub(crate) struct Stream<R> {
    pipe: Option<R>,
    buffer: Vec<u8>,
    filled: usize,
    splitter: LineSplitter,
}

impl<R: AsyncRead + Unpin> Stream<R> {
    pub(crate) fn new(pipe: Option<R>) -> Self {
        Self {
            pipe,
            buffer: vec![0; 64 * 1024],
            filled: 0,
            splitter: LineSplitter::default(),
        }
    }

    fn open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads the next chunk; empty at the end, after which the stream is closed. Cancel-safe.
    async fn read(&mut self) -> &[u8] {
        self.filled = match self.pipe.as_mut() {
            Some(pipe) => pipe.read(&mut self.buffer).await.unwrap_or(0),
            None => 0,
        };
        if self.filled == 0 {
            self.pipe = None;
        }
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    /// Reads to the end, and passes on each line.
    pub(crate) async fn each_line(mut self, mut each: impl FnMut(&str)) {
        while self.open() {
            self.read().await;
            self.lines(&mut each);
        }
    }

    /// Passes on the lines that the last chunk completed, and at the end the last line.
    fn lines(&mut self, mut each: impl FnMut(&str)) {
        let chunk = self.buffer.get(..self.filled).unwrap_or_default();
        for line in self.splitter.push(chunk) {
            each(&line);
        }
        if self.pipe.is_none()
            && let Some(last) = self.splitter.finish()
        {
            each(&last);
        }
    }
}
