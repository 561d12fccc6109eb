//! The files that a stack or the build can read.

use super::tree::Tree;
use crate::config::{Build, CONFIG_FILE, Stack};
use crate::stack_digest::{CommitFile, Reached, Reason, SourceTree, reach, reach_of_directory};
use std::collections::BTreeMap;

/// The files that something reads, each with the first that reads it.
pub(super) struct Reach<'a> {
    readers: BTreeMap<&'a str, String>,
    /// A stack that may read any other file too, and the cause.
    pub(super) more: Option<(String, Reason)>,
}

impl<'a> Reach<'a> {
    pub(super) fn of(tree: &Tree<'a>, stacks: &[Stack], build: Option<&Build>) -> Self {
        let source = SourceTree::new(tree.files().map(|file| CommitFile {
            path: &file.path,
            kind: file.kind,
            bytes: file.text().unwrap_or_default(),
        }));
        let mut found = Self {
            readers: BTreeMap::new(),
            more: None,
        };
        for stack in stacks {
            found.add(&format!("stack {}", stack.name), reach(&source, stack));
        }
        if let Some(build) = build {
            found.add("the build", reach_of_directory(&source, &build.context));
        }
        if let Some(file) = tree.file(CONFIG_FILE) {
            found.readers.insert(&file.path, "the pipeline".to_owned());
        }
        found
    }

    fn add(&mut self, reader: &str, reached: Reached<'a>) {
        for path in reached.paths {
            self.readers
                .entry(path)
                .or_insert_with(|| reader.to_owned());
        }
        if self.more.is_none() {
            self.more = reached.more.map(|reason| (reader.to_owned(), reason));
        }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &'a str> {
        self.readers.keys().copied()
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.readers.contains_key(path)
    }

    /// Returns who reads a file.
    pub(super) fn reader(&self, path: &str) -> Option<&str> {
        self.readers.get(path).map(String::as_str)
    }
}
