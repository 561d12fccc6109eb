//! Tools that come first in the `PATH` of builds: `aws` for the emulator's registry, and `docker` on
//! machines without a Docker engine.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The program that builds images.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Builder {
    /// A running Docker engine.
    Docker,
    /// buildah with chroot isolation, without an engine or containers.
    Buildah,
}

/// Writes the tools to `dir`. Creates the directory if it is missing.
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
