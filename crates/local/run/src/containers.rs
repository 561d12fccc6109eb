//! The containers of a local run: what its Batch jobs run as, and how leftovers are found.

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

/// The label of every container of a local run. Its value is the local run's instance. The emulator
/// gives the same label to containers of services, and removes all labeled containers when it ends.
pub const LABEL: &str = "sluicegate.instance";

/// The name of the runner's image in the job definitions.
pub(super) const IMAGE: &str = "runner";

/// The name prefix of images that scripts/build-runner-image.sh builds for the local run.
const RUNNER_IMAGES: &str = "sluicegate-runner:local-";

/// The name prefix of images that scripts/build-rust-image.sh builds.
const RUST_IMAGES: &str = "sluicegate-rust:local-";

/// What Batch jobs run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jobs {
    /// Containers of this image.
    Containers(String),
    /// Native processes, with the reason.
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

/// Decides what jobs run as. Builds the runner's image if it is missing.
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

/// Returns the name of the runner's current image. Fast if the image was built before.
async fn runner_image(machine: &Machine, engine: &Engine) -> anyhow::Result<String> {
    let script = machine.root.join("scripts/build-runner-image.sh");
    let mut command = Command::new(&script);
    command
        .arg("local")
        .current_dir(&machine.root)
        // Variables that an outer cargo sets would make cargo rebuild dependencies.
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
    // Compilers that the script starts are in its group and end with it.
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

/// Returns what the fake Batch server runs for the runner's image.
pub(super) fn stands_for_runner(machine: &Machine, jobs: &Jobs, instance: &str) -> Image {
    let runs = match jobs {
        Jobs::Containers(image) => Runs::Container(Container {
            image: image.clone(),
            // The local run's image leaves out the mirror, because the AWS provider is 700 MB large.
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

/// Returns the ids of an instance's containers in any status.
///
/// # Errors
/// When the engine does not answer.
async fn ids(engine: &Engine, instance: &str) -> anyhow::Result<Vec<String>> {
    let filter = format!("--filter=label={LABEL}={instance}");
    let ids = engine.docker(&["ps", "--all", "--quiet", &filter]).await?;
    Ok(ids.split_whitespace().map(str::to_owned).collect())
}

/// Removes an instance's remaining containers and their volumes.
///
/// # Errors
/// When the engine fails to remove one.
pub async fn remove(engine: &Engine, instance: &str) -> anyhow::Result<()> {
    for id in ids(engine, instance).await? {
        engine.docker(&["rm", "--force", "--volumes", &id]).await?;
    }
    Ok(())
}

/// Removes the images of a local run's registry. The emulator removes only images that it pulled; in a
/// local run without containers, the emulator has no engine but builds use it.
///
/// # Errors
/// When the engine fails to remove one.
pub async fn remove_images(engine: &Engine, registry: &str) -> anyhow::Result<()> {
    rmi(engine, &named(engine, &format!("{registry}/")).await?).await
}

/// Removes the images that a checkout's local runs share: the runner's and those with Rust. Returns their
/// names.
///
/// # Errors
/// When the engine fails to remove one.
pub async fn remove_shared_images(engine: &Engine, root: &Path) -> anyhow::Result<Vec<String>> {
    let checkout = super::checkout(root);
    let mut images = Vec::new();
    for start in [RUNNER_IMAGES, RUST_IMAGES] {
        images.extend(named(engine, &format!("{start}{checkout}-")).await?);
    }
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

/// Returns the images whose names begin with `start`.
async fn named(engine: &Engine, start: &str) -> anyhow::Result<Vec<String>> {
    let names = engine
        .docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"])
        .await?;
    let names = names.lines().filter(|name| name.starts_with(start));
    Ok(names.map(str::to_owned).collect())
}
