//! Rules for the source tree: what every folder and file must have.

use crate::crates::crate_dirs;
use crate::{after, text};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Directories that tools create.
const MADE: &[&str] = &[
    "target",
    ".git",
    ".sluicegate",
    ".terraform",
    "__pycache__",
    ".venv",
    ".ruff_cache",
    ".pytest_cache",
];

/// Returns every file of the project, relative to the root.
pub(crate) fn files() -> Vec<String> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !MADE.contains(&name) {
                    walk(&path, found);
                }
            } else {
                found.push(path);
            }
        }
    }
    let root = tests::root();
    let mut found = Vec::new();
    walk(&root, &mut found);
    let mut paths: Vec<String> = found
        .iter()
        .map(|path| {
            path.strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    paths.sort();
    paths
}

#[test]
fn no_file_is_longer_than_a_reader_takes_in() {
    let written = ["rs", "py", "tf", "hcl", "sh", "md", "yml", "yaml"];
    for path in files() {
        if written.iter().any(|ext| path.ends_with(&format!(".{ext}"))) {
            let lines = text(&path).lines().count();
            assert!(lines <= 600, "{path} has {lines} lines: split it");
        }
    }
}

#[test]
fn every_crate_and_folder_says_what_it_is_and_what_was_decided() {
    let root = tests::root();
    let mut folders: Vec<PathBuf> = ["crates", "statemachine", "terraform", "tests"]
        .map(|folder| root.join(folder))
        .into();
    let crates = std::fs::read_dir(root.join("crates")).unwrap();
    folders.extend(
        crates
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir()),
    );
    folders.extend(crate_dirs());
    folders.push(root.join("crates/local/launcher"));
    folders.push(root.join("tests/story"));
    let mut missing = BTreeSet::new();
    for folder in folders {
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        let last = readme.lines().rfind(|line| line.starts_with("## "));
        if last != Some("## Decisions") {
            missing.insert(folder);
        }
    }
    assert!(
        missing.is_empty(),
        "README.md is missing, or does not end with a section `## Decisions`: {missing:?}"
    );
}

#[test]
fn a_crates_readme_is_its_documentation() {
    for dir in crate_dirs() {
        let lib = dir.join("src/lib.rs");
        if let Ok(source) = std::fs::read_to_string(&lib) {
            assert!(
                source.starts_with("#![doc = include_str!(\"../README.md\")]"),
                "{}",
                lib.display()
            );
        }
    }
}

/// Returns the paths in backticks of a text, without those of new files, which contain `<name>`.
fn paths(text: &str) -> BTreeSet<&str> {
    let endings = [".rs", ".tf", ".toml", ".json", ".md", ".yml", ".hcl"];
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|path| endings.iter().any(|ending| path.ends_with(ending)))
        .filter(|path| path.contains('/') && !path.contains('<'))
        .collect()
}

/// Each list of crates/README.md names existing files, and not more than it promises.
#[test]
fn what_a_new_part_touches_exists_and_is_little() {
    let readme = text("crates/README.md");
    let (_, lists) = readme.split_once("\n## How to add ...\n").unwrap();
    let (lists, _) = lists.split_once("\n## ").unwrap();
    let lists: Vec<(&str, &str)> = lists
        .split("\n**")
        .skip(1)
        .map(|list| list.split_once("**").unwrap())
        .collect();
    assert!(lists.len() >= 6, "{lists:?}");
    for (part, list) in lists {
        let paths = paths(list);
        for path in &paths {
            let full = tests::root().join("crates").join(path);
            assert!(full.exists(), "{part}: {path} does not exist");
        }
        let most = if part == "A step" { 5 } else { 10 };
        let count = paths.len();
        assert!(
            (1..=most).contains(&count),
            "{part} touches {count} files: {paths:?}"
        );
    }
}

#[test]
fn every_link_between_files_leads_to_one() {
    let mut broken = BTreeSet::new();
    for path in files().iter().filter(|path| path.ends_with(".md")) {
        let text = text(path);
        let dir = tests::root().join(path).parent().unwrap().to_owned();
        for link in after(&text, "](", |c| !")#".contains(c)) {
            let elsewhere = link.contains("://") || link.contains("::");
            if !elsewhere && !dir.join(link).exists() {
                broken.insert(format!("{path}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A test file that no test runner includes would never run.
#[test]
fn every_test_file_is_in_its_runner() {
    let manifest = text("tests/Cargo.toml");
    for path in files() {
        let Some(rest) = path.strip_prefix("tests/") else {
            continue;
        };
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            ["launcher", file] if file.ends_with(".py") => {
                let is_helper = !file.starts_with("test_");
                assert!(
                    !is_helper || !text(&path).contains("def test_"),
                    "{path}: pytest looks at files named test_* only"
                );
            }
            ["src", ..] | ["story", ..] => {}
            [suite, "main.rs"] => {
                assert!(
                    manifest.contains(&format!("path = \"{suite}/main.rs\"")),
                    "{path}"
                );
            }
            [suite, file] if file.ends_with(".rs") => {
                let module = file.trim_end_matches(".rs");
                let main = text(&format!("tests/{suite}/main.rs"));
                assert!(main.contains(&format!("mod {module};")), "{path}");
            }
            _ => {}
        }
    }
    for path in files()
        .iter()
        .filter(|path| path.starts_with("crates/") && path.ends_with("tests.rs"))
    {
        let dir = Path::new(path).parent().unwrap();
        let module = Path::new(path)
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let declared = std::fs::read_dir(tests::root().join(dir))
            .unwrap()
            .any(|entry| {
                let source = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
                source.contains(&format!("mod {module};"))
                    || source.contains(&format!("{module}.rs\"]"))
            });
        let parent = dir.with_extension("rs");
        let parent = std::fs::read_to_string(tests::root().join(parent)).unwrap_or_default();
        assert!(
            declared || parent.contains(&format!("mod {module};")),
            "{path}"
        );
    }
}

/// The path of this checkout has no meaning on another machine.
#[test]
fn no_file_names_a_place_of_one_machine() {
    let place = tests::root().display().to_string();
    if place.matches('/').count() < 2 {
        // A system directory, whose name may appear in any file.
        return;
    }
    for path in files() {
        let Ok(text) = std::fs::read_to_string(tests::root().join(&path)) else {
            continue;
        };
        // As part of a longer path it is a different path.
        let found = text.match_indices(&place).any(|(at, _)| {
            !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '}')
        });
        assert!(!found, "{path} names {place}");
    }
}
