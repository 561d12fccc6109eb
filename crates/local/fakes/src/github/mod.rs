//! A GitHub on this machine: git over HTTP, the parts of the REST API that a pipeline uses, and
//! faults on order.
//!
//! Repositories are bare ones below a directory, so another process can commit to them with
//! [`Repository`]; statuses lie in memory and go with the handle.

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

/// The branch that new repositories start with.
pub const DEFAULT_BRANCH: &str = "main";

/// What a fake GitHub needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory of the repositories, each at `<owner>/<name>.git`; it must exist.
    pub root: PathBuf,
    /// The token that every request must carry.
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
    /// Where it listens; the API's base and the start of clone addresses is `http://` and this.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Makes a repository with one commit on `main` that holds the files of a directory (those
    /// that its own `.gitignore` leaves, and no state or cache of Terraform). Gives its path.
    ///
    /// # Errors
    /// When the name is no `owner/name`, the repository exists, or git fails.
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

    /// The statuses of a commit, newest first.
    #[must_use]
    pub fn statuses(&self, full_name: &str, commit: &str) -> Vec<Status> {
        self.github.state().statuses_of(full_name, commit)
    }

    /// Orders a fault; it takes the place of the side's earlier one.
    pub fn fail(&self, fault: Fault) {
        self.github.state().faults.order(fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.github.state().faults.heal();
    }

    /// All requests so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.github.state().faults.calls().to_vec()
    }

    /// Stops listening and cuts open connections; the repositories stay.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

/// A commit status as the API shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Of this GitHub.
    pub id: u64,
    /// `error`, `failure`, `pending` or `success`.
    pub state: String,
    /// What it is about; the newest of a context counts.
    pub context: String,
    /// For people, at most 140 characters.
    pub description: Option<String>,
    /// Where to read more.
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

/// Whether a name can be a path's part and means nothing else.
fn plain(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(good)
}
