#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

const STACK: &str = "infra/app";

/// A source with a stack, on disk.
struct Stack {
    root: TempDir,
}

impl Stack {
    fn new() -> Self {
        let stack = Self {
            root: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(stack.dir()).unwrap();
        stack
    }

    /// A stack whose `init` has fetched the module `net`.
    fn fetched() -> Self {
        let stack = Self::new();
        stack.list(&[".", "../modules/x", ".terraform/modules/net/a"]);
        stack.write("net/a/main.tf", "locals {}\n");
        stack
    }

    fn dir(&self) -> std::path::PathBuf {
        self.root.path().join(STACK)
    }

    fn modules(&self) -> std::path::PathBuf {
        self.dir().join(MODULES)
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.modules().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn list(&self, dirs: &[&str]) {
        self.write("modules.json", &list(dirs));
    }

    fn pack(&self) -> Result<Option<Vec<u8>>, Refusal> {
        pack(&self.dir(), STACK, None)
    }

    fn unpack(&self, bytes: &[u8]) -> Result<(), Refusal> {
        unpack(bytes, &self.dir(), STACK, &self.root.path().join("scratch"))
    }
}

fn list(dirs: &[&str]) -> String {
    let modules: Vec<_> = dirs
        .iter()
        .map(|dir| serde_json::json!({"Key": "", "Source": "", "Dir": dir}))
        .collect();
    serde_json::json!({ "Modules": modules }).to_string()
}

/// Returns a zip with these files and links.
fn zip(files: &[(&str, &str)], links: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (path, text) in files {
        zip.start_file(*path, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    for (path, target) in links {
        zip.add_symlink(*path, *target, options).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_stack_that_needs_nothing_from_outside_has_no_archive() {
    let stack = Stack::new();
    assert_eq!(stack.pack().unwrap(), None);
    stack.list(&[".", "../modules/x"]);
    assert_eq!(stack.pack().unwrap(), None);
    fs::write(stack.dir().join(LOCK_FILE), "# locked\n").unwrap();
    assert_eq!(
        pack(&stack.dir(), STACK, Some(b"# locked\n")).unwrap(),
        None
    );
    assert!(stack.pack().unwrap().is_some(), "the lock file is new");
}

#[test]
fn modules_and_lock_file_are_the_same_after_the_archive() {
    let stack = Stack::fetched();
    stack.write("net/run.sh", "#!/bin/sh\n");
    let executable = fs::Permissions::from_mode(0o750);
    fs::set_permissions(stack.modules().join("net/run.sh"), executable).unwrap();
    symlink("a", stack.modules().join("net/link")).unwrap();
    symlink("../link/main.tf", stack.modules().join("net/a/again.tf")).unwrap();
    fs::create_dir(stack.modules().join("net/empty")).unwrap();
    fs::write(stack.dir().join(LOCK_FILE), "# sealed\n").unwrap();
    let packed = stack.pack().unwrap().unwrap();

    let other = Stack::new();
    fs::write(other.dir().join(LOCK_FILE), "# of the source\n").unwrap();
    other.unpack(&packed).unwrap();
    assert!(has_modules(&other.dir()));
    let read = |path: &str| fs::read_to_string(other.dir().join(path)).unwrap();
    assert_eq!(read(LOCK_FILE), "# sealed\n");
    assert_eq!(read(".terraform/modules/net/a/again.tf"), "locals {}\n");
    assert!(other.modules().join("net/empty").is_dir());
    let mode = fs::metadata(other.modules().join("net/run.sh")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o755);
    assert!(!other.root.path().join("scratch").exists());
    assert_eq!(other.pack().unwrap(), Some(packed), "the same bytes");
}

#[test]
fn what_git_keeps_and_what_leads_nowhere_is_left_out() {
    let stack = Stack::fetched();
    let plain = stack.pack().unwrap();
    stack.write("net/.git/config", "[core]\n");
    stack.write("net/.git/logs", "now\n");
    symlink("nowhere", stack.modules().join("net/broken")).unwrap();
    symlink(".git/config", stack.modules().join("net/config")).unwrap();
    assert_eq!(stack.pack().unwrap(), plain);
}

#[test]
fn a_module_that_leads_outside_is_not_sealed() {
    let stack = Stack::fetched();
    fs::write(stack.root.path().join("secret"), "").unwrap();
    for target in ["../../../../../secret", "/etc/passwd"] {
        symlink(target, stack.modules().join("net/link")).unwrap();
        let refused = stack.pack().unwrap_err().to_string();
        assert!(refused.contains("is a symbolic link to"), "{refused}");
        fs::remove_file(stack.modules().join("net/link")).unwrap();
    }
    // Terraform links a module with an absolute path.
    symlink("/etc", stack.modules().join("absolute")).unwrap();
    assert!(stack.pack().is_err());
    fs::remove_file(stack.modules().join("absolute")).unwrap();
    stack.write("net/a\\b", "");
    assert!(stack.pack().unwrap_err().to_string().contains("backslash"));
}

#[test]
fn a_list_of_modules_that_leaves_the_source_is_refused() {
    for dir in ["/etc", "../../..", "x/../../../..", "../../../source/x"] {
        let stack = Stack::fetched();
        stack.list(&[".", ".terraform/modules/net", dir]);
        let refused = stack.pack().unwrap_err().to_string();
        assert!(refused.contains("it lists the directory"), "{refused}");
        let archive = zip(&[(MANIFEST, &list(&[dir]))], &[]);
        assert!(Stack::new().unpack(&archive).is_err(), "{dir}");
    }
    assert!(Stack::new().unpack(&zip(&[(MANIFEST, "{")], &[])).is_err());
}

#[test]
fn an_archive_that_leaves_its_directory_is_refused() {
    let good = list(&["."]);
    for (files, links) in [
        (vec![("../x", "")], vec![]),
        (vec![("/etc/x", "")], vec![]),
        (vec![(".terraform/modules/net/.git/hooks/x", "")], vec![]),
        (vec![("a\\b", "")], vec![]),
        (vec![], vec![(".terraform/modules/x", "/etc")]),
        (vec![], vec![(".terraform/modules/x", "../../../x")]),
        (
            vec![(".terraform/x/y", "")],
            vec![(".terraform/x", "modules")],
        ),
    ] {
        let files: Vec<_> = files
            .into_iter()
            .chain([(MANIFEST, good.as_str())])
            .collect();
        let stack = Stack::new();
        let refused = stack.unpack(&zip(&files, &links));
        assert!(refused.is_err(), "{files:?} {links:?}");
        assert!(!has_modules(&stack.dir()));
    }
    assert!(Stack::new().unpack(b"no zip").is_err());
}

#[test]
fn only_modules_and_the_lock_file_reach_the_stack() {
    let stack = Stack::new();
    let files = [
        ("main.tf", "# not of the commit\n"),
        (".terraform/providers/x", "# a program\n"),
        (MANIFEST, &list(&["."])),
    ];
    stack.unpack(&zip(&files, &[])).unwrap();
    assert!(has_modules(&stack.dir()));
    assert!(!stack.dir().join("main.tf").exists());
    assert!(!stack.dir().join(".terraform/providers").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_list_of_modules_is_judged(text in "\\PC*", dir in "[a-z./]{0,20}") {
        let _any = Manifest::checked(text.as_bytes(), STACK);
        if Manifest::checked(list(&[&dir]).as_bytes(), STACK).is_ok() {
            let mut depth = 2_i32;
            for part in dir.split('/') {
                depth += match part { "" | "." => 0, ".." => -1, _ => 1 };
                prop_assert!(depth >= 0);
            }
        }
    }

    #[test]
    fn the_bytes_depend_only_on_the_content(files in prop::collection::btree_map("[a-c]{1,2}/[d-f]{1,3}", ".{0,20}", 1..8)) {
        let (one, two) = (Stack::fetched(), Stack::fetched());
        for (path, text) in &files {
            one.write(&format!("m/{path}"), text);
        }
        for (path, text) in files.iter().rev() {
            two.write(&format!("m/{path}"), text);
        }
        let packed = one.pack().unwrap().unwrap();
        prop_assert_eq!(&packed, &two.pack().unwrap().unwrap());
        let other = Stack::new();
        other.unpack(&packed).unwrap();
        for (path, text) in &files {
            let file = other.modules().join("m").join(path);
            prop_assert_eq!(&fs::read_to_string(file).unwrap(), text);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_unpacked(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _any = Stack::new().unpack(&bytes);
    }
}
