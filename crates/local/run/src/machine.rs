//! What this machine provides: tools, a provider mirror, a Docker engine.

use crate::engine::Engine;
use anyhow::{Context as _, bail};
use fakes::process;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether containers can run on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Docker {
    /// An engine answers: services and image builds are real containers.
    Engine,
    /// No engine answers: buildah builds images, and services do not run.
    None,
}

/// The tools of a local run.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The project's root.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// The directory of this workspace's binaries.
    pub bin: PathBuf,
    /// Python of the environment that contains the emulator.
    pub python: PathBuf,
    /// Terraform.
    pub terraform: PathBuf,
    /// The directory that contains `registry.terraform.io/hashicorp/aws`.
    pub mirror: PathBuf,
    /// The Docker engine, if one answers.
    pub engine: Option<Engine>,
    /// `PATH` for all started processes.
    pub path: String,
    /// The directories in which tools keep their caches.
    pub homes: Homes,
}

/// The user's home directories for tools.
#[derive(Debug, Clone)]
pub struct Homes {
    /// The home directory.
    pub home: PathBuf,
    /// `CARGO_HOME`, or none for the default.
    pub cargo: Option<PathBuf>,
    /// `RUSTUP_HOME`, or none for the default.
    pub rustup: Option<PathBuf>,
}

impl Homes {
    /// Returns the variables by which a build with another home directory finds the user's Rust toolchain.
    #[must_use]
    pub fn of_rust(&self) -> BTreeMap<String, String> {
        let place = |given: &Option<PathBuf>, usual: &str| {
            let place = given.clone().unwrap_or_else(|| self.home.join(usual));
            place.display().to_string()
        };
        BTreeMap::from([
            ("CARGO_HOME".to_owned(), place(&self.cargo, ".cargo")),
            ("RUSTUP_HOME".to_owned(), place(&self.rustup, ".rustup")),
        ])
    }
}

impl Machine {
    /// Finds the tools on this machine.
    ///
    /// # Errors
    /// Names what is missing and how to get it.
    pub fn inspect(root: &Path, target: &Path, path: &str, homes: &Homes) -> anyhow::Result<Self> {
        let python = target.join("local-tools/bin/python");
        if !python.exists() {
            bail!("{} does not exist; run scripts/setup.sh", python.display());
        }
        let terraform = find(path, "terraform").context(
            "no `terraform` on PATH; install 1.11 or newer from developer.hashicorp.com/terraform/install",
        )?;
        let program = std::env::current_exe().context("find this program")?;
        let mut bin = program.parent().map(Path::to_path_buf).unwrap_or_default();
        // A test binary is one directory deeper.
        if bin.ends_with("deps") {
            bin.pop();
        }
        let tools = python.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self {
            root: root.to_owned(),
            target: target.to_owned(),
            bin,
            mirror: find_mirror(root, target, &homes.home)?,
            engine: Engine::find(root, path)?,
            path: format!("{}:{path}", tools.display()),
            python,
            terraform,
            homes: homes.clone(),
        })
    }
}

/// The script that finds the provider mirror, relative to the project's root.
const FINDER: &str = "scripts/provider-mirror.sh";

/// Returns a Terraform CLI configuration that installs providers from a mirror.
#[must_use]
pub fn terraform_config(mirror: &Path) -> String {
    let path = mirror.display().to_string();
    format!("provider_installation {{\n  filesystem_mirror {{\n    path = {path:?}\n  }}\n}}\n")
}

pub(crate) fn find(path: &str, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Returns the provider mirror that `scripts/provider-mirror.sh` finds. The search is in the script
/// because other scripts need it before anything is built. The mirror of the user's CLI configuration
/// has precedence.
///
/// # Errors
/// Explains how to get a mirror when there is none.
pub fn find_mirror(root: &Path, target: &Path, home: &Path) -> anyhow::Result<PathBuf> {
    mirror_by(Command::new(root.join(FINDER)), target, home)
}

fn mirror_by(mut finder: Command, target: &Path, home: &Path) -> anyhow::Result<PathBuf> {
    // TF_CLI_CONFIG_FILE is inherited.
    finder.env("HOME", home).env("CARGO_TARGET_DIR", target);
    let output = process::output_blocking(&mut finder)?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{FINDER}: {}", complaint.trim());
    }
    let said = String::from_utf8(output.stdout).context("the provider mirror's path")?;
    match said.trim_end_matches('\n') {
        "" => bail!(
            "no folder on this machine holds registry.terraform.io/hashicorp/aws, and jobs take the AWS provider from nowhere else; run scripts/setup.sh, which downloads it, or name a mirror by filesystem_mirror in ~/.terraformrc"
        ),
        mirror => Ok(mirror.into()),
    }
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod mirror_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_find_rust_where_its_owner_keeps_it() {
        let mut homes = Homes {
            home: "/home/ada".into(),
            cargo: None,
            rustup: None,
        };
        let of_rust = |homes: &Homes| homes.of_rust().into_values().collect::<Vec<_>>();
        assert_eq!(
            of_rust(&homes),
            ["/home/ada/.cargo", "/home/ada/.rustup"],
            "the usual places"
        );
        homes.cargo = Some("/opt/cargo".into());
        homes.rustup = Some("/opt/rustup".into());
        assert_eq!(of_rust(&homes), ["/opt/cargo", "/opt/rustup"]);
    }
}
