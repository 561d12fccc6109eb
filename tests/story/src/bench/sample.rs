//! The repository that is delivered: the stacks of `examples/shop` and the image of `examples/fixture`,
//! without a deployment, because the speed of ECS is not measured.

use anyhow::{Context as _, ensure};
use std::fs;
use std::path::Path;

/// The repository's name.
pub(super) const NAME: &str = "acme/bench";
/// The environment that Sluicegate delivers to.
pub(super) const ENVIRONMENT: &str = "production";
/// The stacks in dependency order, with their directories.
pub(super) const STACKS: [(&str, &str); 2] = [("data", "infra/data"), ("app", "infra/app")];

const CONFIG: &str = r#"version: 1
environment: production
queue: newest
approval: never
stacks:
  - name: data
    dir: infra/data
  - name: app
    dir: infra/app
    needs: [data]
build:
  context: app
  dockerfile: Dockerfile
  test: "true"
"#;

const DATA: &str = "infra/data/main.tf";
const APP: &str = "infra/app/main.tf";
/// The file of the application that a code-only commit changes.
const CODE: &str = "app/release.txt";
const KEY: &str = "  hash_key     = \"key\"\n";
const GREETING: &str = "greeting\" = \"welcome\"";

/// A change of one file: its path, the text that is replaced, and the new text.
pub(super) type Edit = (&'static str, String, String);

/// Writes the repository's files for the first commit, which is release 0.
///
/// # Errors
/// When a file cannot be written, or the examples changed.
pub(super) fn write(root: &Path, dir: &Path) -> anyhow::Result<()> {
    let examples = root.join("examples");
    for (from, to) in [
        ("shop/infra/data", "infra/data"),
        ("shop/infra/app", "infra/app"),
        ("fixture/app", "app"),
    ] {
        copy(&examples.join(from), &dir.join(to))?;
    }
    fs::write(dir.join("sluicegate.yaml"), CONFIG)?;
    let tagged = format!("{KEY}\n  tags = {{\n    {}\n  }}\n", tag(0));
    replace(&dir.join(DATA), KEY, &tagged)?;
    replace(&dir.join(APP), GREETING, &greeting(0))
}

/// Returns the change of a release: one resource of each stack.
#[must_use]
pub(super) fn release(number: usize) -> [Edit; 2] {
    let before = number.saturating_sub(1);
    [
        (DATA, tag(before), tag(number)),
        (APP, greeting(before), greeting(number)),
    ]
}

/// Returns the change of the application alone.
#[must_use]
pub(super) fn code_only() -> Edit {
    (CODE, "first".to_owned(), "second".to_owned())
}

fn tag(number: usize) -> String {
    format!("release = \"{number}\"")
}

fn greeting(number: usize) -> String {
    format!("greeting\" = \"release {number}\"")
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn replace(file: &Path, from: &str, to: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    ensure!(
        text.contains(from),
        "{} does not contain {from:?}: the sample changed",
        file.display()
    );
    fs::write(file, text.replacen(from, to, 1))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn every_release_changes_both_stacks() {
        let dir = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        write(&root, dir.path()).unwrap();
        for number in 1..3 {
            for (file, from, to) in release(number) {
                replace(&dir.path().join(file), &from, &to).unwrap();
            }
        }
        let (file, from, to) = code_only();
        replace(&dir.path().join(file), &from, &to).unwrap();
        let text = |file| fs::read_to_string(dir.path().join(file)).unwrap();
        assert!(text(DATA).contains("    release = \"2\"\n"));
        assert!(text(APP).contains("\"/${local.name}/greeting\" = \"release 2\" }"));
    }
}
