//! Writes the audit branch: one commit for each file, always on top of the branch.

use super::smart::{Depth, Pushed, Remote, local};
use domain::audit::number_at;
use domain::error::{ErrorName, StepError};
use engine::{AuditFile, Result};
use git2::{Commit, ErrorCode, ObjectType, Oid, Repository, Signature, Time, Tree};

pub(crate) const AUDIT_BRANCH: &str = "refs/heads/sluicegate/audit";

/// How often a push is attempted while other pushes get in first.
pub(crate) const TRIES: u32 = 5;

const CALL: &str = "write the audit branch";

/// The result of one attempt.
enum Try {
    Done,
    Refused(String),
}

/// Adds files, one commit each. `pause` waits before the next attempt and gets the number of the
/// failed one, from 1.
pub(crate) fn append(
    remote: &Remote<'_>,
    repository: &Repository,
    files: &[AuditFile],
    pause: &dyn Fn(u32),
) -> Result<()> {
    let mut last = String::new();
    let mut seen = Vec::new();
    for number in 1..=TRIES {
        let tip = remote.push_tip(AUDIT_BRANCH)?;
        seen.push(tip);
        match attempt(remote, repository, files, tip)? {
            Try::Done => return Ok(()),
            Try::Refused(reason) => last = reason,
        }
        if number < TRIES {
            pause(number);
        }
    }
    seen.dedup();
    if seen.len() > 1 {
        let text = format!("{AUDIT_BRANCH} moved at each of {TRIES} tries: {last}");
        return Err(StepError::new(ErrorName::RecordConflict, text));
    }
    let text = format!("{AUDIT_BRANCH}: the forge refuses the push: {last}");
    Err(StepError::new(ErrorName::ForgeDenied, text))
}

fn attempt(
    remote: &Remote<'_>,
    repository: &Repository,
    files: &[AuditFile],
    tip: Option<Oid>,
) -> Result<Try> {
    if let Some(tip) = tip {
        remote.fetch(tip, Depth::Directories, repository)?;
    }
    let chain = Chain::build(repository, files, tip)?;
    let Some(head) = chain.head.filter(|head| Some(*head) != tip) else {
        return Ok(Try::Done);
    };
    let pack = chain.pack().map_err(|error| local(CALL, &error))?;
    match remote.push(AUDIT_BRANCH, tip, head, &pack)? {
        Pushed::Yes => Ok(Try::Done),
        Pushed::No(reason) => Ok(Try::Refused(reason)),
    }
}

/// Builds commits on top of a tip.
struct Chain<'a> {
    repository: &'a Repository,
    head: Option<Oid>,
    made: Vec<Oid>,
}

impl<'a> Chain<'a> {
    fn build(repository: &'a Repository, files: &[AuditFile], tip: Option<Oid>) -> Result<Self> {
        let mut chain = Self {
            repository,
            head: tip,
            made: Vec::new(),
        };
        for file in files {
            domain::config::check_path(&file.path).map_err(|why| {
                StepError::new(
                    ErrorName::Internal,
                    format!("audit path {:?} {why}", file.path),
                )
            })?;
            chain.add(file).map_err(|error| local(CALL, &error))?;
        }
        Ok(chain)
    }

    fn add(&mut self, file: &AuditFile) -> std::result::Result<(), git2::Error> {
        let parent = match self.head {
            Some(id) => Some(self.repository.find_commit(id)?),
            None => None,
        };
        let root = match &parent {
            Some(commit) => Some(commit.tree()?),
            None => None,
        };
        let blob = Oid::hash_object(ObjectType::Blob, &file.bytes)?;
        if let Some(tree) = &root
            && stands(tree, &file.path)? == Some(blob)
        {
            return Ok(());
        }
        let blob = self.repository.blob(&file.bytes)?;
        self.made.push(blob);
        let parts: Vec<&str> = file.path.split('/').collect();
        let tree = self.insert(root.as_ref(), &parts, blob)?;
        let tree = self.repository.find_tree(tree)?;
        let author = Signature::new(
            "Sluicegate",
            "sluicegate@users.noreply.github.com",
            &Time::new(file.at.as_second(), 0),
        )?;
        let parents: Vec<&Commit<'_>> = parent.iter().collect();
        let commit =
            self.repository
                .commit(None, &author, &author, &file.message, &tree, &parents)?;
        self.made.push(commit);
        self.head = Some(commit);
        Ok(())
    }

    /// Adds a file to a directory and creates its parent directories.
    fn insert(
        &mut self,
        tree: Option<&Tree<'_>>,
        parts: &[&str],
        blob: Oid,
    ) -> std::result::Result<Oid, git2::Error> {
        let mut builder = self.repository.treebuilder(tree)?;
        match parts {
            [] => {}
            [name] => {
                builder.insert(name, blob, 0o100_644)?;
            }
            [name, rest @ ..] => {
                let below = match tree.and_then(|tree| tree.get_name(name)) {
                    Some(entry) => self.repository.find_tree(entry.id()).ok(),
                    None => None,
                };
                let below = self.insert(below.as_ref(), rest, blob)?;
                builder.insert(name, below, 0o040_000)?;
            }
        }
        let id = builder.write()?;
        self.made.push(id);
        Ok(id)
    }

    fn pack(&self) -> std::result::Result<Vec<u8>, git2::Error> {
        let mut builder = self.repository.packbuilder()?;
        builder.set_threads(1);
        for id in &self.made {
            builder.insert_object(*id, None)?;
        }
        let mut pack = Vec::new();
        builder.foreach(|bytes| {
            pack.extend_from_slice(bytes);
            true
        })?;
        Ok(pack)
    }
}

/// The entry at a path.
fn stands(tree: &Tree<'_>, path: &str) -> std::result::Result<Option<Oid>, git2::Error> {
    match tree.get_path(std::path::Path::new(path)) {
        Ok(entry) => Ok(Some(entry.id())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the greatest entry number on the branch that is at most `up_to`.
pub(crate) fn newest(
    remote: &Remote<'_>,
    repository: &Repository,
    up_to: u64,
) -> Result<Option<u64>> {
    let Some(tip) = remote.tip(AUDIT_BRANCH)? else {
        return Ok(None);
    };
    remote.fetch(tip, Depth::Directories, repository)?;
    numbers(repository, tip, up_to).map_err(|error| local("read the audit branch", &error))
}

fn numbers(
    repository: &Repository,
    tip: Oid,
    up_to: u64,
) -> std::result::Result<Option<u64>, git2::Error> {
    let tree = repository.find_commit(tip)?.tree()?;
    let mut newest = None;
    tree.walk(git2::TreeWalkMode::PreOrder, |folder, entry| {
        let number = entry
            .name()
            .ok()
            .and_then(|name| number_at(&format!("{folder}{name}")));
        // A greater number belongs to a later run, or was added by hand.
        newest = newest.max(number.filter(|number| *number <= up_to));
        git2::TreeWalkResult::Ok
    })?;
    Ok(newest)
}
