//! A job as a container of a Docker engine on this machine.
//!
//! The engine is asked by its command line: `create`, `start --attach` for lines and end, `kill`
//! for signals, `inspect` for what became of it, `rm` always. The steps are apart, so that a signal
//! that comes while the container starts is not lost, and an exit code of the job's is never taken
//! for one of `docker` itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::sync::mpsc;

use super::submit::resource;
use super::work::{Finished, Work};
use crate::Host;
use crate::process::{self, Command};

/// The only directory that a job may write to: a volume of its own, gone with the container.
const SCRATCH: &str = "/tmp";
/// How long the engine may take for one step.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries to signal a container that has not started yet.
const AGAIN: Duration = Duration::from_millis(100);
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

/// What the containers of an image have in common.
#[derive(Clone, Debug)]
pub struct Container {
    /// The image as the engine has it; nothing is pulled.
    pub image: String,
    /// Directories of this machine that the container sees, read-only, and under which path.
    pub mounts: Vec<(PathBuf, String)>,
    /// The label by which whoever cleans up finds the containers: name and value.
    pub label: (String, String),
}

impl Container {
    pub(super) async fn run(&self, host: &Host, work: Work<'_>) -> Result<Finished, String> {
        let name = format!("sluicegate-{}-{}", work.spec.id, work.number);
        let create = docker(host, self.create(host, &name, &work)).await;
        let finished = match create {
            Ok(_) => started(host, &name, work).await,
            Err(error) => Err(format!("CannotCreateContainerError: {error}")),
        };
        // `--force` is content when there is none.
        let remove = ["rm", "--force", "--volumes", &name].map(str::to_owned);
        if let Err(error) = docker(host, remove.into()).await {
            tracing::warn!(container = name, error, "a job's container was not removed");
        }
        finished
    }

    /// The arguments of `docker create`.
    fn create(&self, host: &Host, name: &str, work: &Work<'_>) -> Vec<String> {
        let spec = work.spec;
        let (label, value) = &self.label;
        let mut args: Vec<String> = ["create", "--pull=never", "--name", name]
            .map(String::from)
            .into();
        args.extend([
            format!("--label={label}={value}"),
            // The emulator listens on this machine's loopback only.
            "--network=host".to_owned(),
            "--cap-drop=ALL".to_owned(),
            "--security-opt=no-new-privileges".to_owned(),
            "--read-only".to_owned(),
            format!("--mount=type=volume,dst={SCRATCH}"),
            // The lines are read as they come; the engine need not keep them.
            "--log-driver=none".to_owned(),
            format!("--cpus={}", cpus(spec.vcpus, machine_cpus())),
        ]);
        if let Some(memory) = resource(&spec.container, "MEMORY") {
            // The same number for both: no swap, as on Fargate.
            args.extend([
                format!("--memory={memory}m"),
                format!("--memory-swap={memory}m"),
            ]);
        }
        if let Some(user) = spec.container.get("user").and_then(Value::as_str) {
            args.push(format!("--user={user}"));
        }
        for (from, to) in &self.mounts {
            args.push(format!(
                "--mount=type=bind,readonly,src={},dst={to}",
                from.display()
            ));
        }
        let env = environment(host, &work.env);
        args.extend(
            env.iter()
                .map(|(name, value)| format!("--env={name}={value}")),
        );
        args.push(self.image.clone());
        args.extend(spec.command.iter().cloned());
        args
    }
}

/// The environment of a job as it is natively, but for the paths of this machine.
fn environment(host: &Host, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env = host.environment(Path::new(SCRATCH));
    env.remove("PATH");
    env.extend(own.clone());
    env
}

/// What `--cpus` is given: the engine refuses more than the machine has.
fn cpus(thousandths: u64, machine: u64) -> String {
    let given = thousandths.min(machine * 1000);
    format!("{}.{:03}", given / 1000, given % 1000)
}

fn machine_cpus() -> u64 {
    std::thread::available_parallelism().map_or(1, |cpus| u64::try_from(cpus.get()).unwrap_or(1))
}

/// Starts a container that was made, and waits for its end.
async fn started(host: &Host, name: &str, work: Work<'_>) -> Result<Finished, String> {
    let command = Command {
        program: "docker".to_owned(),
        args: ["start", "--attach", name].map(String::from).into(),
        env: engine_environment(host),
        dir: host.scratch.clone(),
    };
    let (tell, told) = mpsc::unbounded_channel();
    let signal = move |signal| {
        tell.send(signal).ok();
    };
    let run = process::run_before(&command, work.limits, work.stop, work.lines, &signal);
    let ended = tokio::select! {
        ended = run => ended,
        never = deliver(host, name, told) => match never {},
    };
    let ended = ended.map_err(|error| format!("CannotStartContainerError: {error}"))?;
    let format = "{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Status}} {{.State.Error}}";
    let inspect = ["inspect", "--type=container", "--format", format, name].map(String::from);
    let said = docker(host, inspect.into()).await;
    let state = said.and_then(|said| State::read(&said));
    let state = state.map_err(|error| format!("CannotInspectContainerError: {error}"))?;
    state.finished(ended.cause)
}

/// Sends the container each signal that it is told. One that finds it not started yet is sent
/// again until it has, or until a later one takes its place.
async fn deliver(host: &Host, name: &str, mut told: mpsc::UnboundedReceiver<Signal>) -> Infallible {
    while let Some(mut signal) = told.recv().await {
        loop {
            let kill = ["kill", "--signal", signal.as_str(), name].map(String::from);
            if docker(host, kill.into()).await.is_ok() {
                break;
            }
            tokio::time::sleep(AGAIN).await;
            signal = told.try_recv().unwrap_or(signal);
        }
    }
    std::future::pending().await
}

/// What the engine says of a container after its end.
#[derive(Debug, Eq, PartialEq)]
struct State {
    code: i32,
    out_of_memory: bool,
    status: String,
    error: String,
}

impl State {
    fn read(said: &str) -> Result<Self, String> {
        let mut words = said.trim().splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let code = word();
        Ok(Self {
            code: code
                .parse()
                .map_err(|_| format!("`docker inspect` answered {said:?}"))?,
            out_of_memory: word() == "true",
            status: word().to_owned(),
            error: word().to_owned(),
        })
    }

    fn finished(self, cause: process::Cause) -> Result<Finished, String> {
        if self.status == "created" {
            let why = "the engine did not start it; its words stand in the log";
            return Err(format!("CannotStartContainerError: {why} {}", self.error));
        }
        if self.status != "exited" {
            return Err(format!(
                "DockerStateError: the engine let go of a container that is {}",
                self.status
            ));
        }
        let code = self.code;
        Ok(Finished {
            end: process::End { code, cause },
            reason: self.out_of_memory.then(|| OUT_OF_MEMORY.to_owned()),
        })
    }
}

/// Nothing of this process's own environment.
fn engine_environment(host: &Host) -> BTreeMap<String, String> {
    let path = ("PATH".to_owned(), host.path.clone());
    let address = host.docker_host.clone();
    let address = address.map(|address| ("DOCKER_HOST".to_owned(), address));
    [path].into_iter().chain(address).collect()
}

/// Runs `docker` and gives what it says; the error is what it complains of.
async fn docker(host: &Host, args: Vec<String>) -> Result<String, String> {
    let mut command = tokio::process::Command::new("docker");
    command
        .args(&args)
        .env_clear()
        .envs(engine_environment(host))
        .kill_on_drop(true);
    let verb = args.first().map(String::as_str).unwrap_or_default();
    let output = match tokio::time::timeout(PATIENCE, process::output(&mut command)).await {
        Ok(output) => output.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("`docker {verb}` took longer than {PATIENCE:?}")),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let complaint = complaint
        .trim()
        .trim_start_matches("Error response from daemon: ");
    Err(complaint.to_owned())
}
