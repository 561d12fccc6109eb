//! The rules for the files of a repository. The checks read paths and bytes, and unpack nothing.

use domain::config::{CONFIG_FILE, Config};
use domain::plan_file;
use engine::{FileKind, Snapshot, SnapshotFile};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The longest path, in bytes. File systems limit a name to 255 bytes; the limit on a whole path
/// leaves room for a directory that a tool puts in front of it.
const PATH_LIMIT: usize = 255;

/// The first bytes of a Git LFS pointer.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A violation of a rule: a code, a path and a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    code: &'static str,
    path: String,
    message: String,
}

impl Refusal {
    fn new(code: &'static str, path: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The debug form escapes a line end in the path.
        write!(f, "{} {:?} {}", self.code, self.path, self.message)
    }
}

/// Returns all refusals of a commit under its configuration, sorted by code.
pub(crate) fn check(snapshot: &Snapshot, config: &Config) -> Vec<Refusal> {
    let tree = Tree::new(snapshot);
    let mut refusals = Vec::new();
    for file in &snapshot.files {
        refusals.extend(check_name(&file.path));
        refusals.extend(check_forbidden(file));
        refusals.extend(check_link(&tree, file));
    }
    refusals.extend(check_collisions(snapshot));
    for stack in &config.stacks {
        check_stack(&tree, &stack.dir, stack.name.as_str(), &mut refusals);
    }
    if let Some(build) = &config.build {
        check_build(&tree, &build.context, &build.dockerfile, &mut refusals);
    }
    refusals.sort();
    refusals.dedup();
    refusals
}

/// A commit's files by path.
struct Tree<'a> {
    files: BTreeMap<&'a str, &'a SnapshotFile>,
}

/// What a path refers to.
enum Standing {
    Nothing,
    File,
    Directory,
    /// The path itself, or a part of it, is a symbolic link; holds the path of the link.
    Link(String),
}

impl<'a> Tree<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let files = snapshot
            .files
            .iter()
            .map(|file| (file.path.as_str(), file))
            .collect();
        Self { files }
    }

    /// Returns the files below a directory; for the root, all files.
    fn below(&self, directory: &str) -> impl Iterator<Item = &'a SnapshotFile> {
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        let end = prefix.clone();
        self.files
            .range(prefix.as_str()..)
            .map(|(_, file)| *file)
            .take_while(move |file| file.path.starts_with(&end))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn at(&self, path: &str) -> Standing {
        let mut so_far = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            match self.files.get(so_far.as_str()) {
                Some(file) if file.kind == FileKind::Symlink => return Standing::Link(so_far),
                Some(_) if so_far != path => return Standing::Nothing,
                Some(_) => return Standing::File,
                None => {}
            }
        }
        if self.below(path).next().is_some() {
            Standing::Directory
        } else {
            Standing::Nothing
        }
    }
}

fn check_stack(tree: &Tree<'_>, dir: &str, name: &str, refusals: &mut Vec<Refusal>) {
    if !check_directory(tree, dir, &format!("stack {name}"), refusals) {
        return;
    }
    let direct = |file: &SnapshotFile| {
        let rest = file
            .path
            .get(dir.len()..)
            .unwrap_or_default()
            .trim_start_matches('/');
        !rest.contains('/') && (rest.ends_with(".tf") || rest.ends_with(".tf.json"))
    };
    if !tree.below(dir).any(direct) {
        let message = format!("has no .tf file, but is the directory of stack {name}");
        refusals.push(Refusal::new("CF023", dir, message));
    }
    for file in tree.below(dir) {
        if file.kind == FileKind::Symlink {
            let message =
                format!("is a symbolic link inside stack {name}; put the file itself there");
            refusals.push(Refusal::new("CF021", &file.path, message));
        }
        check_content(file, &format!("stack {name}"), refusals);
    }
}

fn check_build(tree: &Tree<'_>, context: &str, dockerfile: &str, refusals: &mut Vec<Refusal>) {
    if !check_directory(tree, context, "build.context", refusals) {
        return;
    }
    let path = if context.is_empty() {
        dockerfile.to_owned()
    } else {
        format!("{context}/{dockerfile}")
    };
    match tree.at(&path) {
        Standing::File => {}
        Standing::Link(link) => {
            let message = "is a symbolic link on the way to build.dockerfile";
            refusals.push(Refusal::new("CF021", &link, message));
        }
        Standing::Nothing | Standing::Directory => {
            let message = "is not a file, but build.dockerfile names it";
            refusals.push(Refusal::new("CF029", &path, message));
        }
    }
    for file in tree.below(context) {
        check_content(file, "the build context", refusals);
    }
}

/// Returns whether the path is a directory that no symbolic link leads to. Otherwise adds a
/// refusal.
fn check_directory(tree: &Tree<'_>, dir: &str, owner: &str, refusals: &mut Vec<Refusal>) -> bool {
    let (code, path, message) = match tree.at(dir) {
        Standing::Directory => return true,
        Standing::Link(link) => (
            "CF021",
            link,
            format!(
                "is a symbolic link on the way to {dir:?} of {owner}; name the directory itself"
            ),
        ),
        Standing::File => (
            "CF024",
            dir.to_owned(),
            format!("is a file, but {owner} names it as its directory"),
        ),
        Standing::Nothing => (
            "CF022",
            dir.to_owned(),
            format!("does not exist at this commit, but {owner} names it in {CONFIG_FILE}"),
        ),
    };
    refusals.push(Refusal::new(code, &path, message));
    false
}

/// Refuses a file whose content is not in the commit itself.
fn check_content(file: &SnapshotFile, owner: &str, refusals: &mut Vec<Refusal>) {
    let what = if file.kind == FileKind::Submodule {
        "a submodule"
    } else if file.kind != FileKind::Symlink && file.bytes.starts_with(LFS) {
        "a Git LFS pointer"
    } else {
        return;
    };
    let message =
        format!("is {what} in {owner}: its content is not in the commit; commit the files");
    refusals.push(Refusal::new("CF066", &file.path, message));
}

/// Refuses a path that another system, or an unpacking program, interprets differently.
fn check_name(path: &str) -> Option<Refusal> {
    let why = if path.len() > PATH_LIMIT {
        format!(
            "has {} bytes, at most {PATH_LIMIT} are delivered",
            path.len()
        )
    } else if path.chars().any(char::is_control) {
        "has a control character".to_owned()
    } else if path.contains('\\') {
        "has a backslash".to_owned()
    } else if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "leaves the repository".to_owned()
    } else {
        return None;
    };
    Some(Refusal::new("CF067", path, why))
}

/// Refuses files that Terraform would use as its own: plugins, CLI configuration, state, plans.
fn check_forbidden(file: &SnapshotFile) -> Option<Refusal> {
    let lower = file.path.to_lowercase();
    let mut parts = lower.split('/').rev();
    let name = parts.next().unwrap_or_default();
    let in_directory = parts.any(|part| matches!(part, ".terraform" | "terraform.d"));
    let forbidden = in_directory
        || matches!(
            name,
            ".terraform" | "terraform.d" | ".terraformrc" | "terraform.rc"
        )
        || name.contains(".tfstate")
        || plan_file::is_name(name);
    if forbidden {
        return Some(Refusal::new("CF060", &file.path, "must not be committed"));
    }
    plan_file::is_content(&file.bytes).then(|| {
        let message = "is a terraform plan under another name: plans hold secrets in clear, and must not be committed";
        Refusal::new("CF060", &file.path, message)
    })
}

/// Refuses symbolic links that leave the repository, directly or through another link.
fn check_link(tree: &Tree<'_>, file: &SnapshotFile) -> Option<Refusal> {
    if file.kind != FileKind::Symlink {
        return None;
    }
    let refusal = |why: &str| Some(Refusal::new("CF068", &file.path, why));
    let Ok(target) = std::str::from_utf8(&file.bytes) else {
        return refusal("is a symbolic link whose target is not UTF-8");
    };
    if target.is_empty() || target.chars().any(char::is_control) || target.contains('\\') {
        return refusal("is a symbolic link whose target is not a plain path");
    }
    if target.starts_with('/') {
        return refusal("is a symbolic link to an absolute path");
    }
    // A target is relative to the link's own directory.
    let mut place: Vec<&str> = file.path.split('/').collect();
    place.pop();
    for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
        // The rest of the target would be relative to where that link leads.
        let so_far = tree.files.get(place.join("/").as_str());
        if so_far.is_some_and(|file| file.kind == FileKind::Symlink) {
            return refusal("is a symbolic link by way of another one; name the place itself");
        }
        if part != ".." {
            place.push(part);
        } else if place.pop().is_none() {
            return refusal("is a symbolic link that leaves the repository");
        }
    }
    None
}

/// Refuses paths that differ only in case, and paths that are both a file and a directory.
fn check_collisions(snapshot: &Snapshot) -> Vec<Refusal> {
    let mut spelt: BTreeMap<String, &str> = BTreeMap::new();
    let mut files: BTreeSet<&str> = BTreeSet::new();
    let mut directories: BTreeSet<&str> = BTreeSet::new();
    let mut refusals = Vec::new();
    for file in &snapshot.files {
        let path = file.path.as_str();
        if !files.insert(path) {
            refusals.push(Refusal::new("CF067", path, "is there twice"));
        }
        let ends = path.match_indices('/').map(|(end, _)| end);
        for end in ends.chain([path.len()]) {
            let Some(head) = path.get(..end) else {
                continue;
            };
            if end < path.len() {
                directories.insert(head);
            }
            let first = spelt.entry(head.to_lowercase()).or_insert(head);
            if *first != head {
                let message = format!("differs from {first:?} only in case");
                refusals.push(Refusal::new("CF067", head, message));
            }
        }
    }
    for path in files.intersection(&directories) {
        refusals.push(Refusal::new("CF067", path, "is a file and a directory"));
    }
    refusals
}

#[cfg(test)]
mod tests;
