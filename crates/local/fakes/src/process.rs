//! Starts processes: [`run`] for a job in its own process group with a clean environment, [`output`]
//! for a tool. No other module of the local crates starts processes, so every error names the program.
//!
//! A job ends as a container does: when its first process exits, all other processes of the group are
//! killed, and when its directory is removed, those outside the group that work in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The maximum length of a log line in bytes, as CloudWatch Logs limits events. Longer lines are split.
const LONGEST_LINE: usize = 64 * 1024;
/// The time that the output may stay open after the last process of the group was killed.
const DRAIN: Duration = Duration::from_secs(2);

/// A program to run. Its environment is exactly `env`; standard input is empty.
#[derive(Clone, Debug)]
pub struct Command {
    /// A path, or a name that is looked up in the `PATH` of `env`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its complete environment.
    pub env: BTreeMap<String, String>,
    /// Its working directory.
    pub dir: PathBuf,
}

/// A request to end a process: SIGTERM immediately, and SIGKILL to the group after the given time.
/// `None` until the request is made.
pub type Stop = watch::Receiver<Option<Duration>>;

/// How long a process may run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time after which the process is stopped.
    pub duration: Option<Duration>,
    /// The time between SIGTERM and SIGKILL after a timeout.
    pub grace: Duration,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct End {
    /// Its exit code, or 128 plus the signal number if a signal ended it, as containers report.
    pub code: i32,
    /// Why it ended.
    pub cause: Cause,
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// It exited by itself.
    Itself,
    /// It was stopped by a request. See [`Stop`].
    Stopped,
    /// It exceeded its time limit.
    TimedOut,
}

/// A program that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start `{program}`: {cause}; {hint}")]
pub struct StartError {
    program: String,
    hint: &'static str,
    cause: io::Error,
}

impl StartError {
    fn new(program: impl AsRef<Path>, cause: io::Error) -> Self {
        let program = program.as_ref();
        // The system reports a missing interpreter as if the script itself were missing.
        let hint = if cause.kind() == io::ErrorKind::NotFound && program.is_file() {
            "the file exists, so check that the interpreter in its first line or its working directory does"
        } else {
            "check that the file exists and may be executed"
        };
        Self {
            program: program.display().to_string(),
            hint,
            cause,
        }
    }
}

/// Starts a program.
///
/// When the program cannot be started. The error names the program.
/// When it cannot be started; the error names the program.
pub fn spawn(command: &mut tokio::process::Command) -> Result<tokio::process::Child, StartError> {
    let child = command.spawn();
    child.map_err(|cause| StartError::new(command.as_std().get_program(), cause))
}

/// Runs a program and returns its output. Standard input is empty.
///
/// # Errors
/// When the program cannot be started. The error names the program.
pub async fn output(command: &mut tokio::process::Command) -> Result<Output, StartError> {
    let output = command.stdin(Stdio::null()).output().await;
    output.map_err(|cause| StartError::new(command.as_std().get_program(), cause))
}

/// Runs a program as [`output`] does, and blocks until it exits.
///
/// # Errors
/// When the program cannot be started. The error names the program.
pub fn output_blocking(command: &mut std::process::Command) -> Result<Output, StartError> {
    let output = command.stdin(Stdio::null()).output();
    output.map_err(|cause| StartError::new(command.get_program(), cause))
}

/// Runs `command` and sends each line of its output to `lines`.
///
/// A dropped receiver does not block the process. Dropping this future kills the whole group.
///
/// # Errors
/// When the program cannot be started.
pub async fn run(
    command: &Command,
    limits: Limits,
    stop: Stop,
    lines: mpsc::Sender<String>,
) -> Result<End, StartError> {
    watch(command, limits, stop, lines, None).await
}

/// Runs a client program of another process, such as `docker start --attach`. As [`run`], but SIGTERM
/// and SIGKILL go to `signal` instead of the process group, and are expected to end the program.
///
/// # Errors
/// When the program cannot be started.
pub async fn run_before(
    command: &Command,
    limits: Limits,
    stop: Stop,
    lines: mpsc::Sender<String>,
    signal: &(dyn Fn(Signal) + Send + Sync),
) -> Result<End, StartError> {
    watch(command, limits, stop, lines, Some(signal)).await
}

async fn watch(
    command: &Command,
    limits: Limits,
    mut stop: Stop,
    lines: mpsc::Sender<String>,
    behind: Option<&(dyn Fn(Signal) + Send + Sync)>,
) -> Result<End, StartError> {
    let mut started = tokio::process::Command::new(&command.program);
    started
        .args(&command.args)
        .env_clear()
        .envs(&command.env)
        .current_dir(&command.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = spawn(&mut started)?;
    let group = Group::led_by(child.id());
    let send = |signal| match behind {
        Some(behind) => behind(signal),
        None => group.signal(signal),
    };
    let mut readers = JoinSet::new();
    if let Some(output) = child.stdout.take() {
        readers.spawn(forward(output, lines.clone()));
    }
    if let Some(output) = child.stderr.take() {
        readers.spawn(forward(output, lines));
    }

    let mut cause = Cause::Itself;
    let mut time_over = limits.duration.map(|limit| Instant::now() + limit);
    let mut kill_at: Option<Instant> = None;
    let mut asked = true;
    stop.mark_changed();
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(|cause| StartError::new(&command.program, cause))?,
            changed = stop.changed(), if asked => {
                asked = changed.is_ok();
                let Some(grace) = *stop.borrow_and_update() else { continue };
                if cause == Cause::Itself {
                    cause = Cause::Stopped;
                    send(Signal::SIGTERM);
                }
                let at = Instant::now() + grace;
                kill_at = Some(kill_at.map_or(at, |earlier| earlier.min(at)));
            }
            () = at(time_over), if cause == Cause::Itself => {
                cause = Cause::TimedOut;
                time_over = None;
                send(Signal::SIGTERM);
                kill_at = Some(Instant::now() + limits.grace);
            }
            () = at(kill_at) => {
                kill_at = None;
                send(Signal::SIGKILL);
            }
        }
    };
    drop(group);
    let drained = async { while readers.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(program = %command.program, "its output stayed open after its end");
    }
    Ok(End {
        code: exit_code(status),
        cause,
    })
}

/// Completes at `time`, or never for `None`.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}

/// A process group. Dropping it kills every remaining process of the group.
#[derive(Debug)]
pub struct Group(Option<Pid>);

impl Group {
    /// Returns the group with this leader.
    #[must_use]
    pub fn led_by(pid: Option<u32>) -> Self {
        // 0 and 1 would address this process's own group and all processes.
        Self(
            pid.and_then(|pid| i32::try_from(pid).ok())
                .filter(|pid| *pid > 1)
                .map(Pid::from_raw),
        )
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Ignore the error: the group may have ended in between.
            killpg(group, signal).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Sends `output` line by line. Invalid UTF-8 is replaced.
async fn forward(output: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    let mut open = true;
    while open {
        let (used, end_of_line) = match output.fill_buf().await {
            Ok([]) | Err(_) => {
                open = false;
                (0, false)
            }
            Ok(bytes) => {
                let room = LONGEST_LINE.saturating_sub(line.len());
                let part = bytes.get(..room).unwrap_or(bytes);
                let end = part.iter().position(|byte| *byte == b'\n');
                let part = end.and_then(|end| part.get(..end)).unwrap_or(part);
                line.extend_from_slice(part);
                (part.len() + usize::from(end.is_some()), end.is_some())
            }
        };
        output.consume(used);
        if end_of_line || line.len() >= LONGEST_LINE || (!open && !line.is_empty()) {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches('\r')
                .to_owned();
            line.clear();
            // After the receiver is dropped, keep reading so that the process does not block on a full pipe.
            lines.send(text).await.ok();
        }
    }
}

/// Kills the processes that work below a directory. A program that was killed cannot end the process groups
/// that it started; a container would.
fn kill_below(dir: &Path) {
    let Ok(dir) = dir.canonicalize() else { return };
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let working = fs::read_link(entry.path().join("cwd"));
        if working.is_ok_and(|working| working.starts_with(&dir)) {
            // Ignore the error: the process may have ended in between.
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

/// A job's own directory. Dropping it kills the processes that work in it, and removes it with its content.
#[derive(Debug)]
pub struct Scratch(Option<tempfile::TempDir>);

impl Scratch {
    /// Creates a new directory in `parent`, accessible only to its owner.
    ///
    /// # Errors
    /// When `parent` does not exist or cannot be written to.
    pub fn below(parent: &Path, prefix: &str) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(parent)?;
        Ok(Self(Some(dir)))
    }

    /// Returns the directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0
            .as_ref()
            .map_or(Path::new("/nonexistent"), tempfile::TempDir::path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(dir) = self.0.take() else { return };
        let path = dir.keep();
        kill_below(&path);
        if fs::remove_dir_all(&path).is_ok() {
            return;
        }
        // Files in a directory without write permission cannot be removed, and tools leave read-only caches.
        open_up(&path);
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %error, "a job's directory could not be removed");
        }
    }
}

fn open_up(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).ok();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
