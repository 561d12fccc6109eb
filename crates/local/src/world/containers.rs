//! The containers of a world: what its Batch jobs run as, and how whatever is left is found.

use super::machine::{Docker, Machine};
use super::up::Containers;
use crate::standin::batch::{Container, Image, Runs};
use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// The label of every container of a world; its value is the world's instance. The emulator gives
/// the same label to those of services, and removes all that bear it at its end.
pub const LABEL: &str = "sluicegate.instance";

/// The name of the runner's image in the job definitions.
pub(super) const IMAGE: &str = "runner";

/// How the names of the images begin that scripts/build-runner-image.sh builds for the local run.
const RUNNER_IMAGES: &str = "sluicegate-runner:local-";

/// What Batch jobs run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jobs {
    /// Containers of this image.
    Containers(String),
    /// Native processes, and why.
    Processes(String),
}

impl std::fmt::Display for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Containers(image) => write!(f, "Batch jobs are containers of {image}"),
            Self::Processes(why) => write!(f, "Batch jobs are native processes: {why}"),
        }
    }
}

/// Decides what jobs run as, and has the runner's image built where it is missing.
pub(super) async fn jobs(machine: &Machine, wanted: Containers) -> Jobs {
    let why = match (wanted, machine.docker) {
        (Containers::Never, _) => "no containers are wanted",
        (_, Docker::None) => "no Docker engine answers",
        _ if !machine.engine_is_here => "the Docker engine does not run on this machine",
        _ => {
            return match runner_image(machine).await {
                Ok(image) => Jobs::Containers(image),
                Err(error) => Jobs::Processes(format!("{error:#}")),
            };
        }
    };
    Jobs::Processes(why.to_owned())
}

/// The image of the runner as it is now; quick when it was built before.
async fn runner_image(machine: &Machine) -> anyhow::Result<String> {
    let script = machine.root.join("scripts/build-runner-image.sh");
    let child = Command::new(&script)
        .arg("local")
        .current_dir(&machine.root)
        // What a cargo around this process sets would have dependencies built anew.
        .env_clear()
        .env("PATH", &machine.path)
        .env("HOME", &machine.homes.home)
        .envs(machine.homes.of_rust())
        .env("CARGO_TARGET_DIR", &machine.target)
        .env("TERRAFORM", &machine.terraform)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("start {}", script.display()))?;
    let mut group = Group(child.id());
    let output = child.wait_with_output().await?;
    group.0 = None;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("the runner's image was not built: {}", complaint.trim());
    }
    let image = said.lines().last().map(str::to_owned);
    image.with_context(|| format!("{} named no image", script.display()))
}

/// The process group of a script; it ends with whoever waits for it, compilers included.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // It may have ended meanwhile.
            killpg(Pid::from_raw(leader), Signal::SIGKILL).ok();
        }
    }
}

/// What stands for the runner's image in the Batch stand-in.
pub(super) fn stands_for_runner(machine: &Machine, jobs: &Jobs, instance: &str) -> Image {
    let runs = match jobs {
        Jobs::Containers(image) => Runs::Container(Container {
            image: image.clone(),
            // The AWS provider has 700 MB: the image of the local run leaves the mirror out.
            mounts: vec![(machine.mirror.clone(), "/mirror".to_owned())],
            label: (LABEL.to_owned(), instance.to_owned()),
        }),
        Jobs::Processes(_) => Runs::Process {
            program: machine.bin.join("runner").display().to_string(),
            args: Vec::new(),
        },
    };
    Image {
        name: format!("{IMAGE}*"),
        runs,
        env: BTreeMap::new(),
    }
}

/// The ids of the containers that an instance has, whatever their state. `path` is the `PATH` to
/// find `docker` in.
///
/// # Errors
/// When no engine answers.
pub async fn left(path: &str, instance: &str) -> anyhow::Result<Vec<String>> {
    let filter = format!("--filter=label={LABEL}={instance}");
    let ids = docker(path, &["ps", "--all", "--quiet", &filter]).await?;
    Ok(ids.split_whitespace().map(str::to_owned).collect())
}

/// Removes the containers that an instance left, with their volumes.
///
/// # Errors
/// When the engine does not remove one.
pub async fn remove(path: &str, instance: &str) -> anyhow::Result<()> {
    for id in left(path, instance).await? {
        docker(path, &["rm", "--force", "--volumes", &id]).await?;
    }
    Ok(())
}

/// The images that were built for or pulled from a world's registry, `127.0.0.1:<port>`.
///
/// # Errors
/// When no engine answers.
pub async fn images(path: &str, registry: &str) -> anyhow::Result<Vec<String>> {
    named(path, &format!("{registry}/")).await
}

/// Removes the images of a world's registry. The emulator does it for those that it knows of; a
/// world without containers has an emulator without an engine, and its builds use one all the same.
///
/// # Errors
/// When the engine does not remove one.
pub async fn remove_images(path: &str, registry: &str) -> anyhow::Result<()> {
    rmi(path, &images(path, registry).await?).await
}

/// Removes the runner's images of a checkout's local runs, and gives their names.
///
/// # Errors
/// When the engine does not remove one.
pub async fn remove_runner_images(path: &str, root: &Path) -> anyhow::Result<Vec<String>> {
    let start = format!("{RUNNER_IMAGES}{}-", super::checkout(root));
    let images = named(path, &start).await?;
    rmi(path, &images).await?;
    Ok(images)
}

async fn rmi(path: &str, images: &[String]) -> anyhow::Result<()> {
    if images.is_empty() {
        return Ok(());
    }
    let mut args = vec!["rmi"];
    args.extend(images.iter().map(String::as_str));
    docker(path, &args).await?;
    Ok(())
}

/// The images whose names begin so.
async fn named(path: &str, start: &str) -> anyhow::Result<Vec<String>> {
    let names = docker(path, &["images", "--format", "{{.Repository}}:{{.Tag}}"]).await?;
    let names = names.lines().filter(|name| name.starts_with(start));
    Ok(names.map(str::to_owned).collect())
}

/// Asks the engine at the usual place.
async fn docker(path: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("docker")
        .args(args)
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .await
        .context("start docker")?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("docker {}: {}", args.join(" "), complaint.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
