//! Unpacks the sealed source archive, after checking every entry.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::path::Path;

use domain::source_rules;
use zip::ZipArchive;
use zip::read::ZipFile;

use crate::refusal::Refusal;

/// The limits on a repository.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The number of files, directories and links.
    pub entries: usize,
    /// The size of one file, in bytes.
    pub file: u64,
    /// The size of all files together, in bytes.
    pub total: u64,
}

/// The limits of a source tree.
pub const LIMITS: Limits = Limits {
    entries: source_rules::ENTRY_LIMIT,
    file: source_rules::FILE_LIMIT,
    total: source_rules::TOTAL_LIMIT,
};

const RESEAL: &str = "start the run again; if it repeats, report it with the run id";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File { executable: bool },
    Directory,
    Link,
}

/// Unpacks the archive into `root`, an empty directory.
///
/// Checks all names before it writes anything. Counts sizes while reading, because an archive may
/// state wrong ones. Creates links last, and resolves each of them.
///
/// # Errors
/// A [`Refusal`] that names the entry.
pub fn unpack(bytes: &[u8], root: &Path, limits: &Limits) -> Result<(), Refusal> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| damaged("the source archive", &error.to_string()))?;
    if archive.len() > limits.entries {
        return Err(Refusal::new(
            "the repository",
            format!("it has {} entries", archive.len()),
            format!("at most {}", limits.entries),
            "keep generated files and dependencies out of git, push",
        ));
    }
    let kinds = survey(&mut archive)?;
    let mut total = 0;
    let mut links = Vec::new();
    for (index, (path, kind)) in kinds.iter().enumerate() {
        let to = root.join(path);
        let parent = if *kind == Kind::Directory {
            Some(to.as_path())
        } else {
            to.parent()
        };
        if let Some(parent) = parent {
            std::fs::create_dir_all(parent).map_err(|error| unwritable(path, &error))?;
        }
        let entry = open(&mut archive, index)?;
        match kind {
            Kind::Directory => {}
            Kind::Link => links.push((path, target(entry, path)?)),
            Kind::File { executable } => {
                let content = read(entry, path, limits.file)?;
                total += content.len() as u64;
                if total > limits.total {
                    return Err(Refusal::new(
                        "the repository",
                        format!("its files are larger than {} bytes together", limits.total),
                        format!("at most {} bytes", limits.total),
                        "keep large files out of git, push",
                    ));
                }
                write(&to, &content, *executable).map_err(|error| unwritable(path, &error))?;
            }
        }
    }
    make_links(root, &links)
}

fn survey(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<Vec<(String, Kind)>, Refusal> {
    let mut found = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let entry = open(archive, index)?;
        let path = checked_path(entry.name_raw())?;
        let mode = entry.unix_mode().unwrap_or(0o100_644);
        let kind = match mode & 0o170_000 {
            0o120_000 => Kind::Link,
            0o040_000 => Kind::Directory,
            _ if entry.is_dir() => Kind::Directory,
            0 | 0o100_000 => Kind::File {
                executable: mode & 0o111 != 0,
            },
            _ => {
                return Err(Refusal::new(
                    path,
                    "it is a device, a pipe or a socket",
                    "plain files, directories and symbolic links",
                    "remove it, push",
                ));
            }
        };
        found.push((path, kind));
    }
    let links: BTreeSet<&str> = found
        .iter()
        .filter(|(_, kind)| *kind == Kind::Link)
        .map(|(path, _)| path.as_str())
        .collect();
    for (path, _) in &found {
        let mut parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        if let Some(link) = parents.find(|parent| links.contains(parent)) {
            return Err(Refusal::new(
                path.clone(),
                format!("it is below {link:?}, which is a symbolic link"),
                "an archive made from a git commit",
                RESEAL,
            ));
        }
    }
    Ok(found)
}

/// Returns the path if the rules for source trees accept it.
fn checked_path(raw: &[u8]) -> Result<String, Refusal> {
    let text = String::from_utf8_lossy(raw);
    let path = text.strip_suffix('/').unwrap_or(&text);
    match source_rules::fault(path) {
        None => Ok(path.to_owned()),
        Some(what) => Err(Refusal::new(
            path,
            format!("it {what}"),
            "a relative path inside the repository, in UTF-8, without `..`, backslash or control characters",
            "rename it, push",
        )),
    }
}

fn open<'a, 'b>(
    archive: &'a mut ZipArchive<Cursor<&'b [u8]>>,
    index: usize,
) -> Result<ZipFile<'a, Cursor<&'b [u8]>>, Refusal> {
    archive
        .by_index(index)
        .map_err(|error| damaged("the source archive", &error.to_string()))
}

fn read(entry: impl Read, path: &str, limit: u64) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    entry
        .take(limit.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(|error| damaged(path, &error.to_string()))?;
    if content.len() as u64 > limit {
        return Err(Refusal::new(
            path,
            format!("it is larger than {limit} bytes"),
            format!("at most {limit} bytes a file"),
            "keep large files out of git, push",
        ));
    }
    Ok(content)
}

fn target(entry: impl Read, path: &str) -> Result<String, Refusal> {
    let bytes = read(entry, path, source_rules::TARGET_LIMIT)?;
    String::from_utf8(bytes).map_err(|_| outside(path, "a name that is not UTF-8"))
}

/// Creates the links, then resolves each on disk, because a link may leave the directory through
/// another link.
fn make_links(root: &Path, links: &[(&String, String)]) -> Result<(), Refusal> {
    for (path, target) in links {
        if Path::new(target).is_absolute() {
            return Err(outside(path, target));
        }
        std::os::unix::fs::symlink(target, root.join(path))
            .map_err(|error| unwritable(path, &error))?;
    }
    let real_root = root
        .canonicalize()
        .map_err(|error| unwritable(".", &error))?;
    for (path, target) in links {
        let inside = root
            .join(path)
            .canonicalize()
            .is_ok_and(|real| real.starts_with(&real_root));
        if !inside {
            return Err(outside(path, target));
        }
    }
    Ok(())
}

fn write(to: &Path, content: &[u8], executable: bool) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if executable { 0o755 } else { 0o644 })
        .open(to)?
        .write_all(content)
}

fn outside(path: &str, target: &str) -> Refusal {
    Refusal::new(
        path,
        format!("it is a symbolic link to {target:?}, which is not in the repository"),
        "links to files of the same repository",
        "replace the link by the file, push",
    )
}

fn damaged(path: &str, cause: &str) -> Refusal {
    Refusal::new(
        path,
        format!("it cannot be read: {cause}"),
        "a zip archive",
        RESEAL,
    )
}

fn unwritable(path: &str, error: &std::io::Error) -> Refusal {
    Refusal::new(
        path,
        format!("it cannot be unpacked: {error}"),
        "paths that do not collide, and space on the job's disk",
        "rename it if another file has the same path; else give the job more ephemeral storage",
    )
}
