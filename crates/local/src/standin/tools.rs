//! What builds find first in their `PATH`: an `aws` for the emulator's registry, and a `docker`
//! where no engine answers.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What builds images.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Builder {
    /// A Docker engine that answers.
    Docker,
    /// buildah, in a chroot: no engine, no container.
    Buildah,
}

impl Builder {
    /// Looks for an engine that answers, then for buildah. `path` is the `PATH` to look in,
    /// `docker_host` the engine's address where it is not the usual one.
    pub async fn find(path: &str, docker_host: Option<&str>) -> Option<Self> {
        let mut docker = Command::new("docker");
        docker.args(["version", "--format", "{{.Server.Version}}"]);
        if let Some(host) = docker_host {
            docker.env("DOCKER_HOST", host);
        }
        if answers(docker, path).await {
            return Some(Self::Docker);
        }
        let mut buildah = Command::new("buildah");
        buildah.arg("--version");
        answers(buildah, path).await.then_some(Self::Buildah)
    }
}

async fn answers(mut command: Command, path: &str) -> bool {
    command.env("PATH", path).kill_on_drop(true);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = tokio::time::timeout(PATIENCE, command.status()).await;
    matches!(status, Ok(Ok(status)) if status.success())
}

/// Writes the tools into `dir`, which is made if missing.
///
/// # Errors
/// When `dir` cannot be written to.
pub fn install(dir: &Path, builder: Builder) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    write(&dir.join("aws"), include_str!("aws-shim.sh"))?;
    match builder {
        Builder::Docker => Ok(()),
        Builder::Buildah => write(&dir.join("docker"), include_str!("docker-shim.sh")),
    }
}

fn write(path: &Path, script: &str) -> io::Result<()> {
    fs::write(path, script)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
