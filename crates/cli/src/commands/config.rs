//! `sluicegate config check`

use crate::failure::{Failure, Kind, Outcome};
use crate::output::Output;
use domain::config::{CONFIG_FILE, Config, ConfigError, parse};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Checks a configuration with the parser that the pipeline uses.
///
/// # Errors
/// Fails if the file is missing or invalid, and with the errors of the output.
pub fn check(path: &Path, out: &mut Output<'_>) -> Outcome {
    let file: PathBuf = if path.is_dir() {
        path.join(CONFIG_FILE)
    } else {
        path.to_owned()
    };
    let bytes = std::fs::read(&file).map_err(|error| {
        Failure::new(
            Kind::ConfigUnreadable,
            format!("read {}: {error}", file.display()),
            format!("Name the folder that holds {CONFIG_FILE}, or the file itself."),
        )
    })?;
    match parse(&bytes) {
        Ok(config) => good(&file, &config, out),
        Err(errors) => bad(&errors, out),
    }
}

fn good(file: &Path, config: &Config, out: &mut Output<'_>) -> Outcome {
    if out.json {
        return out.value(&json!({"valid": true, "errors": [], "config": config}));
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
        "{} is good: environment {}, {stacks}{deploy}\n",
        file.display(),
        config.environment
    ))
}

fn bad(errors: &[ConfigError], out: &mut Output<'_>) -> Outcome {
    if out.json {
        out.value(&json!({"valid": false, "errors": errors, "config": null}))?;
        return Err(Failure::already_reported());
    }
    for error in errors {
        out.text(&format!("{error}\n"))?;
    }
    Err(Failure::already_reported())
}
