//! The Docker engine that `scripts/engine.sh` finds.

use anyhow::{Context as _, bail};
use fakes::process;
use std::path::Path;
use std::process::Command;

/// The script that finds the engine, relative to the project's root.
const FINDER: &str = "scripts/engine.sh";

/// A running Docker engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// `DOCKER_HOST` for everything that uses the engine.
    pub address: String,
    /// Whether the engine runs on this machine. If so, a container on the host network reaches 127.0.0.1
    /// and can mount local files.
    pub is_here: bool,
    /// A `PATH` that contains `docker`.
    path: String,
}

impl Engine {
    /// Finds the engine. Returns none if no engine answers. Honors `DOCKER_HOST` and docker's contexts.
    ///
    /// # Errors
    /// When the script cannot be run.
    pub fn find(root: &Path, path: &str) -> anyhow::Result<Option<Self>> {
        let mut finder = Command::new(root.join(FINDER));
        let output = process::output_blocking(finder.env("PATH", path))?;
        let address = String::from_utf8(output.stdout).context("the address of the engine")?;
        let address = address.trim();
        if !output.status.success() || address.is_empty() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("{FINDER} ended with {}: {}", output.status, errors.trim());
        }
        if address == "none" {
            return Ok(None);
        }
        let mut engine = Self {
            address: address.to_owned(),
            is_here: false,
            path: path.to_owned(),
        };
        let mut info = Command::new("docker");
        info.args(["info", "--format", "{{.Name}} {{.SecurityOptions}}"])
            .env_clear()
            .envs(engine.environment());
        let info = process::output_blocking(&mut info)?;
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        engine.is_here = is_here(&String::from_utf8_lossy(&info.stdout), name.trim());
        Ok(Some(engine))
    }

    /// Runs `docker` and returns its standard output.
    ///
    /// # Errors
    /// The message that docker prints.
    pub async fn docker(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new("docker");
        command.args(args).env_clear().envs(self.environment());
        let output = process::output(&mut command).await?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("docker {}: {}", args.join(" "), errors.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn environment(&self) -> [(&'static str, &str); 2] {
        [("PATH", &self.path), ("DOCKER_HOST", &self.address)]
    }
}

/// Returns whether the engine runs on this machine. An engine with another host name runs in a virtual
/// machine or on another host; a rootless engine has its own loopback interface.
fn is_here(info: &str, machine: &str) -> bool {
    let (name, options) = info.trim().split_once(' ').unwrap_or_default();
    name == machine && !options.contains("name=rootless")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn an_engine_is_here_when_it_has_this_machines_name_and_loopback() {
        assert!(is_here(
            "build-7 [name=seccomp,profile=default]\n",
            "build-7"
        ));
        assert!(!is_here("docker-desktop [name=seccomp]", "build-7"));
        assert!(!is_here("build-7 [name=seccomp name=rootless]", "build-7"));
        assert!(!is_here("", "build-7"));
    }

    /// Runs the script with a `docker` that succeeds only if `DOCKER_HOST` is `unix:///alive`.
    fn found(variables: &[(&str, &str)]) -> String {
        let bin = tempfile::tempdir().unwrap();
        let docker = bin.path().join("docker");
        let script = "#!/bin/sh\n[ \"$1\" = context ] && echo unix:///alive && exit\n[ \"$DOCKER_HOST\" = unix:///alive ] && [ -z \"$DOCKER_TLS_VERIFY\" ]\n";
        std::fs::write(&docker, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&docker, mode).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let path = format!("{}:/usr/bin:/bin", bin.path().display());
        let mut finder = Command::new(root.join(FINDER));
        finder.env_clear().env("PATH", path);
        finder.envs(variables.iter().copied());
        let output = process::output_blocking(&mut finder).unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn docker_host_decides_and_the_context_is_the_default() {
        assert_eq!(found(&[]), "unix:///alive\n");
        assert_eq!(found(&[("DOCKER_TLS_VERIFY", "1")]), "unix:///alive\n");
        assert_eq!(found(&[("DOCKER_HOST", "unix:///dead")]), "none\n");
    }
}
