//! Refuses files of a repository that would run code, or change where the state is stored, before a
//! plan is reviewed.

use crate::hcl::Facts;
use crate::refusal::Refusal;
use domain::plan_file;
use std::fs::File;
use std::io::{Read as _, Result as IoResult};
use std::path::Path;

/// The override file that the runner writes into the directory of the stack.
pub const OVERRIDE_FILE: &str = "sluicegate_backend_override.tf.json";
/// The dependency lock file of Terraform.
pub const LOCK_FILE: &str = ".terraform.lock.hcl";

/// Checks every path of the repository by its name.
///
/// # Errors
/// A [`Refusal`] of the first path that must not be committed.
pub fn check_paths<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<(), Refusal> {
    for path in paths {
        let name = path.rsplit('/').next().unwrap_or(path);
        for part in path.split('/') {
            if let Some((what, next)) = forbidden(part) {
                return Err(committed(path, what, part, next));
            }
        }
        if plan_file::is_name(name) {
            return Err(committed(path, PLAN.0, name, PLAN.1));
        }
    }
    Ok(())
}

/// Checks the content of every file of the repository, unpacked at `root`, because a plan file may
/// have any name.
///
/// # Errors
/// A [`Refusal`] of the first file that must not be committed, or that cannot be read.
pub fn check_contents<'a>(
    root: &Path,
    paths: impl IntoIterator<Item = &'a str>,
) -> Result<(), Refusal> {
    for path in paths {
        match is_plan(&root.join(path)) {
            Ok(false) => {}
            Ok(true) => {
                let name = path.rsplit('/').next().unwrap_or(path);
                return Err(committed(path, PLAN.0, name, PLAN.1));
            }
            Err(error) => {
                return Err(Refusal::new(
                    path,
                    format!("it cannot be read: {error}"),
                    "a file that was just unpacked",
                    "start the run again; if it repeats, report it with the run id",
                ));
            }
        }
    }
    Ok(())
}

/// Returns whether the file is a plan. Reads only files that begin like a zip; the unpacking has
/// limited their size.
fn is_plan(path: &Path) -> IoResult<bool> {
    const ZIP: &[u8; 4] = b"PK\x03\x04";
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
    file.by_ref()
        .take(ZIP.len() as u64)
        .read_to_end(&mut bytes)?;
    if bytes != ZIP {
        return Ok(false);
    }
    file.read_to_end(&mut bytes)?;
    Ok(plan_file::is_content(&bytes))
}

const PLAN: (&str, &str) = (
    "a terraform plan is committed: plans hold secrets in clear",
    "rotate the secrets that stood in it, ",
);

fn committed(path: &str, what: &str, part: &str, next: &str) -> Refusal {
    Refusal::new(
        path,
        what,
        "a repository without it",
        format!("`git rm -r --cached` it, add {part:?} to .gitignore, {next}push"),
    )
}

fn forbidden(part: &str) -> Option<(&'static str, &'static str)> {
    let lower = part.to_ascii_lowercase();
    Some(match lower.as_str() {
        ".terraform" => (
            "terraform's working directory is committed: terraform would run the binaries in it",
            "",
        ),
        "terraform.d" => (
            "a plugin directory is committed: terraform would run the binaries in it",
            "",
        ),
        ".terraformrc" | "terraform.rc" => (
            "a terraform CLI configuration is committed: it decides where providers come from",
            "",
        ),
        OVERRIDE_FILE => ("the name is the pipeline's own", "rename yours, "),
        name if name.contains(".tfstate") => (
            "a terraform state is committed: states hold secrets in clear",
            "rotate the secrets that stood in it, ",
        ),
        _ => return None,
    })
}

/// Checks the directory of the stack. `dir` is its path in the repository, and `names` are its
/// files.
///
/// # Errors
/// A [`Refusal`] of a file that is missing, or of a backend block that the pipeline does not
/// accept.
pub fn check_stack(dir: &str, names: &[String], facts: &Facts) -> Result<(), Refusal> {
    if !names
        .iter()
        .any(|name| name.ends_with(".tf") || name.ends_with(".tf.json"))
    {
        return Err(Refusal::new(
            dir,
            "it holds no .tf file",
            "the stack's terraform configuration",
            "correct the stack's `dir` in sluicegate.yaml, push",
        ));
    }
    if !names.iter().any(|name| name == LOCK_FILE) {
        return Err(Refusal::new(
            format!("{dir}/{LOCK_FILE}"),
            "it is missing",
            "the committed lock file: it pins the providers by their digests",
            format!(
                "run `terraform init` there and commit {LOCK_FILE} (an empty one for a stack without providers), push"
            ),
        ));
    }
    for block in &facts.backends {
        let path = format!("{dir}/{}", block.file);
        let at = if block.line > 0 {
            format!("line {}: ", block.line)
        } else {
            String::new()
        };
        let refuse = |what: String| {
            Err(Refusal::new(
                path,
                format!("{at}{what}"),
                "`terraform { backend \"s3\" {} }`, with an empty block: the pipeline fills it in",
                "change the block, push",
            ))
        };
        if is_override(&block.file) {
            return refuse(format!(
                "an override file sets the backend {:?}",
                block.kind
            ));
        }
        if block.kind != "s3" {
            return refuse(format!("the backend is {:?}", block.kind));
        }
        if !block.settings.is_empty() {
            return refuse(format!(
                "the backend block sets {}",
                block.settings.join(", ")
            ));
        }
    }
    Ok(())
}

fn is_override(name: &str) -> bool {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    stem == "override.tf" || stem.ends_with("_override.tf")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use crate::hcl;

    #[test]
    fn committed_artifacts_of_terraform_are_refused_by_path() {
        for path in [
            ".terraform/providers/x",
            "infra/app/.terraform/modules/modules.json",
            "infra/app/terraform.d/plugins/a",
            "infra/Terraform.d/plugins/a",
            "infra/app/terraform.tfstate",
            "infra/app/terraform.tfstate.backup",
            "infra/app/terraform.tfstate.d/x/y",
            "infra/app/errored.tfstate",
            "infra/app/prod.tfplan",
            "infra/app/tfplan",
            ".terraformrc",
            "infra/terraform.rc",
            "infra/app/sluicegate_backend_override.tf.json",
        ] {
            let refusal = check_paths(["README.md", path]).unwrap_err();
            assert_eq!(refusal.path(), path);
            assert!(refusal.to_string().contains("; next: `git rm"), "{refusal}");
        }
        let fine = [
            "infra/app/.terraform.lock.hcl",
            "a/my.terraform/x",
            "docs/tfstate.md",
            "internal/tfplan/read.go",
            "x.tfvars",
        ];
        check_paths(fine).unwrap();
    }

    #[test]
    fn a_plan_is_refused_whatever_it_is_called() {
        use std::io::Write as _;
        let root = tempfile::tempdir().unwrap();
        let zip = |name: &str, member: &str| {
            let mut zip = zip::ZipWriter::new(File::create(root.path().join(name)).unwrap());
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(member, options).unwrap();
            zip.write_all(b"x").unwrap();
            zip.finish().unwrap();
        };
        zip("lambda.zip", "bootstrap");
        zip("plan.out", "tfplan");
        std::fs::write(root.path().join("short"), "PK").unwrap();
        // The target of a link is checked under its own path.
        std::os::unix::fs::symlink("plan.out", root.path().join("link")).unwrap();
        check_contents(root.path(), ["lambda.zip", "short", "link"]).unwrap();
        let refusal = check_contents(root.path(), ["lambda.zip", "plan.out"]).unwrap_err();
        assert_eq!(refusal.path(), "plan.out");
        assert!(
            refusal
                .to_string()
                .contains("a terraform plan is committed"),
            "{refusal}"
        );
        let refusal = check_contents(root.path(), ["gone"]).unwrap_err();
        assert!(refusal.to_string().contains("cannot be read"), "{refusal}");
    }

    fn check(files: &[(&str, &str)]) -> Result<(), String> {
        let files: Vec<(String, String)> = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
        check_stack("infra/app", &names, &hcl::scan(&files)).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn only_an_empty_s3_backend_or_none_is_accepted() {
        let lock = (LOCK_FILE, "");
        check(&[lock, ("main.tf", "terraform {\n  backend \"s3\" {}\n}\n")]).unwrap();
        check(&[lock, ("main.tf", "locals {}\n")]).unwrap();
        for (file, text, expected) in [
            (
                "main.tf",
                "terraform {\n  backend \"local\" {}\n}\n",
                "\"infra/app/main.tf\": line 2: the backend is \"local\"",
            ),
            (
                "main.tf",
                "terraform {\n  cloud {}\n}\n",
                "the backend is \"cloud\"",
            ),
            (
                "main.tf",
                "terraform {\n  backend \"s3\" {\n    bucket = \"b\"\n  }\n}\n",
                "the backend block sets bucket",
            ),
            (
                "a_override.tf",
                "terraform {\n  backend \"s3\" {}\n}\n",
                "an override file sets the backend \"s3\"",
            ),
            (
                "override.tf.json",
                r#"{"terraform":{"backend":{"http":{}}}}"#,
                "an override file sets the backend \"http\"",
            ),
        ] {
            let refusal = check(&[lock, (file, text)]).unwrap_err();
            assert!(refusal.contains(expected), "{refusal}");
        }
    }

    #[test]
    fn a_stack_needs_files_and_a_lock_file() {
        assert!(
            check(&[(LOCK_FILE, "")])
                .unwrap_err()
                .contains("it holds no .tf file")
        );
        let missing = check(&[("main.tf", "")]).unwrap_err();
        assert!(
            missing.contains("\"infra/app/.terraform.lock.hcl\": it is missing"),
            "{missing}"
        );
    }
}
