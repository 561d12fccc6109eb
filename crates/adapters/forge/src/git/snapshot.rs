//! A fetched commit as a list of files.
//!
//! What a repository may hold is decided by [`domain::source_rules`]. This reader refuses on its own
//! only what it cannot read in bounded memory, with the problems of those rules.

use super::smart::local;
use domain::error::{ErrorName, StepError};
use domain::ids::CommitId;
use domain::source_rules::{ENTRY_LIMIT, FileKind, Problem, Problems, check_sizes, refused_path};
use engine::{Result, Snapshot, SnapshotFile};
use git2::{ObjectType, Oid, Repository};
use std::collections::BTreeMap;

/// The longest path that is read, in bytes. The rules refuse a path of a quarter of it.
const PATH_LIMIT: usize = 1024;

/// A file whose content has not been read.
struct Entry {
    path: String,
    kind: FileKind,
    id: Oid,
    size: u64,
}

struct Reader<'a> {
    repository: &'a Repository,
    odb: git2::Odb<'a>,
    /// The number of files and directories.
    entries: usize,
    files: Vec<Entry>,
    trees: BTreeMap<String, CommitId>,
}

/// Reads a commit from a repository. Names that are not UTF-8 get replacement characters, which the
/// rules refuse.
///
/// # Errors
/// `CommitNotFound` if the id names no commit; `SourceRefused` if the commit exceeds a limit or holds
/// a name that no file can have.
pub fn read(repository: &Repository, commit: &CommitId) -> Result<Snapshot> {
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
        entries: 0,
        files: Vec::new(),
        trees: BTreeMap::new(),
    };
    reader.walk(tree)?;
    // Before any content is read.
    let sizes = reader.files.iter().map(|it| (it.path.as_str(), it.size));
    if let Some(problems) = Problems::new(check_sizes(reader.entries, sizes)) {
        return Err(problems.to_error());
    }
    let mut files = reader.contents()?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let author = String::from_utf8_lossy(found.author().name_bytes()).into_owned();
    let subject = String::from_utf8_lossy(found.summary_bytes().unwrap_or_default()).into_owned();
    Ok(Snapshot {
        commit: commit.clone(),
        author,
        subject,
        files,
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

fn refused(problem: Problem) -> StepError {
    Problems::from(problem).to_error()
}

impl Reader<'_> {
    /// Walks the directories iteratively, so that a deep tree cannot exhaust the stack. Stops after
    /// the last file or directory that a repository may have.
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
                self.entries += 1;
                if self.entries > ENTRY_LIMIT {
                    return Ok(());
                }
                let path = path(&directory, entry.name_bytes())?;
                let (kind, size) = match (entry.kind(), entry.filemode()) {
                    (Some(ObjectType::Tree), _) => {
                        open.push((path, entry.id()));
                        continue;
                    }
                    (Some(ObjectType::Commit), _) => (FileKind::Submodule, 0),
                    (Some(ObjectType::Blob), mode) => (kind(mode), self.size(entry.id())?),
                    _ => {
                        let found = "is neither a file nor a directory";
                        return Err(refused(refused_path(&path, found)));
                    }
                };
                self.files.push(Entry {
                    path,
                    kind,
                    id: entry.id(),
                    size,
                });
            }
        }
        Ok(())
    }

    fn size(&self, id: Oid) -> Result<u64> {
        let header = self.odb.read_header(id);
        let (size, _) = header.map_err(|error| local("read a file", &error))?;
        Ok(u64::try_from(size).unwrap_or(u64::MAX))
    }

    fn contents(&mut self) -> Result<Vec<SnapshotFile>> {
        let mut files = Vec::with_capacity(self.files.len());
        for Entry { path, kind, id, .. } in self.files.drain(..) {
            let bytes = match kind {
                FileKind::Submodule => Vec::new(),
                FileKind::File | FileKind::Executable | FileKind::Symlink => {
                    let object = self.odb.read(id);
                    let object = object.map_err(|error| local("read a file", &error))?;
                    object.data().to_vec()
                }
            };
            files.push(SnapshotFile { path, kind, bytes });
        }
        Ok(files)
    }
}

fn kind(mode: i32) -> FileKind {
    match mode {
        0o120_000 => FileKind::Symlink,
        0o100_755 => FileKind::Executable,
        _ => FileKind::File,
    }
}

/// Returns the path of a directory's entry.
fn path(directory: &str, name: &[u8]) -> Result<String> {
    let length = directory.len() + 1 + name.len();
    if length > PATH_LIMIT {
        let shown = if directory.is_empty() { "." } else { directory };
        let found = format!("has a path of {length} bytes in it");
        return Err(refused(refused_path(shown, found)));
    }
    let name = String::from_utf8_lossy(name);
    // Git itself never writes these names, but a crafted object can hold them.
    if name.is_empty() || name.contains('/') {
        let shown = format!("{directory}/{name}");
        return Err(refused(refused_path(
            &shown,
            "has a name that no file can have",
        )));
    }
    Ok(if directory.is_empty() {
        name.into_owned()
    } else {
        format!("{directory}/{name}")
    })
}

fn commit_id(id: Oid) -> Result<CommitId> {
    CommitId::parse(&id.to_string())
        .map_err(|error| StepError::new(ErrorName::Internal, error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use domain::source_rules::{SourceFile, check};
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

    /// Returns the error of `validate` for a commit: that of the reader, or that of the rules.
    fn error(repository: &Repository, commit: &CommitId) -> StepError {
        let files = match read(repository, commit) {
            Ok(snapshot) => snapshot.files,
            Err(error) => return error,
        };
        let files: Vec<SourceFile> = files
            .iter()
            .map(|file| SourceFile::new(&file.path, file.kind, &file.bytes))
            .collect();
        check(&files).unwrap_err().to_error()
    }

    #[test]
    fn impossible_names_are_refused() {
        let (_directory, repository, blob) = repository();
        for name in [b"..".as_slice(), b".", b".git", b".GIT", b"a/b", b"\xff"] {
            let commit = commit(&repository, &[("100644", name, blob)]);
            let error = error(&repository, &commit);
            assert!(error.message.contains(": CF067 "), "{error}");
        }
        for length in [256, 2000] {
            let name = vec![b'a'; length];
            let commit = commit(&repository, &[("100644", &name, blob)]);
            let error = error(&repository, &commit);
            assert!(error.message.contains(": CF067 has "), "{error}");
        }
    }

    #[test]
    fn a_commit_that_is_too_large_is_refused_before_its_files_are_read() {
        let (_directory, repository, _) = repository();
        let blob = repository.blob(&vec![0; 1024 * 1024]).unwrap();
        let names: Vec<String> = (100..301).map(|n| n.to_string()).collect();
        let entries = |count: usize| -> Vec<(&str, &[u8], Oid)> {
            let names = names.iter().take(count);
            names
                .map(|name| ("100644", name.as_bytes(), blob))
                .collect()
        };
        let fits = commit(&repository, &entries(3));
        assert_eq!(read(&repository, &fits).unwrap().files.len(), 3);
        let error = error(&repository, &commit(&repository, &entries(201)));
        assert_eq!(error.name, ErrorName::SourceRefused);
        let expected = ".: CF073 has 210763776 bytes of files; expected at most 200 MiB;";
        assert!(error.message.starts_with(expected), "{error}");
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
        let error = read(&repository, &commit_id(id).unwrap()).unwrap_err();
        assert_eq!(error.name, ErrorName::SourceRefused);
        assert!(error.message.contains(": CF073 "), "{error}");
    }

    #[test]
    fn what_is_not_a_commit_is_not_found() {
        let (_directory, repository, blob) = repository();
        let error = read(&repository, &commit_id(blob).unwrap()).unwrap_err();
        assert_eq!(error.name, ErrorName::CommitNotFound);
    }
}
