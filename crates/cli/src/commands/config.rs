//! `sluicegate config check`

use crate::failure::{Failure, Kind, Outcome};
use crate::output::Output;
use domain::config::{CONFIG_FILE, Config};
use domain::source_rules::{self, Examined, LeftOut, Problems, SourceFile};
use domain::text::argument;
use forge::git::working_tree;
use serde_json::json;
use std::io::ErrorKind;
use std::path::Path;

/// Checks a directory with the rules that the pipeline uses.
///
/// # Errors
/// Fails if the directory cannot be read or has problems, and with the errors of the output.
pub fn check(path: &Path, out: &mut Output<'_>) -> Outcome {
    let directory = if path.is_file() {
        if path.file_name().is_none_or(|name| name != CONFIG_FILE) {
            let what = format!("{} is a file other than {CONFIG_FILE}", path.display());
            return Err(Failure::new(Kind::SourceUnreadable, what, name_directory()));
        }
        match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    } else {
        path
    };
    let files = working_tree::read(directory).map_err(|error| {
        let next = next_step(&error, directory);
        Failure::new(Kind::SourceUnreadable, error.to_string(), next)
    })?;
    let examined = Examined::new(&files);
    let left_out = examined.left_out().clone();
    match examined.result() {
        Ok(config) => good(directory, &files, &config, &left_out, out),
        Err(problems) => bad(&problems, out),
    }
}

fn name_directory() -> String {
    format!("Name the directory that holds {CONFIG_FILE}.")
}

/// Returns the command that removes the cause of an error.
fn next_step(error: &working_tree::Error, directory: &Path) -> String {
    let path = |path: &Path| argument(&path.display().to_string());
    let here = path(directory);
    match error {
        working_tree::Error::Io { path: at, error } => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => name_directory(),
            ErrorKind::PermissionDenied => format!(
                "Run `chmod -R u+rX {}`, or check the directory as the user who owns the file.",
                path(at)
            ),
            _ => format!("`ls -ld {}` shows whether the file exists.", path(at)),
        },
        working_tree::Error::OtherOwner(_) => {
            let full = directory.canonicalize();
            let full = full.unwrap_or_else(|_| directory.to_owned());
            let mut above = full.ancestors();
            let root = above.find(|above| above.join(".git").exists());
            format!(
                "If you trust the repository, run `git config --global --add safe.directory {}`.",
                path(root.unwrap_or(&full))
            )
        }
        working_tree::Error::NotFetched(_) => {
            format!("Run `git -C {here} fetch --refetch --no-filter`, which completes the clone.")
        }
        working_tree::Error::SparseIndex(_) => {
            format!("Run `git -C {here} sparse-checkout reapply --no-sparse-index`.")
        }
        working_tree::Error::Git(_) => {
            format!("`git -C {here} fsck` shows what is damaged.")
        }
    }
}

fn good(
    directory: &Path,
    files: &[SourceFile<'_>],
    config: &Config,
    left_out: &LeftOut,
    out: &mut Output<'_>,
) -> Outcome {
    let unmatched = source_rules::unmatched_globs(files, config);
    let mut warnings: Vec<String> = unmatched.iter().map(ToString::to_string).collect();
    if !left_out.paths.is_empty() {
        warnings.push(left_out.to_string());
    }
    let files = files.len();
    if out.json {
        return out.value(
            &json!({"valid": true, "problems": [], "warnings": warnings, "config": config}),
        );
    }
    let stacks: Vec<&str> = config
        .stacks
        .iter()
        .map(|stack| stack.name.as_str())
        .collect();
    let stacks = if stacks.is_empty() {
        "no stacks".to_owned()
    } else {
        format!("stacks {}", stacks.join(", "))
    };
    let deploy = config.deploy.as_ref().map_or_else(String::new, |deploy| {
        format!(", deployed by stack {}", deploy.stack())
    });
    let mut text = format!(
        "{}: no problems in {files} files, Terraform was not run; environment {}, {stacks}{deploy}\n",
        directory.display(),
        config.environment
    );
    for warning in warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    out.text(&text)
}

fn bad(problems: &Problems, out: &mut Output<'_>) -> Outcome {
    if out.json {
        out.value(&json!({"valid": false, "problems": problems, "config": null}))?;
    } else {
        out.text(&listed(problems))?;
    }
    Err(Failure::already_reported())
}

/// Returns the problems as text, grouped by path.
fn listed(problems: &Problems) -> String {
    let mut text = String::new();
    for group in problems.as_slice().chunk_by(|a, b| a.path == b.path) {
        if let Some(first) = group.first() {
            text.push_str(&format!("{}\n", first.shown_path()));
        }
        for problem in group {
            let place = match (problem.line, problem.column) {
                (Some(line), Some(column)) => format!(" line {line}, column {column}:"),
                (Some(line), None) => format!(" line {line}:"),
                (None, _) => String::new(),
            };
            text.push_str(&format!(
                "  {}{place} {}\n    fix: {}\n",
                problem.code.as_str(),
                problem.message(),
                problem.fix
            ));
        }
        text.push('\n');
    }
    let count = match problems.as_slice().len() {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    text.push_str(&format!("{count}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error as IoError;
    use working_tree::Error;

    #[test]
    fn each_error_has_the_command_that_removes_its_cause() {
        let io = |kind: ErrorKind| Error::Io {
            path: "my shop/main.tf".into(),
            error: IoError::from(kind),
        };
        let errors = [
            io(ErrorKind::NotFound),
            io(ErrorKind::PermissionDenied),
            io(ErrorKind::Other),
            Error::OtherOwner("not owned by current user".into()),
            Error::NotFetched("object not found".into()),
            Error::SparseIndex("unsupported mandatory extension: 'sdir'".into()),
            Error::Git("corrupted loose object".into()),
        ];
        let lines: Vec<String> = errors
            .iter()
            .map(|error| format!("{error}\n  {}", next_step(error, Path::new("my shop"))))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
