//! The files of a commit, and those that a stack reads.

use super::reads::{self, Read, Reads, is_plain};
use super::{Coverage, Hash, Reason};
use crate::config::{Stack, WhenChanged};
use crate::source_rules::{FileKind, is_forbidden_name};
use sha2::{Digest as _, Sha256};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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

    fn is_directory(&self, path: &str) -> bool {
        let prefix = match path {
            "" => String::new(),
            path => format!("{path}/"),
        };
        let mut after = self.files.range(prefix.as_str()..);
        after
            .next()
            .is_some_and(|(path, _)| path.starts_with(&prefix))
    }

    /// Returns whether the path, or one that it leads through, is a file, or the path is a directory.
    fn exists(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end);
        ends.chain([path.len()])
            .filter_map(|end| path.get(..end))
            .any(|path| self.files.contains_key(path))
            || self.is_directory(path)
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

    /// Returns the path that a symbolic link leads to, or none if it leaves the repository.
    fn target(&self, link: CommitFile<'a>) -> Option<String> {
        let parent = link.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let target = std::str::from_utf8(link.bytes).ok()?;
        reads::join(parent, target).filter(|_| !target.starts_with('/'))
    }

    /// Returns the file that a symbolic link leads to in the end, with the links on the way. None if
    /// it leads to a directory or to nothing.
    fn linked(&self, link: CommitFile<'a>) -> Option<(CommitFile<'a>, Vec<CommitFile<'a>>)> {
        let mut passed = vec![link];
        let mut here = link;
        while passed.len() <= LINK_LIMIT {
            let path = self.target(here)?;
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

/// Which files count as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Those whose change may change a plan: for each module its directory with everything below it.
    Digest,
    /// Those that a job can read: for each module the files directly in its directory, and below it what the code can name.
    Reach,
}

/// The files that a stack, or the build, can read.
#[derive(Debug, Default)]
pub(crate) struct Reached<'a> {
    pub(crate) paths: BTreeSet<&'a str>,
    /// Why other files may be read too.
    pub(crate) more: Option<Reason>,
}

/// Returns the files that a stack can read.
pub(crate) fn reach<'a>(tree: &SourceTree<'a>, stack: &Stack) -> Reached<'a> {
    let mut search = Search::new(tree, &stack.dir, Extent::Reach);
    search.module(stack.dir.clone(), &stack.dir);
    search.globs(&stack.when_changed);
    search.run();
    search.check_names(!stack.needs.is_empty());
    search.reached()
}

/// Returns the files of a directory, with those that its symbolic links lead to.
pub(crate) fn reach_of_directory<'a>(tree: &SourceTree<'a>, dir: &str) -> Reached<'a> {
    let mut search = Search::new(tree, dir, Extent::Reach);
    search.path(dir);
    search.run();
    search.reached()
}

/// Returns the files that decide a stack's plan: those of its directory and its modules, and the paths
/// that they and `when_changed` name.
pub(super) fn select<'a>(tree: &SourceTree<'a>, stack: &Stack) -> Selection<'a> {
    let mut search = Search::new(tree, &stack.dir, Extent::Digest);
    search.module(stack.dir.clone(), &stack.dir);
    search.run();
    search.globs(&stack.when_changed);
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
    extent: Extent,
    covered: BTreeMap<&'a str, CommitFile<'a>>,
    /// The directories of the modules that were found.
    modules: BTreeSet<String>,
    /// Those of them that were not searched yet, each with its user.
    open: VecDeque<(String, String)>,
    /// The paths that were covered with everything below them.
    paths: BTreeSet<String>,
    /// The paths that symbolic links lead to, which were not covered yet.
    targets: Vec<String>,
    /// The directories directly below those of the modules, by name.
    inner: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// The files in which names were looked for.
    read: BTreeSet<&'a str>,
    /// What the code of all modules does.
    reads: Reads,
    whole: Option<Reason>,
    unknown: Option<Reason>,
}

impl<'s, 'a> Search<'s, 'a> {
    fn new(tree: &'s SourceTree<'a>, stack: &'s str, extent: Extent) -> Self {
        Self {
            tree,
            stack,
            extent,
            covered: BTreeMap::new(),
            modules: BTreeSet::new(),
            open: VecDeque::new(),
            paths: BTreeSet::new(),
            targets: Vec::new(),
            inner: BTreeMap::new(),
            read: BTreeSet::new(),
            reads: Reads::default(),
            whole: None,
            unknown: None,
        }
    }

    fn reached(self) -> Reached<'a> {
        Reached {
            paths: self.covered.into_keys().collect(),
            more: self.unknown.or(self.whole),
        }
    }

    fn whole(&mut self, path: &str, cause: &'static str) {
        let path = path.to_owned();
        self.whole.get_or_insert(Reason { path, cause });
    }

    fn unknown(&mut self, path: &str, cause: &'static str) {
        let path = path.to_owned();
        self.unknown.get_or_insert(Reason { path, cause });
    }

    fn cover(&mut self, file: CommitFile<'a>) {
        if self.covered.insert(file.path, file).is_some() || file.kind != FileKind::Symlink {
            return;
        }
        match (self.tree.linked(file), self.extent) {
            (Some((target, links)), _) => {
                let found = links.into_iter().chain([target]);
                self.covered.extend(found.map(|file| (file.path, file)));
            }
            (None, Extent::Digest) => {
                self.whole(file.path, "is a symbolic link that does not lead to a file");
            }
            // To a directory, or to nothing, which is a problem of another rule.
            (None, Extent::Reach) => self.targets.extend(self.tree.target(file)),
        }
    }

    /// Covers a file, or every file of a directory. Covers nothing if the path does not exist: if a
    /// later commit adds it, that commit has another digest.
    fn path(&mut self, path: &str) {
        if !self.paths.insert(path.to_owned()) {
            return;
        }
        if self.tree.is_below_link(path) {
            self.whole(path, "is reached through a symbolic link");
        }
        self.on_the_way(path);
        if let Some(file) = self.tree.files.get(path) {
            self.cover(*file);
        }
        for file in self.tree.below(path) {
            self.cover(file);
        }
    }

    /// Covers the files that `when_changed` names.
    fn globs(&mut self, named: &WhenChanged) {
        if let WhenChanged::Files(globs) = named {
            for file in self.tree.files.values() {
                if globs.iter().any(|glob| glob.matches(file.path)) {
                    self.cover(*file);
                }
            }
        }
    }

    /// Covers the submodule or the symbolic link that a path leads through.
    fn on_the_way(&mut self, path: &str) {
        if self.extent == Extent::Reach {
            let ends = path.match_indices('/');
            let above = ends.filter_map(|(end, _)| self.tree.files.get(path.get(..end)?));
            for file in above.copied().collect::<Vec<_>>() {
                self.cover(file);
            }
        }
    }

    /// Covers the files directly in a module's directory. Below that of the stack, Terraform also reads its own directories.
    fn directly_in(&mut self, dir: &str) {
        self.on_the_way(dir);
        if let Some(file) = self.tree.files.get(dir) {
            self.cover(*file);
        }
        for file in self.tree.below(dir) {
            let inner = inside(dir, file.path);
            let is_own = |name: &str| dir == self.stack && is_forbidden_name(name);
            match inner.split_once('/') {
                Some((name, _)) if !is_own(name) => {
                    let end = file.path.len() - inner.len() + name.len();
                    let path = file.path.get(..end).unwrap_or_default();
                    self.inner.entry(name).or_default().insert(path);
                }
                _ => self.cover(file),
            }
        }
    }

    /// Searches until nothing more is found. Not by recursion, whose depth the repository would decide.
    fn run(&mut self) {
        loop {
            if let Some((dir, user)) = self.open.pop_front() {
                self.search(&dir, &user);
            } else if let Some(target) = self.targets.pop() {
                self.path(&target);
            } else if self.extent == Extent::Digest || !self.mentioned() {
                return;
            }
        }
    }

    /// Covers the directories below the modules that the texts of the covered files name. Returns whether there were new ones.
    fn mentioned(&mut self) -> bool {
        let covered: Vec<CommitFile<'a>> = self.covered.values().copied().collect();
        let before = (self.paths.len(), self.targets.len());
        for file in covered {
            if !self.read.insert(file.path) || is_prose(file.path) {
                continue;
            }
            let content = self.tree.content(file);
            let Some(text) = content.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
                continue;
            };
            for word in text.split(|c| !is_plain(c)) {
                let mut parts = word.split('/').filter(|part| !matches!(*part, "" | "."));
                match parts.next() {
                    Some("..") if parts.any(|part| part != "..") => self.text(self.stack, word),
                    Some("..") | None => {}
                    Some(name) => {
                        for dir in self.inner.get(name).cloned().unwrap_or_default() {
                            self.path(dir);
                        }
                    }
                }
            }
        }
        before != (self.paths.len(), self.targets.len())
    }

    /// Covers what a text names below a directory, if it is a path. If a path goes on with what is put together, covers the directory
    /// that it begins with.
    fn text(&mut self, dir: &str, text: &str) {
        // The rest of a path after a directory that is not known.
        let text = if has_parent_first(text) {
            text.trim_start_matches('/')
        } else {
            text
        };
        let is_named = |part: &str| !matches!(part, "" | ".");
        if text.starts_with('/') || !text.split('/').any(is_named) {
            return;
        }
        let whole = reads::join(dir, text).filter(|path| self.tree.exists(path));
        let start = text.find(|c| !is_plain(c)).and_then(|end| {
            let is_words = text.contains(char::is_whitespace);
            let (directory, _) = text.get(..end)?.rsplit_once('/')?;
            let is_path = !is_words && directory.split('/').any(is_named);
            is_path.then(|| reads::join(dir, directory))?
        });
        if let Some(path) = whole.or(start) {
            self.path(&path);
        }
    }

    /// Adds a module to those that are searched. `user` names it in a reason.
    fn module(&mut self, dir: String, user: &str) {
        if self.modules.insert(dir.clone()) {
            self.open.push_back((dir, user.to_owned()));
        }
    }

    /// Covers a module's directory, and follows what its code reads.
    fn search(&mut self, dir: &str, user: &str) {
        match self.extent {
            Extent::Digest => self.path(dir),
            Extent::Reach => self.directly_in(dir),
        }
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
            match (read, self.extent) {
                (Read::Path(path), _) | (Read::Below(path), Extent::Reach) => self.path(&path),
                (Read::Module(dir), _) => self.module(dir, file.path),
                (Read::Text(text), Extent::Reach) => {
                    self.text(self.stack, &text);
                    self.text(dir, &text);
                }
                // What it names by itself is in another `Read`.
                (Read::Parent, _) => {
                    self.whole(file.path, "has a path with `..` that is not followed");
                }
                (Read::AnyFile(cause), extent) => {
                    self.whole(file.path, cause);
                    self.known(extent, dir);
                }
                (Read::Unknown(cause), extent) => {
                    self.unknown(file.path, cause);
                    self.known(extent, dir);
                }
                (Read::Outside(cause), Extent::Digest) => self.unknown(file.path, cause),
                // Code from outside reads what its arguments name, and perhaps more below the stack.
                (Read::Outside(_), extent @ Extent::Reach) => self.known(extent, dir),
                (Read::Below(_) | Read::Text(_), Extent::Digest) => {}
            }
        }
    }

    /// Covers the directories that are known for code that may read any file.
    fn known(&mut self, extent: Extent, module: &str) {
        if extent == Extent::Reach {
            self.path(module);
            self.path(self.stack);
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

fn has_parent_first(text: &str) -> bool {
    text.trim_start_matches('/').starts_with("..")
}

/// Returns a path's part after a directory that it is in.
fn inside<'p>(dir: &str, path: &'p str) -> &'p str {
    let inner = path.get(dir.len()..).unwrap_or_default();
    inner.trim_start_matches('/')
}

/// Returns whether Terraform loads the file as code of the module in this directory.
fn is_code(dir: &str, file: &CommitFile<'_>) -> bool {
    let name = inside(dir, file.path);
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
