//! The job's directories on disk.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use domain::job::JobSpec;

/// A private directory with `source` (the unpacked repository) and `home` (HOME, TMPDIR, the CLI
/// configuration, variable files and plans). It is removed when dropped.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Makes the directories below `temp`. The path depends on the stack only, so that a plan and
    /// its apply run in the same place: terraform may keep absolute paths in a plan. Where that
    /// place is taken (another process on the same machine), a random one is used.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(temp: &Path, record: &JobSpec) -> io::Result<Self> {
        let name = format!(
            "sluicegate-{}-{}-{}",
            record.repository_key, record.environment, record.stack
        );
        let fixed = temp.join(name);
        let root = match std::fs::DirBuilder::new().mode(0o700).create(&fixed) {
            Ok(()) => fixed,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tempfile::Builder::new()
                .prefix("sluicegate-")
                .tempdir_in(temp)?
                .keep(),
            Err(error) => return Err(error),
        };
        let workspace = Self { root };
        std::fs::create_dir(workspace.source())?;
        std::fs::create_dir(workspace.home())?;
        Ok(workspace)
    }

    /// The unpacked repository.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    /// Everything that is not the repository's.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // The container's disk dies with it anyway.
        let _ignored = std::fs::remove_dir_all(&self.root);
    }
}
