use super::{Faults, Shared, can_fail};
use crate::{
    AuditBranch, AuditFile, BranchHistory, BranchTips, CommitStatus, CommitStatuses, OnBranch,
    Result, Snapshot, SourceFetcher,
};
use async_trait::async_trait;
use domain::enrolment::EnrolledRepository;
use domain::error::{ErrorName, StepError};
use domain::ids::{BranchRef, CommitId, RepositoryKey};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A commit status that was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetStatus {
    /// The repository's key.
    pub repository: RepositoryKey,
    /// The commit that has the status.
    pub commit: CommitId,
    /// The status.
    pub status: CommitStatus,
}

/// A commit on the audit branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCommit {
    /// The path of the file that it added.
    pub path: String,
    /// The commit message.
    pub message: String,
    /// The time of the commit.
    pub at: Timestamp,
}

#[derive(Debug, Default)]
struct Branch {
    files: BTreeMap<String, Vec<u8>>,
    commits: Vec<AuditCommit>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    Answers,
    Refuses,
    Hangs,
}

#[derive(Debug, Default)]
struct Host {
    reach: Reach,
    commits: BTreeMap<(RepositoryKey, CommitId), Snapshot>,
    /// Commits that no branch has.
    loose: BTreeSet<(RepositoryKey, CommitId)>,
    tips: BTreeMap<(RepositoryKey, BranchRef), CommitId>,
    asked: Vec<RepositoryKey>,
    statuses: Vec<SetStatus>,
    audit: BTreeMap<RepositoryKey, Branch>,
}

/// A fake of the forge.
#[derive(Debug, Clone, Default)]
pub struct FakeForge {
    host: Shared<Host>,
    faults: Faults,
}

can_fail!(FakeForge: "fetch", "tips", "has", "set", "append", "newest");

impl FakeForge {
    /// Returns a forge without commits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Pushes a commit.
    pub fn push(&self, repository: RepositoryKey, snapshot: Snapshot) {
        let key = (repository, snapshot.commit.clone());
        self.host.lock().commits.insert(key, snapshot);
    }

    /// Takes a commit from its branch, as a force-push does, or adds one that is on no branch, such as that
    /// of a pull request from a fork. git still serves it by its id.
    pub fn retract(&self, repository: RepositoryKey, commit: CommitId) {
        self.host.lock().loose.insert((repository, commit));
    }

    /// Moves a branch to a commit, or removes it.
    pub fn move_branch(
        &self,
        repository: RepositoryKey,
        branch: &BranchRef,
        tip: Option<CommitId>,
    ) {
        let key = (repository, branch.clone());
        let tips = &mut self.host.lock().tips;
        match tip {
            Some(tip) => tips.insert(key, tip),
            None => tips.remove(&key),
        };
    }

    /// Returns the repositories whose branches were asked for, one for each request.
    #[must_use]
    pub fn asked(&self) -> Vec<RepositoryKey> {
        self.host.lock().asked.clone()
    }

    /// Makes the forge unreachable, or reachable again.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.host.lock().reach = if unreachable {
            Reach::Refuses
        } else {
            Reach::Answers
        };
    }

    /// Makes the forge accept every request and respond to none.
    pub fn hang(&self) {
        self.host.lock().reach = Reach::Hangs;
    }

    /// Returns the statuses that were set, in order.
    #[must_use]
    pub fn statuses(&self) -> Vec<SetStatus> {
        self.host.lock().statuses.clone()
    }

    /// Returns the files on a repository's audit branch: path and bytes.
    #[must_use]
    pub fn audit_files(&self, repository: RepositoryKey) -> BTreeMap<String, Vec<u8>> {
        let host = self.host.lock();
        host.audit
            .get(&repository)
            .map(|branch| branch.files.clone())
            .unwrap_or_default()
    }

    /// Returns the commits on a repository's audit branch, the oldest first.
    #[must_use]
    pub fn audit_commits(&self, repository: RepositoryKey) -> Vec<AuditCommit> {
        let host = self.host.lock();
        host.audit
            .get(&repository)
            .map(|branch| branch.commits.clone())
            .unwrap_or_default()
    }

    async fn begin(&self, operation: &'static str) -> Result<()> {
        self.faults.before(operation)?;
        let reach = self.host.lock().reach;
        match reach {
            Reach::Answers => Ok(()),
            Reach::Refuses => Err(StepError::new(
                ErrorName::ForgeUnavailable,
                "github.test: connection refused",
            )),
            Reach::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl SourceFetcher for FakeForge {
    async fn fetch(&self, repository: &EnrolledRepository, commit: &CommitId) -> Result<Snapshot> {
        self.begin("fetch").await?;
        let found = self
            .host
            .lock()
            .commits
            .get(&(repository.key, commit.clone()))
            .cloned();
        self.faults.after("fetch")?;
        found.ok_or_else(|| {
            let name = &repository.full_name;
            StepError::new(
                ErrorName::CommitNotFound,
                format!("{name} has no commit {commit}"),
            )
        })
    }
}

#[async_trait]
impl BranchTips for FakeForge {
    async fn tips(
        &self,
        repository: &EnrolledRepository,
        branches: &[BranchRef],
    ) -> Result<BTreeMap<BranchRef, CommitId>> {
        self.host.lock().asked.push(repository.key);
        self.begin("tips").await?;
        let tips = self.host.lock().tips.clone();
        self.faults.after("tips")?;
        let of = |branch: &BranchRef| {
            let tip = tips.get(&(repository.key, branch.clone()))?;
            Some((branch.clone(), tip.clone()))
        };
        Ok(branches.iter().filter_map(of).collect())
    }
}

#[async_trait]
impl BranchHistory for FakeForge {
    async fn has(
        &self,
        repository: &EnrolledRepository,
        _branch: &BranchRef,
        commit: &CommitId,
    ) -> Result<OnBranch> {
        self.begin("has").await?;
        let loose = (repository.key, commit.clone());
        let found = if self.host.lock().loose.contains(&loose) {
            OnBranch::No
        } else {
            OnBranch::Yes
        };
        self.faults.after("has")?;
        Ok(found)
    }
}

#[async_trait]
impl CommitStatuses for FakeForge {
    async fn set(
        &self,
        repository: &EnrolledRepository,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<()> {
        self.begin("set").await?;
        self.host.lock().statuses.push(SetStatus {
            repository: repository.key,
            commit: commit.clone(),
            status: status.clone(),
        });
        self.faults.after("set")
    }
}

#[async_trait]
impl AuditBranch for FakeForge {
    async fn append(&self, repository: &EnrolledRepository, files: &[AuditFile]) -> Result<()> {
        self.begin("append").await?;
        {
            let mut host = self.host.lock();
            let branch = host.audit.entry(repository.key).or_default();
            for file in files {
                if branch.files.get(&file.path) == Some(&file.bytes) {
                    continue;
                }
                branch.files.insert(file.path.clone(), file.bytes.clone());
                branch.commits.push(AuditCommit {
                    path: file.path.clone(),
                    message: file.message.clone(),
                    at: file.at,
                });
            }
        }
        self.faults.after("append")
    }

    async fn newest(&self, repository: &EnrolledRepository, up_to: u64) -> Result<Option<u64>> {
        self.begin("newest").await?;
        let newest = self
            .audit_files(repository.key)
            .keys()
            .filter_map(|path| domain::audit::number_at(path))
            .filter(|number| *number <= up_to)
            .max();
        self.faults.after("newest")?;
        Ok(newest)
    }
}
