//! The builds of a local run. Two things stand for what an installation on AWS has: the build image with
//! Rust, of which `environment_image` is the name there, and the public image with Rust that a Dockerfile
//! names.

use super::engine::Engine;
use super::machine::{Machine, find};
use super::up::Order;
use anyhow::{Context as _, bail};
use fakes::process::{self, Group};
use fakes::tools::{self, Builder};
use fakes::{Host, codebuild};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The name of the build image with Rust, in the projects of the local root.
pub(super) const IMAGE: &str = "sluicegate-local/build-with-rust";

/// The argument of a Dockerfile that names its base image with Rust.
const BASE: &str = "RUST_IMAGE";

/// Returns the configuration of the fake CodeBuild: the programs of AWS's image, and an image with the
/// user's Rust toolchain and a cache of compiled code.
pub(super) async fn config(
    machine: &Machine,
    order: &Order,
    host: Host,
) -> anyhow::Result<codebuild::Config> {
    let cache = machine.target.join("sample-builds");
    std::fs::create_dir_all(&cache)?;
    let directory = order.dir.join("build-tools");
    let builder = match machine.engine {
        Some(_) => Builder::Docker,
        None => Builder::Buildah,
    };
    let options = match project_with_rust(order) {
        Some(project) => base_image(machine, &project).await?,
        None => Vec::new(),
    };
    tools::install(&directory, builder, &options, &machine.path)?;
    let programs = order.dir.join("build-image");
    std::fs::create_dir_all(&programs)?;
    for name in ["cargo", "rustc", "rustdoc", "rustfmt", "clippy-driver"] {
        if let Some(program) = find(&machine.path, name) {
            symlink(program, programs.join(name))?;
        }
    }
    let mut env = machine.homes.of_rust();
    env.insert("CARGO_TARGET_DIR".to_owned(), cache.display().to_string());
    let engine = machine.engine.iter();
    Ok(codebuild::Config {
        host,
        tools: Some(directory),
        images: vec![codebuild::Image {
            name: IMAGE.to_owned(),
            programs,
            env,
        }],
        env: engine
            .map(|engine| ("DOCKER_HOST".to_owned(), engine.address.clone()))
            .collect(),
        timing: codebuild::Timing::default(),
    })
}

/// Returns the first directory of a sample whose Dockerfile needs a base image with Rust.
fn project_with_rust(order: &Order) -> Option<PathBuf> {
    let samples = order.samples.iter().map(|(_, files)| files);
    let directories = samples.flat_map(|files| std::fs::read_dir(files).into_iter().flatten());
    let mut directories = directories.flatten().map(|entry| entry.path());
    directories.find(|directory| {
        let text = std::fs::read_to_string(directory.join("Dockerfile"));
        text.is_ok_and(|text| text.contains(&format!("ARG {BASE}=")))
    })
}

/// Returns the options by which `docker build` uses this machine's Rust in place of the public image.
async fn base_image(machine: &Machine, project: &Path) -> anyhow::Result<Vec<String>> {
    match &machine.engine {
        Some(engine) => {
            let image = rust_image(machine, engine, project).await?;
            // Crates come from where this machine gets them.
            Ok(vec![
                format!("--build-arg={BASE}={image}"),
                "--network=host".to_owned(),
            ])
        }
        None => of_buildah(machine, project).await,
    }
}

/// Returns the name of the image that `scripts/build-rust-image.sh` makes. Fast if it was made before.
async fn rust_image(machine: &Machine, engine: &Engine, project: &Path) -> anyhow::Result<String> {
    let script = machine.root.join("scripts/build-rust-image.sh");
    let mut command = Command::new(&script);
    command.arg(project).env("DOCKER_HOST", &engine.address);
    let said = output(machine, command).await?;
    let image = said.lines().last().map(str::to_owned);
    image.with_context(|| format!("{} named no image", script.display()))
}

/// Returns the options by which buildah builds in this machine's own directories, without a base image.
async fn of_buildah(machine: &Machine, project: &Path) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new("rustc");
    command.args(["--print", "sysroot"]).current_dir(project);
    let sysroot = output(machine, command).await?;
    let mut options = vec![format!("--build-arg={BASE}=scratch")];
    let system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ssl"];
    let system = system.iter().filter(|place| Path::new(place).exists());
    options.extend(system.map(|place| format!("--volume={place}:{place}:ro")));
    options.push(format!("--volume={}:/usr/local:ro", sysroot.trim()));
    Ok(options)
}

/// Runs a program of this machine, and returns what it prints.
async fn output(machine: &Machine, mut command: Command) -> anyhow::Result<String> {
    command
        .env("PATH", &machine.path)
        .env("HOME", &machine.homes.home)
        .envs(machine.homes.of_rust())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = process::spawn(&mut command)?;
    let group = Group::led_by(child.id());
    let output = child.wait_with_output().await?;
    drop(group);
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "the base image with Rust was not made: {}",
            complaint.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
