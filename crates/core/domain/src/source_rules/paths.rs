//! The rules for paths, and for the number and sizes of files.

use super::problem::{Problem, Rule, argument};
use super::tree::SourceFile;
use super::{ENTRY_LIMIT, FILE_LIMIT, OVERRIDE_FILE, PATH_LIMIT, TOTAL_LIMIT, VARIABLES_FILE};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(files: &[SourceFile], problems: &mut Vec<Problem>) {
    for file in files {
        if let Some(found) = fault(&file.path) {
            problems.push(
                Problem::new(Rule::Path, &file.path, found)
                    .expected(format!(
                        "a path of at most {PATH_LIMIT} bytes in UTF-8, without control characters, backslashes, `.`, `..` or `.git`"
                    ))
                    .fix("rename the file or its directory"),
            );
        }
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
    sizes(files, problems);
}

/// Returns what makes a path one that another system, or an unpacking program, interprets differently. Phrased to follow the path.
#[must_use]
pub fn fault(path: &str) -> Option<String> {
    if path.len() > PATH_LIMIT {
        Some(format!("has {} bytes", path.len()))
    } else if path.contains('\u{fffd}') {
        Some("has a character that is not UTF-8".to_owned())
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
    [OVERRIDE_FILE, VARIABLES_FILE]
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// Finds paths that differ only in case, that occur twice, and that are both a file and a directory.
fn collisions(files: &[SourceFile], problems: &mut Vec<Problem>) {
    let mut spelt: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut directories: BTreeSet<&str> = BTreeSet::new();
    let problem = |path: &str, found: String| {
        Problem::new(Rule::Path, path, found)
            .expected("one file or directory at each path, in every file system")
            .fix("rename one of the two")
    };
    for file in files {
        let path = file.path.as_str();
        if !seen.insert(path) {
            problems.push(problem(path, "occurs twice".to_owned()));
        }
        let ends = path.match_indices('/').map(|(end, _)| end);
        for end in ends.chain([path.len()]) {
            let Some(head) = path.get(..end) else {
                continue;
            };
            if end < path.len() {
                directories.insert(head);
            }
            spelt.entry(head.to_lowercase()).or_default().insert(head);
        }
    }
    for spellings in spelt.values() {
        let mut spellings = spellings.iter();
        let first = spellings.next().copied().unwrap_or_default();
        for other in spellings {
            problems.push(problem(
                other,
                format!("differs from {first:?} only in case"),
            ));
        }
    }
    for path in seen.intersection(&directories) {
        problems.push(problem(path, "is a file and a directory".to_owned()));
    }
}

fn sizes(files: &[SourceFile], problems: &mut Vec<Problem>) {
    let mebibytes = |bytes: u64| bytes / 1024 / 1024;
    for file in files.iter().filter(|file| file.size > FILE_LIMIT) {
        problems.push(
            Problem::new(Rule::Size, &file.path, format!("has {} bytes", file.size))
                .expected(format!("at most {} MiB", mebibytes(FILE_LIMIT)))
                .fix(format!(
                    "store the file elsewhere, and remove it with `git rm --cached {}`",
                    argument(&file.path)
                )),
        );
    }
    let total = files
        .iter()
        .fold(0_u64, |sum, file| sum.saturating_add(file.size));
    if total > TOTAL_LIMIT {
        problems.push(
            Problem::new(Rule::Size, ".", format!("has {total} bytes of files"))
                .expected(format!("at most {} MiB", mebibytes(TOTAL_LIMIT)))
                .fix("store large files elsewhere, and remove them with `git rm --cached`"),
        );
    }
    let directories: BTreeSet<&str> = files
        .iter()
        .flat_map(|file| {
            let ends = file.path.match_indices('/');
            ends.filter_map(|(end, _)| file.path.get(..end))
        })
        .collect();
    let entries = files.len() + directories.len();
    if entries > ENTRY_LIMIT {
        problems.push(
            Problem::new(
                Rule::Size,
                ".",
                format!("has {entries} files and directories"),
            )
            .expected(format!("at most {ENTRY_LIMIT}"))
            .fix("keep generated files and dependencies out of git: add them to .gitignore, and remove them with `git rm -r --cached`"),
        );
    }
}
