//! The delivered repositories in `examples/`.

use domain::config;
use domain::event::EventRepository;
use domain::ids::{RepositoryKey, RepositoryName};
use domain::source_rules::FileKind;
use domain::stack_digest::{CommitFile, Coverage, Destination, SourceTree, digest};
use std::path::Path;

/// Reads the files below a directory, with their paths from `root`.
fn read(root: &Path, dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if !path.is_dir() {
            found.push((name, std::fs::read(&path).unwrap()));
        } else if !path.ends_with("target") && !path.ends_with(".terraform") {
            read(root, &path, found);
        }
    }
}

/// A commit that changes only the application starts no Terraform job: what the stacks read is known.
#[test]
fn the_stacks_of_the_examples_depend_on_their_own_files_only() {
    for name in ["shop", "fixture"] {
        let root = tests::root().join("examples").join(name);
        let mut files = Vec::new();
        read(&root, &root, &mut files);
        let tree = SourceTree::new(files.iter().map(|(path, bytes)| CommitFile {
            path,
            kind: FileKind::File,
            bytes,
        }));
        let config = std::fs::read(root.join(config::CONFIG_FILE)).unwrap();
        let config = config::parse(&config).unwrap();
        let repository = EventRepository {
            key: RepositoryKey::github(1),
            full_name: RepositoryName::parse("acme/shop").unwrap(),
        };
        let destination = Destination {
            repository: &repository,
            environment: &config.environment,
        };
        for stack in &config.stacks {
            let (digest, coverage) = digest(&tree, stack, destination);
            assert!(digest.is_some());
            assert_eq!(coverage, Coverage::Files, "{name}, stack {}", stack.name);
        }
    }
}
