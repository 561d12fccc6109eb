//! The rules for paths, and for the number and sizes of files.

use super::problem::{Problem, Rule};
use super::tree::SourceFile;
use super::{
    ENTRY_LIMIT, FILE_LIMIT, MARKS_FILE, OVERRIDE_FILE, PATH_LIMIT, ROLLBACK_FILE, TOTAL_LIMIT,
    VARIABLES_FILE,
};
use crate::text::argument;
use std::collections::BTreeSet;

pub(super) fn check(files: &[SourceFile], problems: &mut Vec<Problem>) {
    for file in files {
        problems.extend(fault(&file.path).map(|found| refused_path(&file.path, found)));
        if let Some(name) = file.path.split('/').find(|part| is_reserved(part)) {
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
    let directories: BTreeSet<&str> = files.iter().flat_map(|file| above(&file.path)).collect();
    let sizes = files.iter().map(|file| (file.path.as_str(), file.size));
    problems.extend(check_sizes(files.len() + directories.len(), sizes));
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
    } else if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("leaves the repository".to_owned())
    } else if path
        .split('/')
        .any(|part| part.eq_ignore_ascii_case(".git"))
    {
        Some("has git's own name".to_owned())
    } else {
        None
    }
}

/// Returns whether the runner generates a file of this name.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    [OVERRIDE_FILE, MARKS_FILE, VARIABLES_FILE, ROLLBACK_FILE]
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// Finds paths that occur twice, and that are both a file and a directory.
fn collisions(files: &[SourceFile], problems: &mut Vec<Problem>) {
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

/// Returns the problems of a tree that is too large. `entries` is its number of files and
/// directories. `files` are its paths and sizes in bytes.
#[must_use]
pub fn check_sizes<'a>(
    entries: usize,
    files: impl IntoIterator<Item = (&'a str, u64)>,
) -> Vec<Problem> {
    let mebibytes = |bytes: u64| bytes / 1024 / 1024;
    let mut problems = Vec::new();
    let mut total = 0_u64;
    for (path, size) in files {
        total = total.saturating_add(size);
        if size > FILE_LIMIT {
            problems.push(
                Problem::new(Rule::Size, path, format!("has {size} bytes"))
                    .expected(format!("at most {} MiB", mebibytes(FILE_LIMIT)))
                    .fix(format!(
                        "store the file elsewhere, and remove it with `git rm --cached {}`",
                        argument(path)
                    )),
            );
        }
    }
    if total > TOTAL_LIMIT {
        problems.push(
            Problem::new(Rule::Size, ".", format!("has {total} bytes of files"))
                .expected(format!("at most {} MiB", mebibytes(TOTAL_LIMIT)))
                .fix("store large files elsewhere, and remove them with `git rm --cached`"),
        );
    }
    if entries > ENTRY_LIMIT {
        problems.push(
            Problem::new(
                Rule::Size,
                ".",
                // A reader may stop at the limit, and all readers say the same.
                format!("has more than {ENTRY_LIMIT} files and directories"),
            )
            .expected(format!("at most {ENTRY_LIMIT}"))
            .fix("keep generated files and dependencies out of git: add them to .gitignore, and remove them with `git rm -r --cached`"),
        );
    }
    problems
}
