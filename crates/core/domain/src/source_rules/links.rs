//! The rules for symbolic links.

use super::TARGET_LIMIT;
use super::problem::{Problem, Rule};
use super::reach::Reach;
use super::tree::{SourceFile, Tree};
use std::collections::BTreeSet;

/// Finds symbolic links that do not lead to a file or directory of the repository.
pub(super) fn check(tree: &Tree<'_>, reach: &Reach<'_>, problems: &mut Vec<Problem>) {
    let is_read = |file: &&SourceFile<'_>| file.is_link() && reach.contains(&file.path);
    for link in tree.files().filter(is_read) {
        if let Some(found) = fault(tree, link) {
            problems.push(
                Problem::new(Rule::Link, &link.path, found)
                    .expected("a link to a file or directory of the repository, not by way of another link")
                    .fix("replace the link by a copy of its target, or correct the target"),
            );
        }
    }
}

fn fault(tree: &Tree<'_>, link: &SourceFile<'_>) -> Option<String> {
    match end(tree, link) {
        Ok(_) | Err(Fault::Behind) => None,
        Err(Fault::Own(found)) => Some(found),
    }
}

/// Returns the path of the file or directory that a link leads to in the end, or none if the link,
/// or one behind it, has a problem.
pub(super) fn target(tree: &Tree<'_>, link: &SourceFile<'_>) -> Option<String> {
    end(tree, link).ok()
}

enum Fault {
    /// What is wrong with the link, phrased to follow its path.
    Own(String),
    /// A link behind this one has a problem.
    Behind,
}

fn end(tree: &Tree<'_>, link: &SourceFile<'_>) -> Result<String, Fault> {
    let mut passed = BTreeSet::new();
    let mut here = link;
    loop {
        let next = match follow(tree, here) {
            Ok(next) => next,
            Err(found) if passed.is_empty() => return Err(Fault::Own(found)),
            Err(_) => return Err(Fault::Behind),
        };
        if !passed.insert(&here.path) {
            let found = "is a symbolic link that leads back to itself";
            return Err(Fault::Own(found.to_owned()));
        }
        match tree.file(&next) {
            Some(file) if file.is_link() => here = file,
            _ => return Ok(next),
        }
    }
}

/// Returns the path that a link leads to.
///
/// # Errors
/// Returns why it leads nowhere, phrased to follow the link's path.
fn follow(tree: &Tree<'_>, link: &SourceFile<'_>) -> Result<String, String> {
    let refuse = |why: &str| Err(format!("is a symbolic link {why}"));
    let bytes = link.text().unwrap_or_default();
    let Ok(target) = std::str::from_utf8(bytes) else {
        return refuse("whose target is not UTF-8");
    };
    if target.is_empty() || target.chars().any(char::is_control) || target.contains('\\') {
        return refuse("whose target is not a plain path");
    }
    if link.size > TARGET_LIMIT {
        return refuse(&format!("whose target has more than {TARGET_LIMIT} bytes"));
    }
    if target.starts_with('/') {
        return refuse("to an absolute path");
    }
    // A target is relative to the link's own directory.
    let mut place: Vec<&str> = link.path.split('/').collect();
    place.pop();
    for (index, part) in target.split('/').enumerate() {
        let so_far = place.join("/");
        // The rest of the target would be relative to where that link leads.
        if tree.file(&so_far).is_some_and(SourceFile::is_link) {
            return refuse(&format!("by way of another link, {so_far:?}"));
        }
        if index > 0 && !tree.is_directory(&so_far) {
            return refuse(&format!("by way of {so_far:?}, which is not a directory"));
        }
        match part {
            "" | "." => {}
            ".." => {
                if place.pop().is_none() {
                    return refuse("that leaves the repository");
                }
            }
            part => place.push(part),
        }
    }
    let path = place.join("/");
    if tree.file(&path).is_some() || tree.is_directory(&path) {
        Ok(path)
    } else {
        refuse(&format!("to {path:?}, which does not exist"))
    }
}
