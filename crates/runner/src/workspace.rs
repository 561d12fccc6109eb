//! The directories of a job.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use domain::job::JobSpec;

/// A private directory with `source` (the unpacked repository) and `home` (HOME, TMPDIR, the CLI
/// configuration, variable files and plans). It is removed when the value is dropped.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Creates the directories below `temp`. The path depends only on the stack, so that a plan and
    /// its apply run in the same directory: Terraform may store absolute paths in a plan. If the
    /// path exists, because of another process on the same machine, a random path is used.
    ///
    /// # Errors
    /// The errors of the file system.
    pub fn create(temp: &Path, spec: &JobSpec) -> io::Result<Self> {
        // Short: a provider's socket is in `home`, and its path is limited to 107 bytes.
        let name = format!(
            "{}-{}-{}",
            spec.repository_key, spec.environment, spec.stack
        );
        let fixed = temp.join(name);
        let root = match std::fs::DirBuilder::new().mode(0o700).create(&fixed) {
            Ok(()) => fixed,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tempfile::Builder::new()
                .prefix("job-")
                .tempdir_in(temp)?
                .keep(),
            Err(error) => return Err(error),
        };
        let workspace = Self { root };
        std::fs::create_dir(workspace.source())?;
        std::fs::create_dir(workspace.home())?;
        Ok(workspace)
    }

    /// Returns the directory of the unpacked repository.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    /// Returns the directory of all other files.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // The disk is removed with the container anyway.
        let _ignored = std::fs::remove_dir_all(&self.root);
    }
}
