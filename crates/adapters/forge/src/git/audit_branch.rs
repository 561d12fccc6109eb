//! Reads the audit branch of a clone: no network, no AWS.

use domain::audit::{FOLDER, Found, Problem};
use domain::error::{ErrorName, StepError};
use git2::{Delta, DiffOptions, ErrorCode, ObjectType, Repository, Tree};
use std::path::Path;

/// Where a clone has the branch: the fetched one first, then the local one.
const REFS: [&str; 2] = [
    "refs/remotes/origin/sluicegate/audit",
    "refs/heads/sluicegate/audit",
];

/// The audit branch of a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditBranch {
    /// The ref that was read.
    pub reference: String,
    /// The commit that it points to.
    pub tip: String,
    /// In the order of their numbers; each name is the path on the branch.
    pub entries: Vec<Found>,
    /// Commits that did more than add entries: the branch was edited by hand.
    pub edits: Vec<Problem>,
}

/// Reads the audit branch of the clone that holds `path`.
///
/// # Errors
/// `ForgeUnavailable` if `path` is not in a repository or the repository has no audit branch. The
/// message says what to run.
pub fn read(path: &Path) -> Result<AuditBranch, StepError> {
    let place = path.display();
    let repository = Repository::discover(path).map_err(|error| {
        failed(format!(
            "{place} is not a git repository ({}): name a clone of the delivered repository",
            error.message()
        ))
    })?;
    read_branch(&repository)
        .map_err(|error| failed(format!("read the audit branch of {place}: {error}")))?
        .ok_or_else(|| {
            failed(format!(
                "{place} has no branch sluicegate/audit: run `git fetch origin sluicegate/audit:refs/remotes/origin/sluicegate/audit` in it"
            ))
        })
}

fn failed(message: String) -> StepError {
    StepError::new(ErrorName::ForgeUnavailable, message)
}

fn read_branch(repository: &Repository) -> Result<Option<AuditBranch>, git2::Error> {
    for name in REFS {
        let reference = match repository.find_reference(name) {
            Ok(reference) => reference,
            Err(error) if error.code() == ErrorCode::NotFound => continue,
            Err(error) => return Err(error),
        };
        let tip = reference.peel_to_commit()?;
        return Ok(Some(AuditBranch {
            reference: name.to_owned(),
            tip: tip.id().to_string(),
            entries: entries(repository, &tip.tree()?)?,
            edits: edits(repository, tip)?,
        }));
    }
    Ok(None)
}

fn entries(repository: &Repository, tree: &Tree<'_>) -> Result<Vec<Found>, git2::Error> {
    let folder = match tree.get_name(FOLDER) {
        Some(entry) => entry.to_object(repository)?.peel_to_tree()?,
        None => return Ok(Vec::new()),
    };
    let mut found = Vec::with_capacity(folder.len());
    for entry in &folder {
        let name = format!("{FOLDER}/{}", String::from_utf8_lossy(entry.name_bytes()));
        let bytes = match entry.kind() {
            Some(ObjectType::Blob) => entry
                .to_object(repository)?
                .peel_to_blob()?
                .content()
                .to_vec(),
            // Not a file: its empty content fails the check of the chain.
            _ => Vec::new(),
        };
        found.push(Found { name, bytes });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Walks the branch back to its first commit and reports commits that did more than add files.
fn edits(repository: &Repository, tip: git2::Commit<'_>) -> Result<Vec<Problem>, git2::Error> {
    // Newest first.
    let mut found: Vec<Vec<Problem>> = Vec::new();
    let mut next = Some(tip);
    while let Some(commit) = next {
        let name = format!("commit {}", commit.id());
        let mut problems = Vec::new();
        if commit.parent_count() > 1 {
            problems.push(Problem {
                name: name.clone(),
                message: "is a merge".into(),
            });
        }
        let parent = match commit.parent(0) {
            Ok(parent) => Some(parent),
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(error) => return Err(error),
        };
        let before = parent.as_ref().map(git2::Commit::tree).transpose()?;
        let after = commit.tree()?;
        let mut options = DiffOptions::new();
        let options = options.pathspec(FOLDER);
        let diff = repository.diff_tree_to_tree(before.as_ref(), Some(&after), Some(options))?;
        for delta in diff.deltas().filter(|delta| delta.status() != Delta::Added) {
            let path = delta.old_file().path_bytes().unwrap_or_default();
            let path = String::from_utf8_lossy(path);
            let what = if delta.status() == Delta::Deleted {
                "removes"
            } else {
                "changes"
            };
            problems.push(Problem {
                name: name.clone(),
                message: format!("{what} {path}"),
            });
        }
        found.push(problems);
        next = parent;
    }
    Ok(found.into_iter().rev().flatten().collect())
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may fail by panicking"
    )]
    use super::*;
    use git2::{Signature, Time};

    fn commit(repository: &Repository, reference: &str, files: &[(&str, &str)]) {
        let who = Signature::new("a", "a@example.com", &Time::new(1, 0)).unwrap();
        let parent = repository
            .find_reference(reference)
            .ok()
            .map(|reference| reference.peel_to_commit().unwrap());
        let mut folder = repository.treebuilder(None).unwrap();
        for (name, text) in files {
            let blob = repository.blob(text.as_bytes()).unwrap();
            folder.insert(name, blob, 0o100_644).unwrap();
        }
        let mut root = repository.treebuilder(None).unwrap();
        root.insert("runs", folder.write().unwrap(), 0o040_000)
            .unwrap();
        let tree = repository.find_tree(root.write().unwrap()).unwrap();
        let parents: Vec<_> = parent.iter().collect();
        repository
            .commit(Some(reference), &who, &who, "m", &tree, &parents)
            .unwrap();
    }

    fn scratch(name: &str) -> (std::path::PathBuf, Repository) {
        let path = std::env::temp_dir().join(format!("audit-branch-{name}-{}", std::process::id()));
        let repository = Repository::init_bare(&path).unwrap();
        (path, repository)
    }

    #[test]
    fn the_fetched_branch_is_read_in_order_and_edits_are_named() {
        let (path, repository) = scratch("read");
        let error = read(&path).unwrap_err();
        assert!(error.message.contains("git fetch origin"), "{error}");
        commit(&repository, REFS[1], &[("00000001-old.json", "local")]);
        commit(&repository, REFS[0], &[("00000001-a.json", "one")]);
        let two = [("00000001-a.json", "one"), ("00000002-b.json", "two")];
        commit(&repository, REFS[0], &two);
        let branch = read(&path).unwrap();
        assert_eq!(branch.reference, REFS[0]);
        assert!(branch.edits.is_empty());
        let names: Vec<_> = branch.entries.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["runs/00000001-a.json", "runs/00000002-b.json"]);
        assert_eq!(branch.entries[1].bytes, b"two");

        commit(&repository, REFS[0], &[("00000001-a.json", "changed")]);
        let edits: Vec<_> = read(&path)
            .unwrap()
            .edits
            .into_iter()
            .map(|problem| problem.message)
            .collect();
        assert_eq!(
            edits,
            [
                "changes runs/00000001-a.json",
                "removes runs/00000002-b.json"
            ]
        );
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_is_not_a_repository_is_refused() {
        let error = read(Path::new("/nonexistent/clone")).unwrap_err();
        assert!(error.message.contains("is not a git repository"), "{error}");
    }
}
