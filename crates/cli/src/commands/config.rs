//! `sluicegate config check`

use crate::failure::{Failure, Kind, Outcome};
use crate::output::Output;
use domain::config::{CONFIG_FILE, Config};
use domain::source_rules::{self, Problems};
use forge::git::working_tree;
use serde_json::json;
use std::path::Path;

/// Checks a directory with the rules that the pipeline uses.
///
/// # Errors
/// Fails if the directory cannot be read or has problems, and with the errors of the output.
pub fn check(path: &Path, out: &mut Output<'_>) -> Outcome {
    let unreadable = |what: String| {
        Failure::new(
            Kind::SourceUnreadable,
            what,
            format!("Name the directory that holds {CONFIG_FILE}."),
        )
    };
    let directory = if path.is_file() {
        if path.file_name().is_none_or(|name| name != CONFIG_FILE) {
            let what = format!("{} is a file other than {CONFIG_FILE}", path.display());
            return Err(unreadable(what));
        }
        match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    } else {
        path
    };
    let files = working_tree::read(directory).map_err(|error| unreadable(error.to_string()))?;
    match source_rules::check(&files) {
        Ok(config) => good(directory, files.len(), &config, out),
        Err(problems) => bad(&problems, out),
    }
}

fn good(directory: &Path, files: usize, config: &Config, out: &mut Output<'_>) -> Outcome {
    if out.json {
        return out.value(&json!({"valid": true, "problems": [], "config": config}));
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
    out.text(&format!(
        "{}: no problems in {files} files; environment {}, {stacks}{deploy}\n",
        directory.display(),
        config.environment
    ))
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
