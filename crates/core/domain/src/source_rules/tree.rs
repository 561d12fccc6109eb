//! A source tree as the rules read it.

use super::{CONFIG_FILE, LFS_POINTER, hcl};
use crate::plan_file;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// An executable file.
    Executable,
    /// A symbolic link.
    Symlink,
    /// A submodule. Its content is not fetched.
    Submodule,
}

/// The largest file, in bytes, in which names of other files are looked for.
const TEXT_LIMIT: usize = 1024 * 1024;

/// A file of a tree: its path and kind, and what the rules need of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile<'a> {
    pub(super) path: String,
    pub(super) kind: FileKind,
    pub(super) size: u64,
    content: Content<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content<'a> {
    /// No rule reads it.
    Other,
    Plan,
    LfsPointer,
    /// The configuration, a Terraform file, the target of a link, or another text.
    Kept(Cow<'a, [u8]>),
}

impl<'a> SourceFile<'a> {
    /// Describes a file. `path` is relative to the root, with `/` as the separator. `bytes` is the whole content; for a symbolic
    /// link, its target; for a submodule, nothing. Keeps only the content that a rule reads later.
    #[must_use]
    pub fn new(path: impl Into<String>, kind: FileKind, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        let (path, bytes) = (path.into(), bytes.into());
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let name = path.rsplit('/').next().unwrap_or_default();
        let content = match kind {
            FileKind::Symlink => Content::Kept(bytes),
            FileKind::Submodule => Content::Other,
            FileKind::File | FileKind::Executable => {
                if bytes.starts_with(LFS_POINTER) {
                    Content::LfsPointer
                } else if plan_file::is_content(&bytes) {
                    Content::Plan
                } else if path == CONFIG_FILE
                    || hcl::is_terraform(name)
                    || (bytes.len() <= TEXT_LIMIT && std::str::from_utf8(&bytes).is_ok())
                {
                    Content::Kept(bytes)
                } else {
                    Content::Other
                }
            }
        };
        Self {
            size,
            path,
            kind,
            content,
        }
    }

    /// Describes a file whose content was not read: it is larger than [`super::FILE_LIMIT`], or nothing reads it.
    #[must_use]
    pub fn unread(path: impl Into<String>, kind: FileKind, size: u64) -> Self {
        Self {
            path: path.into(),
            kind,
            size,
            content: Content::Other,
        }
    }

    pub(super) fn is_regular(&self) -> bool {
        matches!(self.kind, FileKind::File | FileKind::Executable)
    }

    pub(super) fn is_link(&self) -> bool {
        self.kind == FileKind::Symlink
    }

    pub(super) fn is_plan(&self) -> bool {
        self.content == Content::Plan
    }

    pub(super) fn is_lfs_pointer(&self) -> bool {
        self.content == Content::LfsPointer
    }

    /// Returns the content, if it was kept.
    pub(super) fn text(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Kept(bytes) => Some(bytes),
            Content::LfsPointer => Some(LFS_POINTER),
            Content::Other | Content::Plan => None,
        }
    }
}

/// The files of a tree by path.
pub(super) struct Tree<'a> {
    files: BTreeMap<&'a str, &'a SourceFile<'a>>,
}

/// What a path refers to.
pub(super) enum Standing {
    Nothing,
    File,
    Directory,
    Submodule,
    /// The path itself, or a part of it, is a symbolic link; holds the path of the link.
    Link(String),
}

impl<'a> Tree<'a> {
    pub(super) fn new(files: &'a [SourceFile<'a>]) -> Self {
        Self::of(files)
    }

    pub(super) fn of(files: impl IntoIterator<Item = &'a SourceFile<'a>>) -> Self {
        let mut by_path: BTreeMap<&str, &SourceFile<'_>> = BTreeMap::new();
        for file in files {
            by_path.entry(&file.path).or_insert(file);
        }
        Self { files: by_path }
    }

    /// Returns every file, by path.
    pub(super) fn files(&self) -> impl Iterator<Item = &'a SourceFile<'a>> {
        self.files.values().copied()
    }

    pub(super) fn file(&self, path: &str) -> Option<&'a SourceFile<'a>> {
        self.files.get(path).copied()
    }

    /// Returns the files below a directory; for the root, all files.
    pub(super) fn below(&self, directory: &str) -> impl Iterator<Item = &'a SourceFile<'a>> {
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        let from: (Bound<&str>, Bound<&str>) = (Bound::Included(&prefix), Bound::Unbounded);
        self.files
            .range::<str, _>(from)
            .map(|(_, file)| *file)
            .take_while(move |file| file.path.starts_with(&prefix))
    }

    /// Returns the files directly in a directory, with their names.
    pub(super) fn directly_in(
        &self,
        directory: &str,
    ) -> impl Iterator<Item = (&'a str, &'a SourceFile<'a>)> {
        let skipped = if directory.is_empty() {
            0
        } else {
            directory.len() + 1
        };
        self.below(directory)
            .filter_map(move |file| Some((file.path.get(skipped..)?, file)))
            .filter(|(name, _)| !name.contains('/'))
    }

    /// Returns whether the path is a directory without a link on the way. A submodule is an empty directory.
    pub(super) fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || matches!(self.at(path), Standing::Directory | Standing::Submodule)
    }

    pub(super) fn at(&self, path: &str) -> Standing {
        let mut so_far = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            match self.file(&so_far).map(|file| file.kind) {
                Some(FileKind::Symlink) => return Standing::Link(so_far),
                Some(_) if so_far != path => return Standing::Nothing,
                Some(FileKind::Submodule) => return Standing::Submodule,
                Some(FileKind::File | FileKind::Executable) => return Standing::File,
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
