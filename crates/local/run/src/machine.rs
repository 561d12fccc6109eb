//! What this machine has: tools, a provider mirror, a Docker engine.

use crate::engine::Engine;
use anyhow::{Context as _, bail};
use fakes::process;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether containers can run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Docker {
    /// An engine answers: services and image builds are real containers.
    Engine,
    /// None answers: images are built by buildah, services are not shown.
    None,
}

/// The tools of a local run.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The project's root.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    /// Where the binaries of this workspace are.
    pub bin: PathBuf,
    /// Python with the emulator.
    pub python: PathBuf,
    /// Terraform.
    pub terraform: PathBuf,
    /// The directory that holds `registry.terraform.io/hashicorp/aws`.
    pub mirror: PathBuf,
    /// The Docker engine, when one answers.
    pub engine: Option<Engine>,
    /// `PATH` for all that is started.
    pub path: String,
    /// Where tools keep their caches.
    pub homes: Homes,
}

/// Directories in which a person's tools keep what is theirs.
#[derive(Debug, Clone)]
pub struct Homes {
    /// The home directory.
    pub home: PathBuf,
    /// `CARGO_HOME`; none where it is the usual one.
    pub cargo: Option<PathBuf>,
    /// `RUSTUP_HOME`; none where it is the usual one.
    pub rustup: Option<PathBuf>,
}

impl Homes {
    /// The variables by which a build with another home directory finds this person's Rust.
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
    /// Looks at this machine.
    ///
    /// # Errors
    /// What is missing, and how to get it.
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
        // A test's binary lies one directory further down.
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

/// What finds the provider mirror, below the project's root.
const FINDER: &str = "scripts/provider-mirror.sh";

/// A terraform CLI configuration that takes providers from a mirror.
#[must_use]
pub fn terraform_config(mirror: &Path) -> String {
    let path = mirror.display().to_string();
    format!("provider_installation {{\n  filesystem_mirror {{\n    path = {path:?}\n  }}\n}}\n")
}

fn find(path: &str, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// The folder that terraform takes the AWS provider from, as `scripts/provider-mirror.sh` finds it:
/// the scripts look for it before anything is built, so the one finder is there. The mirror of the
/// user's CLI configuration comes first.
///
/// # Errors
/// What to do when there is none.
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
