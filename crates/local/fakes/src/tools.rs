//! What builds find first in their `PATH`: an `aws` for the emulator's registry, and a `docker`
//! where no engine answers.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What builds images.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Builder {
    /// A Docker engine that answers.
    Docker,
    /// buildah, in a chroot: no engine, no container.
    Buildah,
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
