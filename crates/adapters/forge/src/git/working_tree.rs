//! A directory on this machine as the files that git would commit.

use domain::source_rules::{FILE_LIMIT, FileKind, LFS_POINTER, SourceFile};
use git2::{
    AttrCheckFlags, ErrorClass, ErrorCode, Index, IndexEntryExtendedFlag, IndexEntryFlag, Oid,
    Repository, RepositoryInitOptions, Status, StatusOptions, StatusShow,
};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Why a directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path cannot be read.
    #[error("read {path}: {error}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// The repository belongs to another user.
    #[error("read the git repository: {0}")]
    OtherOwner(String),
    /// An object is not in the repository, because its clone is a partial one.
    #[error("read the git repository: {0}")]
    NotFetched(String),
    /// The index is a sparse one, which libgit2 does not read.
    #[error("read the git repository: {0}")]
    SparseIndex(String),
    /// The git repository cannot be read.
    #[error("read the git repository: {0}")]
    Git(String),
}

impl From<git2::Error> for Error {
    fn from(error: git2::Error) -> Self {
        let message = error.message().to_owned();
        match (error.code(), error.class()) {
            (ErrorCode::Owner, _) => Self::OtherOwner(message),
            (ErrorCode::NotFound, ErrorClass::Odb) => Self::NotFetched(message),
            // The name of the extension of the index that lists directories.
            (_, ErrorClass::Index) if message.contains("sdir") => Self::SparseIndex(message),
            _ => Self::Git(message),
        }
    }
}

/// Returns the files below `directory` that `git add --all` and `git commit` would commit, with their content on the disk: the
/// tracked files, and the untracked ones that no .gitignore excludes. Changes nothing. Files that a sparse checkout leaves out have
/// their content in the index. In a directory outside git, all files are untracked.
///
/// # Errors
/// If the directory, its repository or a file in it cannot be read.
pub fn read(directory: &Path) -> Result<Vec<SourceFile<'static>>, Error> {
    let directory = directory.canonicalize().map_err(io_error(directory))?;
    let (repository, prefix, _removed_on_drop) = open(&directory)?;
    let mut files = Vec::new();
    for (path, tracked) in entries(&repository, &prefix)? {
        let on_disk = Path::new(std::ffi::OsStr::from_bytes(&path));
        let relative = path.get(prefix.len()..).unwrap_or_default();
        // A name that is not UTF-8 has a replacement character, which is a problem itself.
        let shown = String::from_utf8_lossy(relative).into_owned();
        files.push(describe(&repository, on_disk, shown, tracked)?);
    }
    Ok(files)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |error| Error::Io { path, error }
}

/// Opens the repository of a directory. Returns it with the directory's path in it, which ends with `/` unless it is empty.
fn open(directory: &Path) -> Result<(Repository, Vec<u8>, Option<tempfile::TempDir>), Error> {
    match Repository::discover(directory) {
        Ok(repository) => {
            if let Some(prefix) = prefix(&repository, directory)? {
                return Ok((repository, prefix, None));
            }
        }
        Err(error) if error.code() == ErrorCode::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    // An empty repository, elsewhere, whose working tree is the directory.
    let scratch = tempfile::tempdir().map_err(io_error(&std::env::temp_dir()))?;
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false);
    let repository = Repository::init_opts(scratch.path(), &options)?;
    repository.set_workdir(directory, false)?;
    Ok((repository, Vec::new(), Some(scratch)))
}

/// Returns the path of the directory in the repository. None if the repository ignores the directory or has no working tree.
fn prefix(repository: &Repository, directory: &Path) -> Result<Option<Vec<u8>>, Error> {
    let Some(root) = repository.workdir() else {
        return Ok(None);
    };
    let root = root.canonicalize().map_err(io_error(root))?;
    let Ok(inside) = directory.strip_prefix(&root) else {
        return Ok(None);
    };
    let mut prefix = inside.as_os_str().as_bytes().to_vec();
    if prefix.is_empty() {
        return Ok(Some(prefix));
    }
    if repository.is_path_ignored(inside)? {
        return Ok(None);
    }
    prefix.push(b'/');
    Ok(Some(prefix))
}

/// A tracked file in the index.
#[derive(Clone, Copy)]
struct Tracked {
    kind: FileKind,
    id: Oid,
    /// Whether git ignores what is on the disk: a sparse checkout leaves the file out, or it is
    /// assumed to be unchanged.
    kept: bool,
}

/// Returns the paths below `prefix` that would be committed, with what the index says about the tracked ones.
fn entries(
    repository: &Repository,
    prefix: &[u8],
) -> Result<BTreeMap<Vec<u8>, Option<Tracked>>, Error> {
    let index = repository.index()?;
    let mut found = tracked(&index, prefix);
    let mut options = StatusOptions::new();
    options
        .show(StatusShow::Workdir)
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        .exclude_submodules(true)
        // libgit2 lists repositories in the directory as ignored.
        .include_ignored(true)
        .disable_pathspec_match(true);
    if !prefix.is_empty() {
        options.pathspec(prefix);
    }
    for entry in repository.statuses(Some(&mut options))?.iter() {
        let path = entry.path_bytes();
        let path = path.strip_suffix(b"/").unwrap_or(path).to_vec();
        if !path.starts_with(prefix) {
            continue;
        }
        let status = entry.status();
        if matches!(found.get(&path), Some(Some(tracked)) if tracked.kept) {
            continue;
        }
        if status.contains(Status::WT_DELETED) {
            found.remove(&path);
        } else if status.contains(Status::WT_NEW)
            || (status.contains(Status::IGNORED) && is_repository(repository, &path)?)
        {
            found.insert(path, None);
        }
    }
    Ok(found)
}

/// Returns whether the path is a repository of its own, which git would commit as a submodule.
fn is_repository(repository: &Repository, path: &[u8]) -> Result<bool, Error> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let root = repository.workdir().unwrap_or(Path::new("."));
    Ok(root.join(path).join(".git").exists() && !repository.is_path_ignored(path)?)
}

fn tracked(index: &Index, prefix: &[u8]) -> BTreeMap<Vec<u8>, Option<Tracked>> {
    index
        .iter()
        .filter(|entry| entry.path.starts_with(prefix))
        .map(|entry| {
            let kind = match entry.mode {
                0o160_000 => FileKind::Submodule,
                0o120_000 => FileKind::Symlink,
                mode if mode & 0o111 != 0 => FileKind::Executable,
                _ => FileKind::File,
            };
            let kept = entry.flags_extended & IndexEntryExtendedFlag::SKIP_WORKTREE.bits() != 0
                || entry.flags & IndexEntryFlag::VALID.bits() != 0;
            let id = entry.id;
            (entry.path, Some(Tracked { kind, id, kept }))
        })
        .collect()
}

/// Describes one file. `path` is its path in the repository, `shown` that in the directory.
fn describe(
    repository: &Repository,
    path: &Path,
    shown: String,
    tracked: Option<Tracked>,
) -> Result<SourceFile<'static>, Error> {
    if let Some(tracked) = tracked.filter(|tracked| tracked.kept) {
        return in_index(repository, shown, tracked);
    }
    let on_disk = repository.workdir().unwrap_or(Path::new(".")).join(path);
    let found = std::fs::symlink_metadata(&on_disk).map_err(io_error(&on_disk))?;
    if found.is_dir() {
        return Ok(SourceFile::new(shown, FileKind::Submodule, b""));
    }
    if found.is_symlink() {
        let target = std::fs::read_link(&on_disk).map_err(io_error(&on_disk))?;
        let target = target.into_os_string().into_vec();
        return Ok(SourceFile::new(shown, FileKind::Symlink, target));
    }
    let kind = if found.permissions().mode() & 0o111 == 0 {
        FileKind::File
    } else {
        FileKind::Executable
    };
    // The disk has the content of a file in Git LFS, a commit only the pointer.
    let filter = repository.get_attr(path, "filter", AttrCheckFlags::default())?;
    if filter == Some("lfs") {
        return Ok(SourceFile::new(shown, kind, LFS_POINTER));
    }
    if found.len() > FILE_LIMIT {
        return Ok(SourceFile::unread(shown, kind, found.len()));
    }
    let bytes = std::fs::read(&on_disk).map_err(io_error(&on_disk))?;
    Ok(SourceFile::new(shown, kind, bytes))
}

/// Describes a file by its content in the index.
fn in_index(
    repository: &Repository,
    shown: String,
    Tracked { kind, id, .. }: Tracked,
) -> Result<SourceFile<'static>, Error> {
    if kind == FileKind::Submodule {
        return Ok(SourceFile::new(shown, kind, b""));
    }
    let (size, _) = repository.odb()?.read_header(id)?;
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    if size > FILE_LIMIT {
        return Ok(SourceFile::unread(shown, kind, size));
    }
    Ok(SourceFile::new(
        shown,
        kind,
        repository.find_blob(id)?.content().to_vec(),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use std::fs;

    fn file<'a>(path: &str, text: &'a str) -> SourceFile<'a> {
        SourceFile::new(path, FileKind::File, text.as_bytes())
    }

    /// Writes files below a directory. Those with `!` before their path are added to the index.
    fn write(root: &Path, files: &[(&str, &str)]) {
        let repository = Repository::discover(root).ok();
        for (path, text) in files {
            let (path, is_tracked) = match path.strip_prefix('!') {
                Some(path) => (path, true),
                None => (*path, false),
            };
            let on_disk = root.join(path);
            fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
            fs::write(&on_disk, text).unwrap();
            if let (true, Some(repository)) = (is_tracked, &repository) {
                let mut index = repository.index().unwrap();
                let workdir = repository.workdir().unwrap().canonicalize().unwrap();
                let inside = on_disk.canonicalize().unwrap();
                index
                    .add_path(inside.strip_prefix(workdir).unwrap())
                    .unwrap();
                index.write().unwrap();
            }
        }
    }

    fn sorted(root: &Path) -> Vec<SourceFile<'static>> {
        let mut files = read(root).unwrap();
        files.sort_by_key(|file| format!("{file:?}"));
        files
    }

    #[test]
    fn what_git_would_commit_is_read() {
        let root = tempfile::tempdir().unwrap();
        Repository::init(root.path()).unwrap();
        let files = [
            ("!a.tf", "old"),
            ("!gone.tf", ""),
            ("!terraform.tfstate", "{}"),
            ("!.gitignore", "*.tfstate\nbuilt/\n"),
            ("built/x", ""),
            ("other.tfstate", ""),
            ("infra/new.tf", "locals {}"),
            ("a.tf", "new"),
        ];
        write(root.path(), &files);
        fs::remove_file(root.path().join("gone.tf")).unwrap();
        std::os::unix::fs::symlink("a.tf", root.path().join("link")).unwrap();
        let run = root.path().join("run.sh");
        fs::write(&run, "x").unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        let mut expected = vec![
            // Tracked, so that .gitignore has no effect on it.
            file("terraform.tfstate", "{}"),
            file(".gitignore", "*.tfstate\nbuilt/\n"),
            file("infra/new.tf", "locals {}"),
            file("a.tf", "new"),
            SourceFile::new("link", FileKind::Symlink, b"a.tf"),
            SourceFile::new("run.sh", FileKind::Executable, b"x"),
        ];
        expected.sort_by_key(|file| format!("{file:?}"));
        assert_eq!(sorted(root.path()), expected);
        // A directory of the repository is a tree of its own.
        assert_eq!(
            sorted(&root.path().join("infra")),
            [file("new.tf", "locals {}")]
        );
    }

    fn git(root: &Path, arguments: &[&str]) {
        let mut command = std::process::Command::new("git");
        let output = command.arg("-C").arg(root).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    #[test]
    fn files_that_a_sparse_checkout_leaves_out_are_in_the_commit() {
        let root = tempfile::tempdir().unwrap();
        Repository::init(root.path()).unwrap();
        let files = [
            ("!app/main.py", "print(1)"),
            ("!infra/main.tf", "locals {}"),
            ("!notes", "old"),
            ("!gone", ""),
        ];
        write(root.path(), &files);
        // As `git sparse-checkout` does.
        git(
            root.path(),
            &["update-index", "--skip-worktree", "infra/main.tf"],
        );
        fs::remove_dir_all(root.path().join("infra")).unwrap();
        git(
            root.path(),
            &["update-index", "--assume-unchanged", "notes"],
        );
        fs::write(root.path().join("notes"), "new").unwrap();
        fs::remove_file(root.path().join("gone")).unwrap();
        let mut expected = vec![
            file("app/main.py", "print(1)"),
            file("infra/main.tf", "locals {}"),
            file("notes", "old"),
        ];
        expected.sort_by_key(|file| format!("{file:?}"));
        assert_eq!(sorted(root.path()), expected);
    }

    #[test]
    fn errors_of_git_have_their_cause() {
        let error = |code, class, message| {
            let error = Error::from(git2::Error::new(code, class, message));
            format!("{error:?}")
        };
        assert_eq!(
            error(ErrorCode::Owner, ErrorClass::Config, "a"),
            "OtherOwner(\"a\")"
        );
        assert_eq!(
            error(ErrorCode::NotFound, ErrorClass::Odb, "b"),
            "NotFetched(\"b\")"
        );
        let sparse = "unsupported mandatory extension: 'sdir'";
        assert_eq!(
            error(ErrorCode::GenericError, ErrorClass::Index, sparse),
            format!("SparseIndex({sparse:?})")
        );
        assert_eq!(
            error(ErrorCode::GenericError, ErrorClass::Index, "c"),
            "Git(\"c\")"
        );
    }

    #[test]
    fn a_directory_outside_git_or_ignored_by_it_is_read_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[("b/c.tf", "x"), (".gitignore", "*.zip\n"), ("a.zip", "")],
        );
        let expected = [file(".gitignore", "*.zip\n"), file("b/c.tf", "x")];
        let mut found = sorted(root.path());
        found.sort_by_key(|file| format!("{file:?}"));
        assert_eq!(found.len(), 2);
        assert!(
            expected.iter().all(|file| found.contains(file)),
            "{found:?}"
        );
        assert!(!root.path().join(".git").exists());

        Repository::init(root.path()).unwrap();
        write(root.path(), &[(".gitignore", "b/\n")]);
        assert_eq!(sorted(&root.path().join("b")), [file("c.tf", "x")]);
    }

    #[test]
    fn submodules_and_lfs_files_are_as_in_the_commit() {
        let root = tempfile::tempdir().unwrap();
        Repository::init(root.path()).unwrap();
        let module = root.path().join("module");
        let inner = Repository::init(&module).unwrap();
        write(&module, &[("!inside.tf", "")]);
        let tree = inner.index().unwrap().write_tree().unwrap();
        let author = git2::Signature::new("a", "a@example.com", &git2::Time::new(0, 0)).unwrap();
        let tree = inner.find_tree(tree).unwrap();
        inner
            .commit(Some("HEAD"), &author, &author, "x", &tree, &[])
            .unwrap();
        write(
            root.path(),
            &[
                (".gitattributes", "*.bin filter=lfs\n"),
                ("a.bin", "content"),
            ],
        );
        let found = read(root.path()).unwrap();
        assert!(
            found.contains(&SourceFile::new("module", FileKind::Submodule, b"")),
            "{found:?}"
        );
        assert!(
            found.contains(&SourceFile::new("a.bin", FileKind::File, LFS_POINTER)),
            "{found:?}"
        );
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let error = read(Path::new("/nonexistent/tree")).unwrap_err();
        assert!(
            error.to_string().starts_with("read /nonexistent/tree: "),
            "{error}"
        );
    }
}
