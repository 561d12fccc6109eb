//! The rules for paths, and for the number and sizes of files.

use super::problem::{Problem, Rule};
use super::reach::Reach;
use super::tree::SourceFile;
use super::{
    ENTRY_LIMIT, FILE_LIMIT, MARKS_FILE, OVERRIDE_FILE, PATH_LIMIT, ROLLBACK_FILE, TOTAL_LIMIT,
    TREE_LIMIT, VARIABLES_FILE,
};
use crate::text::argument;
use std::collections::BTreeSet;

pub(super) fn check(files: &[SourceFile<'_>], reach: &Reach<'_>, problems: &mut Vec<Problem>) {
    for file in files {
        // A path that only a crafted commit has is refused wherever it is.
        let fault =
            fault(&file.path).filter(|_| reach.contains(&file.path) || is_crafted(&file.path));
        problems.extend(fault.map(|found| refused_path(&file.path, found)));
        let reserved = file.path.split('/').find(|part| is_reserved(part));
        if let Some(name) = reserved.filter(|_| reach.contains(&file.path)) {
            problems.push(
                Problem::new(
                    Rule::ReservedName,
                    &file.path,
                    format!("has the name {name:?}, which the pipeline generates"),
                )
                .expected("another name")
                .fix(format!(
                    "remove it with `git rm --cached {}`, or rename it",
                    argument(&file.path)
                )),
            );
        }
    }
    collisions(files, problems);
    problems.extend(check_tree(entries(
        files.iter().map(|file| file.path.as_str()),
    )));
    check_sizes(files, reach, problems);
}

/// Returns the number of files and directories.
pub(super) fn entries<'p>(paths: impl Iterator<Item = &'p str> + Clone) -> usize {
    let directories: BTreeSet<&str> = paths.clone().flat_map(above).collect();
    paths.count() + directories.len()
}

/// Returns the problem of a path. `found` follows the path in a sentence.
#[must_use]
pub fn refused_path(path: &str, found: impl Into<String>) -> Problem {
    Problem::new(Rule::Path, path, found)
        .expected(format!(
            "a path of at most {PATH_LIMIT} bytes in UTF-8, without control characters, backslashes, `.`, `..` or `.git`"
        ))
        .fix("rename the file or its directory")
}

/// Returns the paths of the directories that a file is in.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/');
    ends.filter_map(|(end, _)| path.get(..end))
}

/// Returns what makes a path one that another system, or an unpacking program, interprets differently. Phrased to follow the path.
#[must_use]
pub fn fault(path: &str) -> Option<String> {
    if path.len() > PATH_LIMIT {
        Some(format!("has {} bytes", path.len()))
    } else if path.contains('\u{fffd}') {
        Some("has a character that is not UTF-8, or U+FFFD".to_owned())
    } else if path.chars().any(char::is_control) {
        Some("has a control character".to_owned())
    } else if path.contains('\\') {
        Some("has a backslash".to_owned())
    } else if has_part(path, |part| matches!(part, "" | "." | "..")) {
        Some("leaves the repository".to_owned())
    } else if has_part(path, is_git) {
        Some("has git's own name".to_owned())
    } else {
        None
    }
}

fn has_part(path: &str, is_it: impl Fn(&str) -> bool) -> bool {
    path.split('/').any(is_it)
}

fn is_git(part: &str) -> bool {
    part.eq_ignore_ascii_case(".git")
}

/// Returns whether git itself would never have written the path.
fn is_crafted(path: &str) -> bool {
    has_part(path, |part| matches!(part, "" | "." | "..") || is_git(part))
}

/// Returns whether the runner generates a file of this name.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    [OVERRIDE_FILE, MARKS_FILE, VARIABLES_FILE, ROLLBACK_FILE]
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// Finds paths that occur twice, and that are both a file and a directory.
fn collisions(files: &[SourceFile<'_>], problems: &mut Vec<Problem>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut directories: BTreeSet<&str> = BTreeSet::new();
    let problem = |path: &str, found: &str| {
        Problem::new(Rule::Path, path, found)
            .expected("one file or directory at each path")
            .fix("rename one of the two")
    };
    for file in files {
        if !seen.insert(&file.path) {
            problems.push(problem(&file.path, "occurs twice"));
        }
        directories.extend(above(&file.path));
    }
    for path in seen.intersection(&directories) {
        problems.push(problem(path, "is a file and a directory"));
    }
}

/// Returns the problem of a commit with too many files and directories.
#[must_use]
pub fn check_tree(entries: usize) -> Option<Problem> {
    (entries > TREE_LIMIT).then(|| {
        // A reader may stop at the limit, and all readers say the same.
        let found = format!("has more than {TREE_LIMIT} files and directories");
        too_many(found, &format!("at most {TREE_LIMIT}"))
    })
}

fn too_many(found: String, expected: &str) -> Problem {
    Problem::new(Rule::Size, ".", found)
        .expected(expected)
        .fix("keep generated files and dependencies out of git: add them to .gitignore, and remove them with `git rm -r --cached`")
}

/// Finds what is too large among the files that something reads: all of them, if a stack may read any.
fn check_sizes(files: &[SourceFile<'_>], reach: &Reach<'_>, problems: &mut Vec<Problem>) {
    let mebibytes = |bytes: u64| bytes / 1024 / 1024;
    let is_read = |file: &&SourceFile<'_>| reach.more.is_some() || reach.contains(&file.path);
    let read: Vec<&SourceFile<'_>> = files.iter().filter(is_read).collect();
    let readers = match &reach.more {
        None => "that a stack or the build can read".to_owned(),
        Some((reader, reason)) => format!("that {reader} may read: {reason}"),
    };
    let mut total = 0_u64;
    for file in &read {
        total = total.saturating_add(file.size);
        if file.size > FILE_LIMIT && reach.contains(&file.path) {
            problems.push(
                Problem::new(Rule::Size, &file.path, format!("has {} bytes", file.size))
                    .expected(format!("at most {} MiB", mebibytes(FILE_LIMIT)))
                    .fix(format!(
                        "store the file elsewhere, and remove it with `git rm --cached {}`",
                        argument(&file.path)
                    )),
            );
        }
    }
    if total > TOTAL_LIMIT {
        let found = format!("has {total} bytes of files {readers}");
        problems.push(
            Problem::new(Rule::Size, ".", found)
                .expected(format!("at most {} MiB", mebibytes(TOTAL_LIMIT)))
                .fix("store large files elsewhere, and remove them with `git rm --cached`"),
        );
    }
    if entries(read.iter().map(|file| file.path.as_str())) > ENTRY_LIMIT {
        let found = format!("has more than {ENTRY_LIMIT} files and directories {readers}");
        problems.push(too_many(found, &format!("at most {ENTRY_LIMIT}")));
    }
}
