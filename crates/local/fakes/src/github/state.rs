//! What the fake stores: repositories, and the statuses of their commits.

pub(super) mod repository;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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

/// A repository.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) full_name: String,
    pub(super) bare: PathBuf,
}

/// The repositories, and the statuses of their commits.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By full name.
    pub(super) repositories: BTreeMap<String, Entry>,
    /// By repository and commit, oldest first.
    pub(super) statuses: BTreeMap<(String, String), Vec<Status>>,
    pub(super) last_status: u64,
}

impl State {
    /// Returns the statuses of a commit, newest first.
    pub(super) fn statuses_of(&self, full_name: &str, commit: &str) -> Vec<Status> {
        let found = self
            .statuses
            .get(&(full_name.to_owned(), commit.to_owned()));
        found.into_iter().flatten().rev().cloned().collect()
    }
}
