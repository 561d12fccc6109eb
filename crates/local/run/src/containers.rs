//! The containers of a local run: what its Batch jobs run as, and how whatever is left is found.

use super::engine::Engine;
use super::machine::Machine;
use super::up::Containers;
use anyhow::{Context as _, bail};
use fakes::batch::{Container, Image, Runs};
use fakes::process::{self, Group};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// The label of every container of a local run; its value is the local run's instance. The emulator gives
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
    let why = match (wanted, &machine.engine) {
        (Containers::Never, _) => "no containers are wanted",
        (_, None) => "no Docker engine answers",
        (_, Some(engine)) if !engine.is_here => "the Docker engine does not run on this machine",
        (_, Some(engine)) => {
            return match runner_image(machine, engine).await {
                Ok(image) => Jobs::Containers(image),
                Err(error) => Jobs::Processes(format!("{error:#}")),
            };
        }
    };
    Jobs::Processes(why.to_owned())
}

/// The image of the runner as it is now; quick when it was built before.
async fn runner_image(machine: &Machine, engine: &Engine) -> anyhow::Result<String> {
    let script = machine.root.join("scripts/build-runner-image.sh");
    let mut command = Command::new(&script);
    command
        .arg("local")
        .current_dir(&machine.root)
        // What a cargo around this process sets would have dependencies built anew.
        .env_clear()
        .env("PATH", &machine.path)
        .env("DOCKER_HOST", &engine.address)
        .env("HOME", &machine.homes.home)
        .envs(machine.homes.of_rust())
        .env("CARGO_TARGET_DIR", &machine.target)
        .env("TERRAFORM", &machine.terraform)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = process::spawn(&mut command)?;
    // Compilers that the script started end with it.
    let group = Group::led_by(child.id());
    let output = child.wait_with_output().await?;
    drop(group);
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("the runner's image was not built: {}", complaint.trim());
    }
    let image = said.lines().last().map(str::to_owned);
    image.with_context(|| format!("{} named no image", script.display()))
}

/// What stands for the runner's image in the fake Batch server.
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

/// The ids of the containers that an instance has, whatever their state.
///
/// # Errors
/// When the engine does not answer.
async fn ids(engine: &Engine, instance: &str) -> anyhow::Result<Vec<String>> {
    let filter = format!("--filter=label={LABEL}={instance}");
    let ids = engine.docker(&["ps", "--all", "--quiet", &filter]).await?;
    Ok(ids.split_whitespace().map(str::to_owned).collect())
}

/// Removes the containers that an instance left, with their volumes.
///
/// # Errors
/// When the engine does not remove one.
pub async fn remove(engine: &Engine, instance: &str) -> anyhow::Result<()> {
    for id in ids(engine, instance).await? {
        engine.docker(&["rm", "--force", "--volumes", &id]).await?;
    }
    Ok(())
}

/// Removes the images of a local run's registry. The emulator removes those that it knows of; a
/// local run without containers has an emulator without an engine, but its builds use the engine.
///
/// # Errors
/// When the engine does not remove one.
pub async fn remove_images(engine: &Engine, registry: &str) -> anyhow::Result<()> {
    rmi(engine, &named(engine, &format!("{registry}/")).await?).await
}

/// Removes the runner's images of a checkout's local runs, and returns their names.
///
/// # Errors
/// When the engine does not remove one.
pub async fn remove_runner_images(engine: &Engine, root: &Path) -> anyhow::Result<Vec<String>> {
    let start = format!("{RUNNER_IMAGES}{}-", super::checkout(root));
    let images = named(engine, &start).await?;
    rmi(engine, &images).await?;
    Ok(images)
}

async fn rmi(engine: &Engine, images: &[String]) -> anyhow::Result<()> {
    if images.is_empty() {
        return Ok(());
    }
    let mut args = vec!["rmi"];
    args.extend(images.iter().map(String::as_str));
    engine.docker(&args).await?;
    Ok(())
}

/// The images whose names begin with `start`.
async fn named(engine: &Engine, start: &str) -> anyhow::Result<Vec<String>> {
    let names = engine
        .docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"])
        .await?;
    let names = names.lines().filter(|name| name.starts_with(start));
    Ok(names.map(str::to_owned).collect())
}
