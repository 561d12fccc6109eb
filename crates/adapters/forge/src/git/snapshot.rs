//! A fetched commit as a list of files.

use super::smart::local;
use domain::error::{ErrorName, StepError};
use domain::ids::CommitId;
use engine::{FileKind, Result, Snapshot, SnapshotFile};
use git2::{ObjectType, Oid, Repository};
use std::collections::BTreeMap;

/// The most that is read of one commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Number of files and directories.
    pub(crate) entries: usize,
    /// Bytes of all files.
    pub(crate) bytes: usize,
    /// Bytes of a path.
    pub(crate) path: usize,
}

/// The limits of a delivered repository.
pub(crate) const LIMITS: Limits = Limits {
    entries: 20_000,
    bytes: 200 * 1024 * 1024,
    path: 1024,
};

struct Reader<'a> {
    repository: &'a Repository,
    odb: git2::Odb<'a>,
    limits: Limits,
    entries: usize,
    bytes: usize,
    files: Vec<SnapshotFile>,
    trees: BTreeMap<String, CommitId>,
}

/// Reads a commit from a repository.
///
/// # Errors
/// `CommitNotFound` if the id names no commit; `SourceRefused` if the commit exceeds a limit or holds
/// an invalid file name.
pub(crate) fn read(repository: &Repository, commit: &CommitId, limits: Limits) -> Result<Snapshot> {
    let call = "read the commit";
    let id = oid(commit)?;
    let found = repository.find_commit(id).map_err(|error| {
        StepError::new(
            ErrorName::CommitNotFound,
            format!("{commit} is not a commit: {}", error.message()),
        )
    })?;
    let tree = found.tree_id();
    let mut reader = Reader {
        repository,
        odb: repository.odb().map_err(|error| local(call, &error))?,
        limits,
        entries: 0,
        bytes: 0,
        files: Vec::new(),
        trees: BTreeMap::new(),
    };
    reader.walk(tree)?;
    reader.files.sort_by(|a, b| a.path.cmp(&b.path));
    let author = String::from_utf8_lossy(found.author().name_bytes()).into_owned();
    let subject = String::from_utf8_lossy(found.summary_bytes().unwrap_or_default()).into_owned();
    Ok(Snapshot {
        commit: commit.clone(),
        author,
        subject,
        files: reader.files,
        trees: reader.trees,
    })
}

/// Converts a commit id to libgit2's form.
pub(crate) fn oid(commit: &CommitId) -> Result<Oid> {
    Oid::from_str(commit.as_str()).map_err(|_| {
        StepError::new(
            ErrorName::SourceRefused,
            format!("commit {commit}: repositories with SHA-256 ids are not supported yet"),
        )
    })
}

fn refused(path: &str, why: &str) -> StepError {
    StepError::new(ErrorName::SourceRefused, format!("{path:?} {why}"))
}

impl Reader<'_> {
    /// Walks the directories iteratively, so that a deep tree cannot exhaust the stack.
    fn walk(&mut self, root: Oid) -> Result<()> {
        let mut open = vec![(String::new(), root)];
        while let Some((directory, id)) = open.pop() {
            let call = "read a directory";
            let tree = self
                .repository
                .find_tree(id)
                .map_err(|error| local(call, &error))?;
            self.trees.insert(directory.clone(), commit_id(id)?);
            for entry in &tree {
                let path = self.path(&directory, entry.name_bytes())?;
                self.count(&path)?;
                match (entry.kind(), entry.filemode()) {
                    (Some(ObjectType::Tree), _) => open.push((path, entry.id())),
                    (Some(ObjectType::Commit), _) => self.files.push(SnapshotFile {
                        path,
                        kind: FileKind::Submodule,
                        bytes: Vec::new(),
                    }),
                    (Some(ObjectType::Blob), mode) => self.file(path, entry.id(), mode)?,
                    _ => return Err(refused(&path, "is neither file nor directory")),
                }
            }
        }
        Ok(())
    }

    fn path(&self, directory: &str, name: &[u8]) -> Result<String> {
        let shown = || format!("{directory}/{}", String::from_utf8_lossy(name));
        let name = std::str::from_utf8(name)
            .map_err(|_| refused(&shown(), "has a name that is not UTF-8"))?;
        // Git itself never writes these names, but a hand-made object can hold them.
        if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
            return Err(refused(&shown(), "has a name that no file may have"));
        }
        if name.eq_ignore_ascii_case(".git") {
            return Err(refused(&shown(), "has git's own name"));
        }
        let path = if directory.is_empty() {
            name.to_owned()
        } else {
            format!("{directory}/{name}")
        };
        if path.len() > self.limits.path {
            let why = format!("is longer than {} bytes", self.limits.path);
            return Err(refused(&path, &why));
        }
        Ok(path)
    }

    fn count(&mut self, path: &str) -> Result<()> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            let why = format!(
                "is one file too many: at most {} files and directories are delivered",
                self.limits.entries
            );
            return Err(refused(path, &why));
        }
        Ok(())
    }

    fn file(&mut self, path: String, id: Oid, mode: i32) -> Result<()> {
        let call = "read a file";
        // Checks the size first, so that a huge file is never loaded.
        let (size, _) = self
            .odb
            .read_header(id)
            .map_err(|error| local(call, &error))?;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            let why = format!(
                "passes the limit: all files together have more than {} MiB",
                self.limits.bytes / 1024 / 1024
            );
            return Err(refused(&path, &why));
        }
        let object = self.odb.read(id).map_err(|error| local(call, &error))?;
        let kind = match mode {
            0o120_000 => FileKind::Symlink,
            0o100_755 => FileKind::Executable,
            _ => FileKind::File,
        };
        self.files.push(SnapshotFile {
            path,
            kind,
            bytes: object.data().to_vec(),
        });
        Ok(())
    }
}

fn commit_id(id: Oid) -> Result<CommitId> {
    CommitId::parse(&id.to_string())
        .map_err(|error| StepError::new(ErrorName::Internal, error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use git2::{Signature, Time};

    /// Builds a commit from raw tree entries, which git itself would refuse to write.
    fn commit(repository: &Repository, entries: &[(&str, &[u8], Oid)]) -> CommitId {
        let mut tree = Vec::new();
        for (mode, name, id) in entries {
            tree.extend_from_slice(format!("{mode} ").as_bytes());
            tree.extend_from_slice(name);
            tree.push(0);
            tree.extend_from_slice(id.as_bytes());
        }
        let tree = repository
            .odb()
            .unwrap()
            .write(ObjectType::Tree, &tree)
            .unwrap();
        let tree = repository.find_tree(tree).unwrap();
        let author = Signature::new("a", "a@example.com", &Time::new(0, 0)).unwrap();
        let id = repository
            .commit(None, &author, &author, "x", &tree, &[])
            .unwrap();
        commit_id(id).unwrap()
    }

    fn repository() -> (tempfile::TempDir, Repository, Oid) {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(directory.path()).unwrap();
        let blob = repository.blob(b"0123456789").unwrap();
        (directory, repository, blob)
    }

    #[test]
    fn impossible_names_are_refused() {
        let (_directory, repository, blob) = repository();
        for name in [b"..".as_slice(), b".", b".git", b".GIT", b"a/b", b"\xff"] {
            let commit = commit(&repository, &[("100644", name, blob)]);
            let error = read(&repository, &commit, LIMITS).unwrap_err();
            assert_eq!(error.name, ErrorName::SourceRefused, "{error}");
        }
    }

    #[test]
    fn limits_are_kept() {
        let (_directory, repository, blob) = repository();
        let commit = commit(
            &repository,
            &[("100644", b"abcdef", blob), ("100644", b"b", blob)],
        );
        let good = Limits {
            entries: 2,
            bytes: 20,
            path: 6,
        };
        assert_eq!(read(&repository, &commit, good).unwrap().files.len(), 2);
        for bad in [
            Limits { entries: 1, ..good },
            Limits { bytes: 19, ..good },
            Limits { path: 5, ..good },
        ] {
            let error = read(&repository, &commit, bad).unwrap_err();
            assert_eq!(error.name, ErrorName::SourceRefused, "{error}");
        }
    }

    /// Ten nested directories, each holding the next one ten times: ten billion files from eleven
    /// objects.
    #[test]
    fn a_tree_bomb_is_refused() {
        let (_directory, repository, blob) = repository();
        let mut below = blob;
        let mut mode = 0o100_644;
        for _ in 0..10 {
            let mut builder = repository.treebuilder(None).unwrap();
            for n in 0..10 {
                builder.insert(format!("d{n}"), below, mode).unwrap();
            }
            below = builder.write().unwrap();
            mode = 0o040_000;
        }
        let tree = repository.find_tree(below).unwrap();
        let author = Signature::new("a", "a@example.com", &Time::new(0, 0)).unwrap();
        let id = repository
            .commit(None, &author, &author, "x", &tree, &[])
            .unwrap();
        let error = read(&repository, &commit_id(id).unwrap(), LIMITS).unwrap_err();
        assert_eq!(error.name, ErrorName::SourceRefused);
    }

    #[test]
    fn what_is_not_a_commit_is_not_found() {
        let (_directory, repository, blob) = repository();
        let error = read(&repository, &commit_id(blob).unwrap(), LIMITS).unwrap_err();
        assert_eq!(error.name, ErrorName::CommitNotFound);
    }
}
