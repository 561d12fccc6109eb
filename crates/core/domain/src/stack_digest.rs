//! The digest of everything that decides a stack's plan: if two commits have the same digest and
//! the stack gets the same inputs, Terraform has nothing to do that it did not do before.
//!
//! The digest covers the files of the stack's directory and of the local modules that it uses, the
//! paths outside them that its code names, the paths that `when_changed` adds, the stack's part of
//! the configuration, and the ids that reach Terraform. If the files that a stack reads cannot be
//! known, the digest covers every file of the commit. If not even the commit decides what is read,
//! as with a module from a registry or from another repository, the stack has no digest and is
//! planned in every run.
//!
//! The digest does not cover the world: what data sources read, and resources that someone changed.

mod files;
mod reads;

pub use files::{CommitFile, SourceTree};
pub(crate) use files::{Reached, reach, reach_of_directory};

use crate::config::Stack;
use crate::event::EventRepository;
use crate::ids::{EnvironmentName, Sha256Digest};
use crate::job::JOB_SCHEMA;
use crate::source_rules::FileKind;
use files::Selection;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The version of the digest's format. A change makes every stack plan once.
const FORMAT: &[u8] = b"sluicegate stack digest 1";

/// The digest of everything in a commit that decides a stack's plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StackDigest(Sha256Digest);

/// Where a stack is delivered. All of it reaches Terraform: as a variable, in the default tags, or in
/// the state's key.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The repository.
    pub repository: &'a EventRepository,
    /// The environment.
    pub environment: &'a EnvironmentName,
}

/// The files that a stack's digest covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// The stack's directory, its modules, and the paths that its code or `when_changed` names.
    Files,
    /// Every file of the commit.
    WholeTree(Reason),
    /// The commit does not decide what is read, so there is no digest.
    Unknown(Reason),
}

/// Why the files that a stack reads are not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// The file, or the directory, that has the cause.
    pub path: String,
    /// What it does, phrased to follow the path in a sentence.
    pub cause: &'static str,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The debug form escapes a line end in the path.
        write!(f, "{:?} {}", self.path, self.cause)
    }
}

/// Returns the digest of a stack, or none if the commit does not decide what the stack reads, and
/// what the digest covers.
#[must_use]
pub fn digest(
    tree: &SourceTree<'_>,
    stack: &Stack,
    destination: Destination<'_>,
) -> (Option<StackDigest>, Coverage) {
    let Selection { files, coverage } = files::select(tree, stack);
    let digest = match &coverage {
        Coverage::Files => of(stack, destination, |hash| {
            hash.part(b"files");
            for file in &files {
                hash.file(file);
            }
        }),
        Coverage::WholeTree(_) => of(stack, destination, |hash| {
            hash.part(b"tree");
            hash.part(&tree.digest());
        }),
        Coverage::Unknown(_) => None,
    };
    (digest, coverage)
}

fn of(
    stack: &Stack,
    destination: Destination<'_>,
    files: impl FnOnce(&mut Hash),
) -> Option<StackDigest> {
    let mut hash = Hash(Sha256::new());
    hash.part(FORMAT);
    hash.part(&JOB_SCHEMA.to_be_bytes());
    hash.part(destination.repository.key.to_string().as_bytes());
    hash.part(destination.repository.full_name.as_str().as_bytes());
    hash.part(destination.environment.as_str().as_bytes());
    // All of it, so that a later key is covered too.
    hash.part(&serde_json::to_vec(stack).ok()?);
    files(&mut hash);
    let digest = Sha256Digest::parse(&hex::encode(hash.0.finalize())).ok()?;
    Some(StackDigest(digest))
}

/// A hash of parts, each preceded by its length, so that no two lists of parts are alike.
struct Hash(Sha256);

impl Hash {
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn file(&mut self, file: &CommitFile<'_>) {
        self.part(file.path.as_bytes());
        self.part(match file.kind {
            FileKind::File => b"file",
            FileKind::Executable => b"executable",
            FileKind::Symlink => b"symlink",
            FileKind::Submodule => b"submodule",
        });
        self.part(file.bytes);
    }
}

#[cfg(test)]
mod tests;
