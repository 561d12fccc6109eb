//! A fake GitHub: git over HTTP, the parts of the REST API that a pipeline uses, and injected faults.
//!
//! Repositories are bare repositories in a directory, so another process can commit to them with
//! [`Repository`]. Commit statuses are in memory and are lost when the handle is dropped.

mod api;
mod faults;
mod git_http;
mod repository;
mod webhook;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use self::faults::Faults;
use crate::server::Server;

pub use self::faults::{Call, Fault, FaultKind, Side};
pub use self::repository::{Change, GitError, Repository};
pub use self::webhook::{PUSHED_AT, Push, Webhook};

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

/// A running fake GitHub.
#[derive(Debug)]
pub struct Handle {
    server: Server,
    github: Arc<GitHub>,
}

/// Serves GitHub on `listener`: git at `/<owner>/<name>.git`, the API at `/repos/...`.
///
/// # Errors
/// When the listener has no local address.
pub fn start(listener: TcpListener, config: Config) -> io::Result<Handle> {
    let github = Arc::new(GitHub {
        config,
        state: Mutex::default(),
    });
    let server = Server::start(listener, api::router(Arc::clone(&github)))?;
    Ok(Handle { server, github })
}

impl Handle {
    /// Returns the listening address. `http://` followed by it is the API base and the prefix of clone URLs.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

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
        let Some((owner, name)) = full_name
            .split_once('/')
            .filter(|(o, n)| plain(o) && plain(n))
        else {
            return Err(GitError::Name(full_name.to_owned()));
        };
        let bare = self
            .github
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
        self.github
            .state()
            .repositories
            .insert(full_name.to_owned(), entry);
        Ok(bare)
    }

    /// Returns the statuses of a commit, newest first.
    #[must_use]
    pub fn statuses(&self, full_name: &str, commit: &str) -> Vec<Status> {
        self.github.state().statuses_of(full_name, commit)
    }

    /// Injects a fault. Replaces the earlier fault of the same side.
    pub fn fail(&self, fault: Fault) {
        self.github.state().faults.order(fault);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.github.state().faults.heal();
    }

    /// Returns all requests received since the start, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.github.state().faults.calls().to_vec()
    }

    /// Stops listening and closes open connections. The repositories remain.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

/// A commit status as the API shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Unique in this GitHub.
    pub id: u64,
    /// `error`, `failure`, `pending` or `success`.
    pub state: String,
    /// What the status is about. Only the newest status of a context applies.
    pub context: String,
    /// Text for people, at most 140 characters.
    pub description: Option<String>,
    /// The address of the details.
    pub target_url: Option<String>,
}

#[derive(Clone, Debug)]
struct Entry {
    id: u64,
    full_name: String,
    bare: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    repositories: BTreeMap<String, Entry>,
    /// By repository and commit, oldest first.
    statuses: BTreeMap<(String, String), Vec<Status>>,
    last_status: u64,
    faults: Faults,
}

impl State {
    fn statuses_of(&self, full_name: &str, commit: &str) -> Vec<Status> {
        let found = self
            .statuses
            .get(&(full_name.to_owned(), commit.to_owned()));
        found.into_iter().flatten().rev().cloned().collect()
    }
}

#[derive(Debug)]
struct GitHub {
    config: Config,
    state: Mutex<State>,
}

impl GitHub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a name is a safe path component.
fn plain(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(good)
}
