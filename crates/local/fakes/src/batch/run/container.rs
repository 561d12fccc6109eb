//! Runs a job as a container of a Docker engine on this machine.
//!
//! Uses the docker CLI in separate steps: `create`, `start --attach` for output and exit, `kill` for
//! signals, `inspect` for the result, and always `rm`. With separate steps, a signal that arrives
//! while the container starts is not lost, and the job's exit code cannot be confused with one of
//! `docker` itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::sync::mpsc;

use super::work::{Finished, Work};
use crate::Host;
use crate::batch::api::resource;
use crate::process::{self, Command};

/// The only directory that a job may write to: a volume that is removed with the container.
const SCRATCH: &str = "/tmp";
/// The time limit for one docker command.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between attempts to signal a container that has not started.
const AGAIN: Duration = Duration::from_millis(100);
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

/// Settings shared by all containers of an image.
#[derive(Clone, Debug)]
pub struct Container {
    /// The image name in the engine. It is never pulled.
    pub image: String,
    /// Host directories mounted read-only, each with its path in the container.
    pub mounts: Vec<(PathBuf, String)>,
    /// The label, as name and value, that identifies the containers for cleanup.
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
        // `--force` makes a missing container a success.
        let remove = ["rm", "--force", "--volumes", &name].map(str::to_owned);
        if let Err(error) = docker(host, remove.into()).await {
            tracing::warn!(container = name, error, "a job's container was not removed");
        }
        finished
    }

    /// Returns the arguments of `docker create`.
    fn create(&self, host: &Host, name: &str, work: &Work<'_>) -> Vec<String> {
        let spec = work.spec;
        let (label, value) = &self.label;
        let mut args: Vec<String> = ["create", "--pull=never", "--name", name]
            .map(String::from)
            .into();
        args.extend([
            format!("--label={label}={value}"),
            // The emulator listens only on this machine's loopback address.
            "--network=host".to_owned(),
            "--cap-drop=ALL".to_owned(),
            "--security-opt=no-new-privileges".to_owned(),
            "--read-only".to_owned(),
            format!("--mount=type=volume,dst={SCRATCH}"),
            // Output is read through `--attach`; the engine does not need to store it.
            "--log-driver=none".to_owned(),
            format!("--cpus={}", cpus(spec.vcpus, machine_cpus())),
        ]);
        if let Some(memory) = resource(&spec.container, "MEMORY") {
            // Equal memory and swap limits: no swap, as on Fargate.
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

/// Returns the environment of a native job without the paths of this machine.
fn environment(host: &Host, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env = host.environment(Path::new(SCRATCH));
    env.remove("PATH");
    env.extend(own.clone());
    env
}

/// Returns the value for `--cpus`, capped because the engine refuses more than the machine has.
fn cpus(thousandths: u64, machine: u64) -> String {
    let given = thousandths.min(machine * 1000);
    format!("{}.{:03}", given / 1000, given % 1000)
}

fn machine_cpus() -> u64 {
    std::thread::available_parallelism().map_or(1, |cpus| u64::try_from(cpus.get()).unwrap_or(1))
}

/// Starts a created container and waits until it exits.
async fn started(host: &Host, name: &str, work: Work<'_>) -> Result<Finished, String> {
    let command = Command {
        program: "docker".to_owned(),
        args: ["start", "--attach", name].map(String::from).into(),
        env: engine_environment(host),
        dir: host.scratch.clone(),
    };
    let (sender, signals) = mpsc::unbounded_channel();
    let signal = move |signal| {
        sender.send(signal).ok();
    };
    let run = process::run_before(&command, work.limits, work.stop, work.lines, &signal);
    let ended = tokio::select! {
        ended = run => ended,
        never = deliver(host, name, signals) => match never {},
    };
    let ended = ended.map_err(|error| format!("CannotStartContainerError: {error}"))?;
    let format = "{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Status}} {{.State.Error}}";
    let inspect = ["inspect", "--type=container", "--format", format, name].map(String::from);
    let output = docker(host, inspect.into()).await;
    let state = output.and_then(|output| State::read(&output));
    let state = state.map_err(|error| format!("CannotInspectContainerError: {error}"))?;
    state.finished(ended.cause)
}

/// Forwards each received signal to the container. Retries a signal until the container has started
/// or a later signal replaces it.
async fn deliver(
    host: &Host,
    name: &str,
    mut signals: mpsc::UnboundedReceiver<Signal>,
) -> Infallible {
    while let Some(mut signal) = signals.recv().await {
        loop {
            let kill = ["kill", "--signal", signal.as_str(), name].map(String::from);
            if docker(host, kill.into()).await.is_ok() {
                break;
            }
            tokio::time::sleep(AGAIN).await;
            signal = signals.try_recv().unwrap_or(signal);
        }
    }
    std::future::pending().await
}

/// The result of `docker inspect` for a container that has exited.
#[derive(Debug, Eq, PartialEq)]
struct State {
    code: i32,
    out_of_memory: bool,
    status: String,
    error: String,
}

impl State {
    fn read(output: &str) -> Result<Self, String> {
        let mut words = output.trim().splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let code = word();
        Ok(Self {
            code: code
                .parse()
                .map_err(|_| format!("`docker inspect` answered {output:?}"))?,
            out_of_memory: word() == "true",
            status: word().to_owned(),
            error: word().to_owned(),
        })
    }

    fn finished(self, cause: process::Cause) -> Result<Finished, String> {
        if self.status == "created" {
            let why = "the engine did not start it; the log has its message";
            return Err(format!("CannotStartContainerError: {why} {}", self.error));
        }
        match self.status.as_str() {
            "exited" => {}
            // Another process removes the container, and its exit code with it.
            "removing" | "dead" => {
                return Err("CannotInspectContainerError: the container is being removed".into());
            }
            other => {
                let why = format!("`docker wait` ended while the container was {other}");
                return Err(format!("DockerStateError: {why}"));
            }
        }
        let code = self.code;
        Ok(Finished {
            end: process::End { code, cause },
            reason: self.out_of_memory.then(|| OUT_OF_MEMORY.to_owned()),
        })
    }
}

/// Returns the environment for docker commands, without this process's own variables.
fn engine_environment(host: &Host) -> BTreeMap<String, String> {
    let path = ("PATH".to_owned(), host.path.clone());
    let address = host.docker_host.clone();
    let address = address.map(|address| ("DOCKER_HOST".to_owned(), address));
    [path].into_iter().chain(address).collect()
}

/// Runs `docker` and returns its standard output. The error is its standard error.
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
