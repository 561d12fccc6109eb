//! The dependencies of a stack that its source archive does not hold: the modules that `init` fetched
//! from a registry, a git repository or an archive, and the lock file as `init` left it.
//!
//! A plan job seals them. The apply of that plan, and a rollback to it, unpack them instead of
//! fetching them again.

use std::collections::BTreeMap;
use std::io::{Cursor, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use domain::source_rules::{self, FILE_LIMIT, LOCK_FILE};
use serde::Deserialize;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::archive::{self, Limits};
use crate::refusal::Refusal;

/// The directory of the fetched modules, relative to the stack.
const MODULES: &str = ".terraform/modules";

/// The list of modules that `init` writes, relative to the stack.
pub const MANIFEST: &str = ".terraform/modules/modules.json";

/// The limits of the modules of a stack. Terraform fetches a package once for each module block that
/// names it.
pub const LIMITS: Limits = Limits {
    entries: 100_000,
    file: FILE_LIMIT,
    total: 512 * 1024 * 1024,
};

const USE_ANOTHER: &str =
    "copy the module into the repository without it, name it by a relative path, push";

/// The list of modules that `init` writes.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// The modules, the stack itself included.
    #[serde(rename = "Modules")]
    pub modules: Vec<Installed>,
}

/// A module in the list.
#[derive(Clone, Debug, Deserialize)]
pub struct Installed {
    /// Its directory, relative to the stack.
    #[serde(rename = "Dir")]
    pub dir: String,
}

impl Manifest {
    /// Parses a list of modules.
    ///
    /// # Errors
    /// The error of the parser.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// Parses a list of modules, and checks that each module is in the source or was fetched. `stack`
    /// is the stack's directory, relative to the root of the source.
    fn checked(bytes: &[u8], stack: &str) -> Result<Self, Refusal> {
        let refuse = |what: String| {
            let expected =
                "a list of modules that are inside the repository or fetched by terraform";
            Refusal::new(MANIFEST, what, expected, "start the run again")
        };
        let list = Self::parse(bytes)
            .map_err(|error| refuse(format!("it cannot be read: line {}", error.line())))?;
        let depth = stack.split('/').filter(|part| !part.is_empty()).count();
        for Installed { dir } in &list.modules {
            if !is_inside(dir, depth) {
                return Err(refuse(format!("it lists the directory {dir:?}")));
            }
        }
        Ok(list)
    }

    /// Returns whether `init` fetched at least one of the modules.
    fn has_fetched(&self) -> bool {
        let mut dirs = self.modules.iter().map(|one| Path::new(&one.dir));
        dirs.any(|dir| dir.starts_with(MODULES))
    }
}

/// Returns whether a relative path from a directory at this depth stays below the root.
fn is_inside(path: &str, depth: usize) -> bool {
    let down = |depth: usize, part: &str| match part {
        "" | "." => Some(depth),
        ".." => depth.checked_sub(1),
        _ => depth.checked_add(1),
    };
    !path.starts_with('/') && path.split('/').try_fold(depth, down).is_some()
}

/// What the archive holds at a path.
enum Entry {
    File { bytes: Vec<u8>, executable: bool },
    Directory,
    Link(String),
}

/// Packs what `init` added to a stack: the same bytes for the same content. Returns `None` if the
/// source archive holds everything. `dir` is the stack's directory on disk, `stack` the same relative
/// to the root of the source, and `own_lock` the lock file of the source.
///
/// Leaves out git's own files, and links that lead nowhere.
///
/// # Errors
/// A [`Refusal`] that names the file that cannot be sealed.
pub fn pack(dir: &Path, stack: &str, own_lock: Option<&[u8]>) -> Result<Option<Vec<u8>>, Refusal> {
    let lock = read_if_exists(&dir.join(LOCK_FILE), LOCK_FILE)?;
    let list = read_if_exists(&dir.join(MANIFEST), MANIFEST)?;
    let list = list.map(|bytes| Manifest::checked(&bytes, stack));
    let has_fetched = list.transpose()?.is_some_and(|list| list.has_fetched());
    if !has_fetched && lock.as_deref() == own_lock {
        return Ok(None);
    }
    let mut entries = BTreeMap::new();
    if has_fetched {
        collect(&dir.join(MODULES), &mut entries)?;
    }
    if let Some(bytes) = lock {
        let executable = false;
        entries.insert(LOCK_FILE.to_owned(), Entry::File { bytes, executable });
    }
    write(&entries)
        .map(Some)
        .map_err(|error| unreadable(MODULES, &error.to_string()))
}

/// Unpacks an archive of [`pack`] into a stack. `scratch` is a new directory on the same file system.
///
/// # Errors
/// A [`Refusal`] if the archive holds anything that [`pack`] does not write.
pub fn unpack(bytes: &[u8], dir: &Path, stack: &str, scratch: &Path) -> Result<(), Refusal> {
    let failed = |error: std::io::Error| unreadable(".", &error.to_string());
    std::fs::create_dir(scratch).map_err(failed)?;
    archive::unpack(bytes, scratch, &LIMITS)?;
    let list = read_if_exists(&scratch.join(MANIFEST), MANIFEST)?;
    if let Some(list) = &list {
        Manifest::checked(list, stack)?;
        std::fs::create_dir_all(dir.join(".terraform")).map_err(failed)?;
        std::fs::rename(scratch.join(MODULES), dir.join(MODULES)).map_err(failed)?;
    }
    if scratch.join(LOCK_FILE).is_file() {
        match std::fs::remove_file(dir.join(LOCK_FILE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        std::fs::rename(scratch.join(LOCK_FILE), dir.join(LOCK_FILE)).map_err(failed)?;
    }
    std::fs::remove_dir_all(scratch).map_err(failed)
}

/// Returns whether a stack has a list of modules, as after [`unpack`] and after `init`.
#[must_use]
pub fn has_modules(dir: &Path) -> bool {
    dir.join(MANIFEST).is_file()
}

/// Returns a file, or `None` if it does not exist. `path` names it in an error.
fn read_if_exists(file: &Path, path: &str) -> Result<Option<Vec<u8>>, Refusal> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error.to_string())),
    }
}

/// Reads everything below the directory of the fetched modules.
fn collect(root: &Path, entries: &mut BTreeMap<String, Entry>) -> Result<(), Refusal> {
    let failed = |path: &str, error: std::io::Error| unreadable(path, &error.to_string());
    let real_root = root.canonicalize().map_err(|it| failed(MODULES, it))?;
    let mut open = vec![(root.to_owned(), MODULES.to_owned())];
    let mut total = 0_u64;
    while let Some((directory, parent)) = open.pop() {
        for entry in std::fs::read_dir(&directory).map_err(|it| failed(&parent, it))? {
            let entry = entry.map_err(|it| failed(&parent, it))?;
            let name = entry.file_name();
            if is_gits(&name) {
                continue;
            }
            let path = format!("{parent}/{}", name.to_string_lossy());
            if let Some(what) = source_rules::fault(&path) {
                let expected = "a path that every system interprets in the same way";
                return Err(Refusal::new(
                    path,
                    format!("it {what}"),
                    expected,
                    USE_ANOTHER,
                ));
            }
            let kind = entry.file_type().map_err(|it| failed(&path, it))?;
            let found = if kind.is_dir() {
                open.push((entry.path(), path.clone()));
                Entry::Directory
            } else if kind.is_symlink() {
                match link(&entry.path(), &path, &real_root)? {
                    Some(target) => Entry::Link(target),
                    None => continue,
                }
            } else if kind.is_file() {
                let known = entry.metadata().map_err(|it| failed(&path, it))?;
                total = total.saturating_add(known.len());
                if known.len() > LIMITS.file || total > LIMITS.total {
                    return Err(too_large(path));
                }
                Entry::File {
                    bytes: std::fs::read(entry.path()).map_err(|it| failed(&path, it))?,
                    executable: known.permissions().mode() & 0o111 != 0,
                }
            } else {
                return Err(unreadable(&path, "it is not a file, a directory or a link"));
            };
            entries.insert(path, found);
            if entries.len() >= LIMITS.entries {
                return Err(too_large(MODULES.to_owned()));
            }
        }
    }
    Ok(())
}

/// Returns the target of a link, or `None` if it leads nowhere once git's own files are left out.
fn link(file: &Path, path: &str, root: &Path) -> Result<Option<String>, Refusal> {
    let Ok(real) = file.canonicalize() else {
        return Ok(None);
    };
    let target = std::fs::read_link(file).map_err(|error| unreadable(path, &error.to_string()))?;
    let Ok(inside) = real.strip_prefix(root) else {
        return Err(leaves(path, &target));
    };
    if inside.iter().any(is_gits) {
        return Ok(None);
    }
    match target.to_str() {
        Some(text) if target.is_relative() => Ok(Some(text.to_owned())),
        _ => Err(leaves(path, &target)),
    }
}

fn is_gits(name: &std::ffi::OsStr) -> bool {
    name.eq_ignore_ascii_case(".git")
}

fn write(entries: &BTreeMap<String, Entry>) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // The time of the fetch must not change the bytes.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::DEFAULT);
    for (path, entry) in entries {
        match entry {
            Entry::Directory => zip.add_directory(path, options.unix_permissions(0o755))?,
            Entry::Link(target) => {
                zip.add_symlink(path, target, options.unix_permissions(0o777))?;
            }
            Entry::File { bytes, executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                zip.start_file(path, options.unix_permissions(mode))?;
                zip.write_all(bytes)?;
            }
        }
    }
    Ok(zip.finish()?.into_inner())
}

fn leaves(path: &str, target: &Path) -> Refusal {
    Refusal::new(
        path,
        format!("it is a symbolic link to {target:?}, which is not in the fetched module"),
        "modules that can be sealed: without an absolute path, and without links to other files",
        USE_ANOTHER,
    )
}

fn too_large(path: String) -> Refusal {
    Refusal::new(
        path,
        "the fetched modules are too large to be sealed",
        format!(
            "at most {} bytes a file, {} bytes and {} files together",
            LIMITS.file, LIMITS.total, LIMITS.entries
        ),
        "use a smaller module, or copy the part that the stack needs into the repository, push",
    )
}

fn unreadable(path: &str, cause: &str) -> Refusal {
    Refusal::new(
        path,
        format!("it cannot be sealed or unpacked: {cause}"),
        "modules as terraform fetches them",
        "start the run again; if it repeats, report it with the run id",
    )
}

#[cfg(test)]
#[path = "dependencies_tests.rs"]
mod tests;
