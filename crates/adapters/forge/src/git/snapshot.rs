//! A fetched commit as a list of files.
//!
//! What a repository may hold is decided by [`domain::source_rules`]. This reader refuses on its own
//! only what it cannot read in bounded memory, with the problems of those rules.

use super::smart::local;
use domain::error::{ErrorName, StepError};
use domain::ids::CommitId;
use domain::source_rules::{
    CONFIG_FILE, ENTRY_LIMIT, Examined, FILE_LIMIT, FileKind, Problem, Problems, SourceFile,
    TARGET_LIMIT, TOTAL_LIMIT, TREE_LIMIT, check_tree, refused_path,
};
use engine::{Result, Snapshot, SnapshotFile, UnreadFile};
use git2::{ObjectType, Oid, Repository};
use std::collections::BTreeMap;

/// The longest path that is read, in bytes: that of Linux.
const PATH_LIMIT: usize = 4096;

/// The most bytes of all paths together.
const PATHS_LIMIT: usize = 32 * 1024 * 1024;

/// A file, whose content may have been read.
struct Entry {
    path: String,
    kind: FileKind,
    id: Oid,
    size: u64,
    bytes: Option<Vec<u8>>,
}

struct Reader<'a> {
    repository: &'a Repository,
    odb: git2::Odb<'a>,
    /// The number of files and directories.
    entries: usize,
    /// The bytes of all paths.
    paths: usize,
    files: Vec<Entry>,
    trees: BTreeMap<String, CommitId>,
}

/// Reads a commit from a repository. If it is larger than an archive may be, reads only the files that
/// a stack or the build can read. Names that are not UTF-8 get replacement characters, which the rules
/// refuse.
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
        paths: 0,
        files: Vec::new(),
        trees: BTreeMap::new(),
    };
    reader.walk(tree)?;
    if let Some(problem) = check_tree(reader.entries) {
        return Err(refused(problem));
    }
    reader.files.sort_by(|a, b| a.path.cmp(&b.path));
    reader.contents()?;
    let author = String::from_utf8_lossy(found.author().name_bytes()).into_owned();
    let subject = String::from_utf8_lossy(found.summary_bytes().unwrap_or_default()).into_owned();
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    for Entry {
        path,
        kind,
        id,
        size,
        bytes,
    } in reader.files
    {
        match bytes {
            Some(bytes) => files.push(SnapshotFile { path, kind, bytes }),
            None => unread.push(UnreadFile {
                path,
                kind,
                size,
                id: id.to_string(),
            }),
        }
    }
    Ok(Snapshot {
        commit: commit.clone(),
        author,
        subject,
        files,
        unread,
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
                if self.entries > TREE_LIMIT {
                    return Ok(());
                }
                let path = path(&directory, entry.name_bytes())?;
                self.paths += path.len();
                if self.paths > PATHS_LIMIT {
                    let found = format!("has paths of more than {PATHS_LIMIT} bytes together");
                    return Err(refused(refused_path(".", found)));
                }
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
                    bytes: None,
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

    /// Reads the files: all, if they fit into an archive. Otherwise the configuration, and what the rules say that a
    /// stack or the build reads, until they say nothing more: they find a module in the code that uses it.
    fn contents(&mut self) -> Result<()> {
        let total = |files: &mut dyn Iterator<Item = &Entry>| {
            files.fold(0_u64, |sum, file| sum.saturating_add(file.size))
        };
        let fits = self.files.iter().all(|file| file.size <= FILE_LIMIT);
        if fits && self.entries <= ENTRY_LIMIT && total(&mut self.files.iter()) <= TOTAL_LIMIT {
            return self.load(|_| true);
        }
        self.load(|file| {
            let is_link = file.kind == FileKind::Symlink && file.size <= TARGET_LIMIT;
            file.path == CONFIG_FILE || is_link
        })?;
        loop {
            let described: Vec<SourceFile<'_>> = self.files.iter().map(Entry::describe).collect();
            let examined = Examined::new(&described);
            let (reached, left_out) = (examined.reached().clone(), examined.left_out().clone());
            let is_read = |file: &&Entry| file.bytes.is_some() || reached.contains(&file.path);
            let is_new = |file: &Entry| file.bytes.is_none() && reached.contains(&file.path);
            // What is too large is a problem of the rules, which need no content to find it.
            if total(&mut self.files.iter().filter(is_read)) > TOTAL_LIMIT {
                return Ok(());
            }
            if !self
                .files
                .iter()
                .any(|file| is_new(file) && file.size <= FILE_LIMIT)
            {
                // The archive holds every file that is not left out.
                let is_sealed = |file: &Entry| !left_out.paths.contains(&file.path);
                let mut sealed = self.files.iter().filter(|file| is_sealed(file));
                if total(&mut sealed) <= TOTAL_LIMIT {
                    self.load(is_sealed)?;
                }
                return Ok(());
            }
            self.load(|file| reached.contains(&file.path))?;
        }
    }

    /// Reads the content of some files. Leaves out those that are too large.
    fn load(&mut self, is_wanted: impl Fn(&Entry) -> bool) -> Result<()> {
        for file in &mut self.files {
            if file.bytes.is_some() || file.size > FILE_LIMIT || !is_wanted(file) {
                continue;
            }
            file.bytes = Some(match file.kind {
                FileKind::Submodule => Vec::new(),
                FileKind::File | FileKind::Executable | FileKind::Symlink => {
                    let object = self.odb.read(file.id);
                    let object = object.map_err(|error| local("read a file", &error))?;
                    object.data().to_vec()
                }
            });
        }
        Ok(())
    }
}

impl Entry {
    fn describe(&self) -> SourceFile<'_> {
        match &self.bytes {
            Some(bytes) => SourceFile::new(&self.path, self.kind, bytes),
            None => SourceFile::unread(&self.path, self.kind, self.size),
        }
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
        let snapshot = match read(repository, commit) {
            Ok(snapshot) => snapshot,
            Err(error) => return error,
        };
        let read = snapshot.files.iter();
        let read = read.map(|file| SourceFile::new(&file.path, file.kind, &file.bytes));
        let unread = snapshot.unread.iter();
        let unread = unread.map(|file| SourceFile::unread(&file.path, file.kind, file.size));
        let files: Vec<SourceFile<'_>> = read.chain(unread).collect();
        check(&files).unwrap_err().to_error()
    }

    /// The build reads the root, and so every file.
    const READS_ALL: &str = "version: 1\nenvironment: production\nbuild: { test: x }\n";

    #[test]
    fn impossible_names_are_refused() {
        let (_directory, repository, blob) = repository();
        let config = repository.blob(READS_ALL.as_bytes()).unwrap();
        let config = ("100644", CONFIG_FILE.as_bytes(), config);
        let dockerfile = ("100644", b"Dockerfile".as_slice(), blob);
        for name in [b"..".as_slice(), b".", b".git", b".GIT", b"a/b", b"\xff"] {
            let commit = commit(&repository, &[("100644", name, blob), config, dockerfile]);
            let error = error(&repository, &commit);
            assert!(error.message.contains(": CF067 "), "{error}");
        }
        for length in [256, 2000, 5000] {
            let name = vec![b'a'; length];
            let commit = commit(&repository, &[("100644", &name, blob), config, dockerfile]);
            let error = error(&repository, &commit);
            assert!(error.message.contains(": CF067 has "), "{error}");
        }
    }

    /// Of a commit that is too large for an archive, only what is read is fetched into memory.
    #[test]
    fn of_a_large_commit_only_what_a_stack_or_the_build_reads_is_read() {
        let (_directory, repository, _) = repository();
        let big = repository.blob(&vec![0; 1024 * 1024]).unwrap();
        let blob = |text: &str| repository.blob(text.as_bytes()).unwrap();
        let tree = |files: &[(&str, Oid, i32)]| {
            let mut builder = repository.treebuilder(None).unwrap();
            for (name, id, mode) in files {
                builder.insert(name, *id, *mode).unwrap();
            }
            builder.write().unwrap()
        };
        let file = 0o100_644;
        let names: Vec<String> = (0..201).map(|n| n.to_string()).collect();
        let many: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), big, file))
            .collect();
        let web = tree(&many);
        let call = "module \"m\" {\n  source = \"../m\"\n}\n";
        let stack = tree(&[
            (".terraform.lock.hcl", blob(""), file),
            ("main.tf", blob(call), file),
        ]);
        let read = "locals { a = file(\"${path.module}/../read/a\") }\n";
        let module = tree(&[("main.tf", blob(read), file)]);
        let other = tree(&[("a", blob("a"), file), ("b", blob("b"), file)]);
        let commit = |config: &str| {
            let directory = |name: &'static str, id| ("40000", name.as_bytes(), id);
            let entries = [
                directory("app", stack),
                directory("m", module),
                directory("read", other),
                ("100644", b"Dockerfile".as_slice(), blob("")),
                ("100644", CONFIG_FILE.as_bytes(), blob(config)),
                directory("web", web),
            ];
            commit(&repository, &entries)
        };
        let stack = "version: 1\nenvironment: production\nstacks: [{ name: app, dir: app }]\n";
        let snapshot = super::read(&repository, &commit(stack)).unwrap();
        let paths: Vec<_> = snapshot.files.iter().map(|it| it.path.as_str()).collect();
        let expected = [
            "app/.terraform.lock.hcl",
            "app/main.tf",
            "m/main.tf",
            "read/a",
            CONFIG_FILE,
        ];
        assert_eq!(paths, expected);
        assert_eq!(snapshot.unread.len(), 203);

        // One file is too large for an archive, and nothing reads it. The others are sealed.
        let huge = repository.blob(&vec![0; 128 * 1024 * 1024 + 1]).unwrap();
        let entries = [
            ("40000", b"read".as_slice(), other),
            ("100644", CONFIG_FILE.as_bytes(), blob(stack)),
            ("100644", b"video".as_slice(), huge),
        ];
        let snapshot = super::read(&repository, &self::commit(&repository, &entries)).unwrap();
        let paths: Vec<_> = snapshot.files.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["read/a", "read/b", CONFIG_FILE]);
        let unread: Vec<_> = snapshot.unread.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(unread, ["video"]);

        // The build reads it all, so it is refused, and not read.
        let commit = commit(READS_ALL);
        assert_eq!(super::read(&repository, &commit).unwrap().files.len(), 1);
        let error = error(&repository, &commit);
        assert_eq!(error.name, ErrorName::SourceRefused);
        let expected = ".: CF073 has 210763913 bytes of files that a stack or the build can read; expected at most 200 MiB;";
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
