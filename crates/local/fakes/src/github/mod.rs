//! GitHub: git over HTTP, the parts of the REST API that a pipeline uses, and signed webhooks.
//!
//! Repositories are bare repositories in a directory, so another process can commit to them with
//! [`Repository`]. Commit statuses are in memory and are lost when the handle is dropped.

mod api;
mod run;
mod state;
mod webhook;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

pub use self::api::Operation;
pub use self::state::Status;
pub use self::state::repository::{Change, GitError, Repository};
use self::state::{Entry, State};
pub use self::webhook::{PUSHED_AT, Push, Webhook};
use crate::{lock, service};

/// The default branch of new repositories.
pub const DEFAULT_BRANCH: &str = "main";

/// The configuration of a fake GitHub.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory of the repositories, each at `<owner>/<name>.git`. It must exist.
    pub root: PathBuf,
    /// The token that every request must have.
    pub token: String,
}

/// The fake's configuration and state.
#[derive(Debug)]
pub struct GitHub {
    config: Config,
    state: Mutex<State>,
}

/// The running fake. Its URL is the API base and the prefix of clone URLs.
pub type Handle = service::Handle<GitHub>;

/// Serves GitHub on a port of 127.0.0.1, or on a free one if `port` is 0: git at
/// `/<owner>/<name>.git`, the API at `/repos/...`. The repositories remain after its shutdown.
///
/// # Errors
/// When the port cannot be bound.
pub async fn start(port: u16, config: Config) -> io::Result<Handle> {
    let github = GitHub {
        config,
        state: Mutex::default(),
    };
    Handle::start(port, github).await
}

impl Handle {
    /// Creates a repository with one commit on `main` that contains the files of a directory, except
    /// those that its `.gitignore` excludes and Terraform's state and caches. Returns its path.
    ///
    /// # Errors
    /// When the name is not `owner/name`, the repository exists, or git fails.
    pub async fn create_repository(
        &self,
        id: u64,
        full_name: &str,
        files: &Path,
    ) -> Result<PathBuf, GitError> {
        let parts = full_name.split_once('/');
        let Some((owner, name)) = parts.filter(|(owner, name)| plain(owner) && plain(name)) else {
            return Err(GitError::Name(full_name.to_owned()));
        };
        let bare = self
            .service()
            .config
            .root
            .join(owner)
            .join(format!("{name}.git"));
        let bare = Repository::create(&bare, files).await?.dir().to_owned();
        let entry = Entry {
            id,
            full_name: full_name.to_owned(),
            bare: bare.clone(),
        };
        self.service()
            .state()
            .repositories
            .insert(full_name.to_owned(), entry);
        Ok(bare)
    }

    /// Returns the statuses of a commit, newest first.
    #[must_use]
    pub fn statuses(&self, full_name: &str, commit: &str) -> Vec<Status> {
        self.service().state().statuses_of(full_name, commit)
    }
}

impl GitHub {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Returns whether a name is a safe path component.
fn plain(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(good)
}
