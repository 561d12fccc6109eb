//! The values that a stack gets: the name of its environment, and the outputs of the stacks that it
//! needs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use domain::error::{ErrorName, StepError};
use domain::ids::StackName;
use domain::job::JobSpec;
use domain::outputs::Outputs;
use domain::source_rules::{VARIABLES_FILE, hcl::Facts};
use serde_json::Value;

use crate::job::JobContext;
use crate::log::Log;
use crate::outcome::Stop;
use crate::work::fetch;

/// The outputs of the needed stacks.
pub type Inputs = BTreeMap<StackName, Outputs>;

/// The variable that has the name of the environment.
const ENVIRONMENT: &str = "environment";

/// Reads the outputs of the stacks that this one needs. Masks their sensitive values in the log
/// from now on, because an apply can print the inputs of its plan.
pub(crate) async fn read(context: &JobContext, spec: &JobSpec) -> Result<Inputs, Stop> {
    let mut inputs = BTreeMap::new();
    for (stack, object) in &spec.inputs {
        let bytes = fetch(context, object, &format!("the outputs of stack {stack}")).await?;
        let outputs: Outputs = serde_json::from_slice(&bytes).map_err(|error| {
            // Only the position, because the text of the error may quote a value.
            let (line, column) = (error.line(), error.column());
            let message = format!(
                "{}: not outputs of terraform (line {line}, column {column})",
                object.key
            );
            StepError::new(ErrorName::ContractViolation, message)
        })?;
        for output in outputs.values() {
            if output.sensitive || output.contains_secret {
                context.log.hide(&output.value);
            }
        }
        inputs.insert(stack.clone(), outputs);
    }
    Ok(inputs)
}

/// The variables that a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All, for a plan.
    All,
    /// Those that a plan file does not have, for its apply: Terraform requires them again. A variable
    /// counts as ephemeral if its block sets `ephemeral` to anything. Others may be given again with
    /// the value of the plan.
    Ephemeral,
}

/// A variable file, with one line for each variable and for each output in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariableFile {
    text: String,
    /// What each line has.
    lines: Vec<String>,
}

/// Returns the variable file: the name of the environment, and the outputs of each needed stack as an
/// object under the name of the stack. Leaves out variables that the stack does not declare. If a file
/// of the stack cannot be read, its variables are not known, and all are given; Terraform then prints
/// a warning.
#[must_use]
pub fn file(spec: &JobSpec, inputs: &Inputs, facts: &Facts, wanted: Wanted) -> VariableFile {
    let is_wanted = |name: &str| {
        !facts.unread.is_empty()
            || facts
                .variables
                .get(name)
                .is_some_and(|arguments| wanted == Wanted::All || arguments.contains("ephemeral"))
    };
    let mut variables = Vec::new();
    if is_wanted(ENVIRONMENT) && !inputs.keys().any(|stack| stack.as_str() == ENVIRONMENT) {
        let line = format!(
            "{}: {}",
            quoted(ENVIRONMENT),
            quoted(spec.environment.as_str())
        );
        variables.push((line, vec!["the name of the environment".to_owned()]));
    }
    for (stack, outputs) in inputs.iter().filter(|(stack, _)| is_wanted(stack.as_str())) {
        let entries: Vec<String> = outputs
            .iter()
            .map(|(name, output)| format!("{}: {}", quoted(name), output.value.json()))
            .collect();
        let text = format!(
            "{}: {{\n{}\n}}",
            quoted(stack.as_str()),
            entries.join(",\n")
        );
        let whole = format!("the outputs of stack {stack}");
        let mut lines = vec![whole.clone()];
        lines.extend(
            outputs
                .keys()
                .map(|name| format!("output {name} of stack {stack}")),
        );
        // An object without entries has an empty line.
        lines.resize(text.lines().count(), whole);
        variables.push((text, lines));
    }
    let texts: Vec<String> = variables.iter().map(|(text, _)| text.clone()).collect();
    VariableFile {
        text: if texts.is_empty() {
            String::new()
        } else {
            format!("{{\n{}\n}}\n", texts.join(",\n"))
        },
        lines: variables.into_iter().flat_map(|(_, lines)| lines).collect(),
    }
}

impl VariableFile {
    /// Writes the file, if it has values, and has the log name its places. Returns its path.
    ///
    /// # Errors
    /// The errors of the file system.
    pub fn write(self, dir: &Path, log: &Log) -> io::Result<Option<PathBuf>> {
        if self.text.is_empty() {
            return Ok(None);
        }
        let path = dir.join(VARIABLES_FILE);
        std::fs::write(&path, self.text)?;
        log.name(Places {
            path: path.to_string_lossy().into_owned(),
            lines: self.lines,
        });
        Ok(Some(path))
    }
}

/// Names what is at the places of a variable file. A user does not have the file.
#[derive(Clone, Debug, Default)]
pub struct Places {
    path: String,
    /// What each line has, from the second one.
    lines: Vec<String>,
}

impl Places {
    fn at(&self, line: Option<usize>) -> &str {
        let index = line.and_then(|line| line.checked_sub(2));
        let named = index.and_then(|index| self.lines.get(index));
        named.map_or("the values of the job", String::as_str)
    }

    /// Replaces each place of the file in a text, such as `PATH:3,9-12`, by its name.
    #[must_use]
    pub fn in_text(&self, text: &str) -> String {
        let mut parts = text.split(self.path.as_str());
        if self.path.is_empty() || !text.contains(&self.path) {
            return text.to_owned();
        }
        let mut named = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.strip_prefix(':').unwrap_or(part);
            let length = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (line, after) = rest.split_at(length);
            named.push_str(self.at(line.parse().ok()));
            named.push_str(if line.is_empty() {
                part
            } else {
                after_columns(after)
            });
        }
        named
    }

    /// Names the place of a diagnostic in a message of Terraform. Removes the snippet, which is the line
    /// of the file.
    #[must_use]
    pub fn in_message(&self, line: &str) -> String {
        let is_own = |message: &Value| {
            let file = message.pointer("/diagnostic/range/filename");
            file.and_then(Value::as_str) == Some(self.path.as_str())
        };
        let message = Some(line)
            .filter(|line| !self.path.is_empty() && line.contains(&self.path))
            .and_then(|line| serde_json::from_str(line).ok())
            .filter(is_own);
        let Some(mut message) = message else {
            return line.to_owned();
        };
        let start = message.pointer("/diagnostic/range/start/line");
        let start = start.and_then(Value::as_u64);
        let name = self.at(start.and_then(|line| usize::try_from(line).ok()));
        if let Some(Value::String(text)) = message.get_mut("@message") {
            text.push_str(&format!(" ({name})"));
        }
        if let Some(Value::Object(diagnostic)) = message.get_mut("diagnostic") {
            diagnostic.remove("range");
            diagnostic.remove("snippet");
        }
        message.to_string()
    }
}

/// Removes the rest of a range: `:9`, `,9-12` or `,9-4,12`.
fn after_columns(text: &str) -> &str {
    let Some(rest) = text.strip_prefix([':', ',']) else {
        return text;
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(end) = rest.strip_prefix('-') else {
        return rest;
    };
    let end = end.trim_start_matches(|c: char| c.is_ascii_digit());
    let more = end
        .strip_prefix(',')
        .filter(|more| more.starts_with(|c: char| c.is_ascii_digit()));
    more.map_or(end, |more| {
        more.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn places() -> Places {
        Places {
            path: "/tmp/home/sluicegate.tfvars.json".to_owned(),
            lines: vec![
                "the name of the environment".to_owned(),
                "the outputs of stack data".to_owned(),
            ],
        }
    }

    #[test]
    fn a_place_in_the_variable_file_is_named() {
        for (text, expected) in [
            (
                "/tmp/home/sluicegate.tfvars.json:3:9: Invalid value",
                "the outputs of stack data: Invalid value",
            ),
            (
                "defined at /tmp/home/sluicegate.tfvars.json:3,9-8,2.",
                "defined at the outputs of stack data.",
            ),
            (
                "at /tmp/home/sluicegate.tfvars.json:2,9-12, and",
                "at the name of the environment, and",
            ),
            (
                "found in file \"/tmp/home/sluicegate.tfvars.json\".",
                "found in file \"the values of the job\".",
            ),
            (
                "/tmp/home/sluicegate.tfvars.json:900,1-2",
                "the values of the job",
            ),
            ("main.tf:3:9", "main.tf:3:9"),
        ] {
            assert_eq!(places().in_text(text), expected);
            assert_eq!(Places::default().in_text(text), text);
        }
    }

    #[test]
    fn a_message_has_neither_the_path_nor_the_line_of_the_file() {
        let line = r#"{"@message":"Error: Invalid value","diagnostic":{"summary":"Invalid value","range":{"filename":"/tmp/home/sluicegate.tfvars.json","start":{"line":3}},"snippet":{"code":"\"data\": \"canary\""}},"type":"diagnostic"}"#;
        assert_eq!(
            places().in_message(line),
            r#"{"@message":"Error: Invalid value (the outputs of stack data)","diagnostic":{"summary":"Invalid value"},"type":"diagnostic"}"#
        );
        let other = line.replace("/tmp/home/sluicegate.tfvars.json", "main.tf");
        assert_eq!(places().in_message(&other), other);
    }
}
