//! The files that the sealed archive leaves out.
//!
//! The archive holds every file that a program can unpack. A file that none can is left out if no stack and no build reads it;
//! otherwise it is a problem. If the archive would be too large, it holds only what a stack or the build reads.

use super::reach::Reach;
use super::tree::{SourceFile, Tree};
use super::{ENTRY_LIMIT, FILE_LIMIT, TOTAL_LIMIT, links, paths};
use std::collections::BTreeSet;
use std::fmt;

/// The most times that links are looked for whose targets were left out.
const ROUNDS: usize = 20;

/// Files that are left out of the sealed archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The paths.
    pub paths: BTreeSet<String>,
    /// Whether the limits of the archive are the cause for some of them.
    pub is_too_large: bool,
}

impl LeftOut {
    pub(super) fn of(tree: &Tree<'_>, reach: &Reach<'_>) -> Self {
        let (mut kept, mut left): (Vec<&SourceFile<'_>>, Vec<&SourceFile<'_>>) =
            tree.files().partition(|file| {
                reach.contains(&file.path)
                    || (paths::fault(&file.path).is_none() && file.size <= FILE_LIMIT)
            });
        let is_too_large = reach.more.is_none() && !fits(&kept);
        if is_too_large {
            let (read, rest) = kept
                .into_iter()
                .partition(|file| reach.contains(&file.path));
            kept = read;
            left.extend::<Vec<_>>(rest);
        }
        // A link whose target is left out leads nowhere. In the last round, every link that nothing reads is left out.
        for round in 0..=ROUNDS {
            let rest = Tree::of(kept.iter().copied());
            let (good, bad): (Vec<_>, Vec<_>) = kept.iter().copied().partition(|file| {
                !file.is_link()
                    || reach.contains(&file.path)
                    || (round < ROUNDS && links::target(&rest, file).is_some())
            });
            if bad.is_empty() {
                break;
            }
            kept = good;
            left.extend(bad);
        }
        Self {
            paths: left.iter().map(|file| file.path.clone()).collect(),
            is_too_large,
        }
    }
}

fn fits(files: &[&SourceFile<'_>]) -> bool {
    let sizes = files.iter().map(|file| file.size);
    let total = sizes.fold(0_u64, u64::saturating_add);
    let paths = files.iter().map(|file| file.path.as_str());
    paths::entries(paths) <= ENTRY_LIMIT && total <= TOTAL_LIMIT
}

/// Says what is left out, in one line.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut paths = self.paths.iter();
        let Some(first) = paths.next() else {
            return f.write_str("no file is left out");
        };
        write!(f, "{first:?}")?;
        match paths.len() {
            0 => f.write_str(" is")?,
            1 => f.write_str(" and 1 more file are")?,
            more => write!(f, " and {more} more files are")?,
        }
        f.write_str(" not delivered: no stack and no build reads ")?;
        f.write_str(if self.paths.len() == 1 {
            "it, and "
        } else {
            "them, and "
        })?;
        f.write_str(if self.is_too_large {
            "the repository is larger than the limits"
        } else {
            "the path, the size or the link is not one that can be delivered"
        })
    }
}
