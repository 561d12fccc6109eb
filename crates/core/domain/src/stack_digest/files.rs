//! The files of a commit, and those that a stack reads.

use super::reads::{self, Read, Reads};
use super::{Coverage, Hash, Reason};
use crate::config::{Stack, WhenChanged};
use crate::source_rules::FileKind;
use sha2::{Digest as _, Sha256};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// The most links that are followed one after the other.
const LINK_LIMIT: usize = 40;

/// A file of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitFile<'a> {
    /// The path from the root, with `/` as the separator.
    pub path: &'a str,
    /// The kind of the file.
    pub kind: FileKind,
    /// The content. For a symbolic link, its target.
    pub bytes: &'a [u8],
}

/// The files of a commit, by path.
#[derive(Debug)]
pub struct SourceTree<'a> {
    files: BTreeMap<&'a str, CommitFile<'a>>,
    digest: OnceCell<Vec<u8>>,
}

impl<'a> SourceTree<'a> {
    /// Returns the tree with these files, in any order.
    #[must_use]
    pub fn new(files: impl IntoIterator<Item = CommitFile<'a>>) -> Self {
        Self {
            files: files.into_iter().map(|file| (file.path, file)).collect(),
            digest: OnceCell::new(),
        }
    }

    /// Returns the digest of every file.
    pub(super) fn digest(&self) -> Vec<u8> {
        let all = self.digest.get_or_init(|| {
            let mut hash = Hash(Sha256::new());
            for file in self.files.values() {
                hash.file(file);
            }
            hash.0.finalize().to_vec()
        });
        all.clone()
    }

    /// Returns the files below a directory; for the root, all files.
    fn below(&self, directory: &str) -> impl Iterator<Item = CommitFile<'a>> {
        let prefix = match directory {
            "" => String::new(),
            directory => format!("{directory}/"),
        };
        let end = prefix.clone();
        let after = self.files.range(prefix.as_str()..);
        let below = after.take_while(move |(path, _)| path.starts_with(&end));
        below.map(|(_, file)| *file).collect::<Vec<_>>().into_iter()
    }

    /// Returns whether a directory that the path is in is a symbolic link.
    fn is_below_link(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end);
        ends.filter_map(|end| self.files.get(path.get(..end)?))
            .any(|file| file.kind == FileKind::Symlink)
    }

    /// Returns what a program reads at the file's path: for a symbolic link, the content of the file
    /// that it leads to, or none if it does not lead to a file.
    fn content(&self, file: CommitFile<'a>) -> Option<&'a [u8]> {
        match file.kind {
            FileKind::Symlink => self.linked(file).map(|(target, _)| target.bytes),
            FileKind::File | FileKind::Executable | FileKind::Submodule => Some(file.bytes),
        }
    }

    /// Returns the file that a symbolic link leads to in the end, with the links on the way. None if
    /// it leads to a directory or to nothing.
    fn linked(&self, link: CommitFile<'a>) -> Option<(CommitFile<'a>, Vec<CommitFile<'a>>)> {
        let mut passed = vec![link];
        let mut here = link;
        while passed.len() <= LINK_LIMIT {
            let parent = here.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let target = std::str::from_utf8(here.bytes).ok()?;
            let path = reads::join(parent, target).filter(|_| !target.starts_with('/'))?;
            if self.is_below_link(&path) {
                return None;
            }
            here = *self.files.get(path.as_str())?;
            if here.kind != FileKind::Symlink {
                return Some((here, passed));
            }
            passed.push(here);
        }
        None
    }
}

/// The files that a stack reads.
pub(super) struct Selection<'a> {
    /// Ordered by path. Complete only with [`Coverage::Files`].
    pub(super) files: Vec<CommitFile<'a>>,
    pub(super) coverage: Coverage,
}

/// Returns the files that a stack reads: those of its directory and its modules, and the paths that
/// they and `when_changed` name.
pub(super) fn select<'a>(tree: &SourceTree<'a>, stack: &Stack) -> Selection<'a> {
    let mut search = Search {
        tree,
        stack: &stack.dir,
        covered: BTreeMap::new(),
        modules: BTreeSet::new(),
        reads: Reads::default(),
        whole: None,
        unknown: None,
    };
    search.module(&stack.dir, &stack.dir);
    if let WhenChanged::Files(globs) = &stack.when_changed {
        for file in tree.files.values() {
            if globs.iter().any(|glob| glob.matches(file.path)) {
                search.cover(*file);
            }
        }
    }
    search.check_names(!stack.needs.is_empty());
    let coverage = match (search.unknown, search.whole) {
        (Some(reason), _) => Coverage::Unknown(reason),
        (None, Some(reason)) => Coverage::WholeTree(reason),
        (None, None) => Coverage::Files,
    };
    Selection {
        files: search.covered.into_values().collect(),
        coverage,
    }
}

struct Search<'s, 'a> {
    tree: &'s SourceTree<'a>,
    /// The stack's directory, in which Terraform runs.
    stack: &'s str,
    covered: BTreeMap<&'a str, CommitFile<'a>>,
    /// The directories of the modules that were searched.
    modules: BTreeSet<String>,
    /// What the code of all modules does.
    reads: Reads,
    whole: Option<Reason>,
    unknown: Option<Reason>,
}

impl<'a> Search<'_, 'a> {
    fn whole(&mut self, path: &str, cause: &'static str) {
        let path = path.to_owned();
        self.whole.get_or_insert(Reason { path, cause });
    }

    fn unknown(&mut self, path: &str, cause: &'static str) {
        let path = path.to_owned();
        self.unknown.get_or_insert(Reason { path, cause });
    }

    fn cover(&mut self, file: CommitFile<'a>) {
        self.covered.insert(file.path, file);
        if file.kind == FileKind::Symlink {
            match self.tree.linked(file) {
                Some((target, links)) => {
                    let found = links.into_iter().chain([target]);
                    self.covered.extend(found.map(|file| (file.path, file)));
                }
                None => self.whole(file.path, "is a symbolic link that does not lead to a file"),
            }
        }
    }

    /// Covers a file, or every file of a directory. Covers nothing if the path does not exist: if a
    /// later commit adds it, that commit has another digest.
    fn path(&mut self, path: &str) {
        if self.tree.is_below_link(path) {
            self.whole(path, "is reached through a symbolic link");
        }
        if let Some(file) = self.tree.files.get(path) {
            self.cover(*file);
        }
        for file in self.tree.below(path) {
            self.cover(file);
        }
    }

    /// Covers a module's directory, and follows what its code reads. `user` names the module in a
    /// reason.
    fn module(&mut self, dir: &str, user: &str) {
        if !self.modules.insert(dir.to_owned()) {
            return;
        }
        self.path(dir);
        let is_link = |file: &CommitFile<'_>| file.kind == FileKind::Symlink;
        if self.tree.is_below_link(dir) || self.tree.files.get(dir).is_some_and(is_link) {
            // The module behind the link is not searched.
            self.unknown(dir, "is a module behind a symbolic link");
        }
        let code: Vec<CommitFile<'a>> = self
            .tree
            .below(dir)
            .filter(|file| is_code(dir, file))
            .collect();
        if code.is_empty() {
            self.whole(user, "uses a module directory without Terraform files");
        }
        for file in code {
            self.code(dir, file);
        }
    }

    fn code(&mut self, dir: &str, file: CommitFile<'a>) {
        let content = self.tree.content(file);
        let text = content.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let found = match text {
            Some(text) => reads::of(file.path, text, dir, self.stack, &mut self.reads),
            None => vec![Read::Unknown(reads::NOT_READ)],
        };
        for read in found {
            match read {
                Read::Path(path) => self.path(&path),
                Read::Module(dir) => self.module(&dir, file.path),
                Read::AnyFile(cause) => self.whole(file.path, cause),
                Read::Unknown(cause) => self.unknown(file.path, cause),
            }
        }
    }

    /// Decides whether a path that Terraform computes can leave the covered files. `has_inputs`: the
    /// stack takes the outputs of other stacks.
    fn check_names(&mut self, has_inputs: bool) {
        if let (Some(path), true) = (self.reads.dynamic.clone(), has_inputs || self.reads.data) {
            self.whole(
                &path,
                "reads a file whose path may come from outside the code",
            );
        }
        let computes = self.reads.dynamic.is_some() || self.reads.computes;
        let covered: Vec<CommitFile<'a>> = self.covered.values().copied().collect();
        for file in covered {
            // The path of a link decides, not that of its target: it is the one that Terraform reads.
            let values = file.path.ends_with(".tfvars") || file.path.ends_with(".tfvars.json");
            if !values && (!computes || is_prose(file.path)) {
                continue;
            }
            let content = self.tree.content(file);
            let text = content.and_then(|bytes| std::str::from_utf8(bytes).ok());
            let leaves = |text: &str| {
                reads::has_parent(text) || text.contains("dirname(") || text.contains("abspath(")
            };
            if text.is_some_and(leaves) {
                self.whole(file.path, "may name a path with `..`");
            }
        }
    }
}

/// Returns whether Terraform loads the file as code of the module in this directory.
fn is_code(dir: &str, file: &CommitFile<'_>) -> bool {
    let name = file.path.get(dir.len()..).unwrap_or_default();
    let name = name.trim_start_matches('/');
    !name.contains('/') && (name.ends_with(".tf") || name.ends_with(".tf.json"))
}

/// Returns whether code does not take values from the file: it is read as Terraform code, or it is
/// for people.
fn is_prose(path: &str) -> bool {
    [
        ".tf",
        ".tf.json",
        ".tftest.hcl",
        ".tfmock.hcl",
        ".terraform.lock.hcl",
        ".md",
    ]
    .iter()
    .any(|end| path.ends_with(end))
}
