//! Git over HTTPS, the same for every forge: fetching commits and writing the audit branch.

mod audit;
pub mod audit_branch;
mod pkt;
mod smart;
pub mod snapshot;
pub mod working_tree;

use crate::http::{agent, check_address};
use crate::token::Token;
use async_trait::async_trait;
use base64::Engine as _;
use domain::enrolment::EnrolledRepository;
use domain::error::{ErrorName, StepError};
use domain::ids::{BranchRef, CommitId};
use engine::{AuditBranch, AuditFile, BranchTips, Result, Snapshot, SourceFetcher};
use git2::{Repository, RepositoryInitOptions};
use smart::{Depth, Remote, local};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;

/// How a [`Git`] reaches its forge.
#[derive(Clone)]
pub struct GitSettings {
    /// The user name that goes with the token: `x-access-token` for GitHub, `oauth2` for GitLab.
    pub user: &'static str,
    /// The forge's token.
    pub token: Arc<Token>,
    /// Where fetched commits are kept until they are read; `/tmp` on Lambda.
    pub workdir: PathBuf,
    /// How long to wait before the audit branch is pushed again, by the number of the attempt that
    /// failed, from 1. [`jitter`] outside tests.
    pub pause: fn(u32) -> Duration,
}

/// Returns a random wait that grows with each failed attempt: 0.1 to 0.3 seconds after the first,
/// 0.8 to 2.4 after the fourth.
#[must_use]
pub fn jitter(failed: u32) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1000;
    let base = 100_u64 << failed.clamp(1, 6).saturating_sub(1);
    Duration::from_millis(base + base * random * 2 / 1000)
}

/// Git repositories behind one token.
pub struct Git {
    settings: GitSettings,
    agent: Agent,
}

impl Git {
    /// Makes no call.
    #[must_use]
    pub fn new(settings: GitSettings) -> Self {
        Self {
            settings,
            agent: agent(),
        }
    }

    /// Runs git work in a scratch repository that is removed afterwards.
    async fn with_repository<T: Send + 'static>(
        &self,
        enrolled: &EnrolledRepository,
        work: impl Fn(&Remote<'_>, &Repository) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let url = check_address(&enrolled.clone_url, "clone_url")?;
        let agent = self.agent.clone();
        let workdir = self.settings.workdir.clone();
        let user = self.settings.user;
        self.settings
            .token
            .call(enrolled, move |token| {
                let basic =
                    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{token}"));
                let remote = Remote {
                    agent: &agent,
                    url: url.clone(),
                    authorization: Some(format!("Basic {basic}")),
                };
                let (_removed_on_drop, repository) = scratch(&workdir)?;
                work(&remote, &repository)
            })
            .await
    }
}

/// Makes an empty bare repository in a temporary directory.
fn scratch(workdir: &Path) -> Result<(tempfile::TempDir, Repository)> {
    let directory = tempfile::Builder::new()
        .prefix("sluicegate-git-")
        .tempdir_in(workdir)
        .map_err(|error| {
            StepError::new(
                ErrorName::Internal,
                format!("create a directory in {}: {error}", workdir.display()),
            )
        })?;
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false);
    let repository = Repository::init_opts(directory.path(), &options)
        .map_err(|error| local("git init", &error))?;
    Ok((directory, repository))
}

#[async_trait]
impl SourceFetcher for Git {
    async fn fetch(&self, repository: &EnrolledRepository, commit: &CommitId) -> Result<Snapshot> {
        let commit = commit.clone();
        let id = snapshot::oid(&commit)?;
        self.with_repository(repository, move |remote, scratch| {
            remote.fetch(id, Depth::Files, scratch)?;
            snapshot::read(scratch, &commit)
        })
        .await
    }
}

#[async_trait]
impl BranchTips for Git {
    async fn tips(
        &self,
        repository: &EnrolledRepository,
        branches: &[BranchRef],
    ) -> Result<BTreeMap<BranchRef, CommitId>> {
        let branches = branches.to_vec();
        self.with_repository(repository, move |remote, _| {
            let names: Vec<&str> = branches.iter().map(BranchRef::as_str).collect();
            let mut tips = BTreeMap::new();
            for (branch, tip) in branches.iter().zip(remote.tips(&names)?) {
                let Some(tip) = tip else {
                    continue;
                };
                let tip = CommitId::parse(&tip.to_string()).map_err(|error| {
                    let text = format!("{branch} of the forge: {error}");
                    StepError::new(ErrorName::Internal, text)
                })?;
                tips.insert(branch.clone(), tip);
            }
            Ok(tips)
        })
        .await
    }
}

#[async_trait]
impl AuditBranch for Git {
    async fn append(&self, repository: &EnrolledRepository, files: &[AuditFile]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let files = files.to_vec();
        let pause = self.settings.pause;
        self.with_repository(repository, move |remote, scratch| {
            let pause = |failed: u32| std::thread::sleep(pause(failed));
            audit::append(remote, scratch, &files, &pause)
        })
        .await
    }

    async fn newest(&self, repository: &EnrolledRepository, up_to: u64) -> Result<Option<u64>> {
        self.with_repository(repository, move |remote, scratch| {
            audit::newest(remote, scratch, up_to)
        })
        .await
    }
}
