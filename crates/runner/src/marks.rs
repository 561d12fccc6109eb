//! Marks the variables that take sensitive outputs of other stacks as sensitive.
//!
//! A value in a variable file has no mark, and Terraform can mark only a whole variable. An override
//! file adds `sensitive = true` to its block.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use domain::ids::StackName;
use domain::source_rules::{MARKS_FILE, hcl::Facts};
use serde_json::{Map, Value, json};
use terraform_cli::{Diagnostic, Error, PlanReport, Severity};

use crate::inputs::Inputs;
use crate::log::Log;
use crate::outcome::Stop;
use crate::work::internal;

/// The error of an output that has a sensitive value and is not sensitive itself.
const OUTPUT: &str = "Output refers to sensitive values";

/// The start of the error of a `for_each` over a sensitive value.
const FOR_EACH: &str = "Sensitive values, or values derived from sensitive values, cannot be used";

/// The variables to mark, with the sensitive outputs in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    variables: BTreeMap<StackName, Vec<String>>,
}

impl Marks {
    /// Returns the variables that take a sensitive output. A variable whose block sets `sensitive` keeps
    /// what it says.
    pub(crate) fn new(inputs: &Inputs, facts: &Facts) -> Self {
        let mut variables = BTreeMap::new();
        // An override of a variable that is not declared is an error.
        if !facts.unread.is_empty() {
            return Self { variables };
        }
        for (stack, outputs) in inputs {
            let declared = facts.variables.get(stack.as_str());
            let sensitive = outputs.iter().filter(|(_, output)| output.sensitive);
            let names: Vec<String> = sensitive.map(|(name, _)| name.clone()).collect();
            if !names.is_empty() && declared.is_some_and(|set| !set.contains("sensitive")) {
                variables.insert(stack.clone(), names);
            }
        }
        Self { variables }
    }

    /// Plans with the marks. If Terraform does not accept them, plans without, and adds a warning.
    ///
    /// # Errors
    /// The errors of `plan`, and of the override file.
    pub(crate) async fn plan(
        &self,
        dir: &Path,
        log: &Log,
        plan: impl AsyncFn() -> Result<Result<PlanReport, Error>, Stop>,
    ) -> Result<Result<PlanReport, Error>, Stop> {
        let writing = |error| internal("write the marks of variables", &error);
        self.write(dir).map_err(writing)?;
        let planned = plan().await?;
        let refusal = planned.as_ref().err().and_then(|error| self.refusal(error));
        let Some(refusal) = refusal else {
            return Ok(planned);
        };
        log.step(&refusal.explain());
        std::fs::remove_file(dir.join(MARKS_FILE)).map_err(writing)?;
        let mut planned = plan().await?;
        if let Ok(report) = &mut planned {
            report.transcript.diagnostics.push(refusal.warning());
        }
        Ok(planned)
    }

    /// Writes the override file, if it is needed.
    ///
    /// # Errors
    /// The errors of the file system.
    fn write(&self, dir: &Path) -> io::Result<()> {
        if self.variables.is_empty() {
            return Ok(());
        }
        let marked = self.variables.keys();
        let marked: Map<String, Value> = marked
            .map(|name| (name.to_string(), json!({"sensitive": true})))
            .collect();
        std::fs::write(
            dir.join(MARKS_FILE),
            json!({"variable": marked}).to_string(),
        )
    }

    /// Returns the refusal if all errors are about a sensitive value where Terraform allows none. If
    /// there are others, a plan without marks could print values that they hide.
    fn refusal(&self, error: &Error) -> Option<Refusal<'_>> {
        let mut errors = error.diagnostics().iter().filter(|found| found.is_error());
        let first = errors.next()?.clone();
        let is_refusal = !self.variables.is_empty() && refuses(&first) && errors.all(refuses);
        is_refusal.then_some(Refusal { marks: self, first })
    }

    /// Returns what to do if a diagnostic is about a sensitive value.
    pub(crate) fn hint(&self, error: &Error) -> Option<String> {
        let is_hint = |found: &Diagnostic| refuses(found) || found.summary == ERROR_MESSAGE;
        let mut found = error.diagnostics().iter();
        (!self.variables.is_empty() && found.any(is_hint))
            .then(|| format!("{} {FIX}", self.describe()))
    }

    /// Names the variables, and why they are sensitive.
    fn describe(&self) -> String {
        let described = self.variables.iter().map(|(stack, outputs)| {
            format!(
                "var.{stack} is sensitive, because stack {stack} has the sensitive output {}",
                outputs.join(", ")
            )
        });
        described.collect::<Vec<_>>().join("; ") + "."
    }
}

/// How a stack says which values are not secret.
const FIX: &str = "Set `sensitive = true` in an output with a secret value. Where a value is not secret, write \
                   nonsensitive(...) around it; or set `sensitive` in the block of the variable.";

/// The summary of the error and of the warning about an error message that contains a sensitive value.
const ERROR_MESSAGE: &str = "Error message refers to sensitive values";

fn refuses(found: &Diagnostic) -> bool {
    found.summary == OUTPUT || found.detail.starts_with(FOR_EACH)
}

/// Terraform does not accept the marks.
struct Refusal<'a> {
    marks: &'a Marks,
    first: Diagnostic,
}

impl Refusal<'_> {
    /// Returns a text for the log.
    fn explain(&self) -> String {
        format!(
            "{} Terraform does not accept that in this stack, so it plans again without: the sensitive \
             values are masked, but what the stack derives from them is not sensitive. {FIX}",
            self.marks.describe()
        )
    }

    /// Returns the warning of the plan.
    fn warning(&self) -> Diagnostic {
        let names = self.marks.variables.keys();
        let names: Vec<String> = names.map(|stack| format!("var.{stack}")).collect();
        Diagnostic {
            severity: Severity::Warning,
            summary: format!("{} not marked as sensitive", names.join(", ")),
            detail: format!(
                "{}; {}",
                self.first.summary,
                if self.first.summary == OUTPUT {
                    "set `sensitive = true` in the output, or write nonsensitive(...) if its value is not secret"
                } else {
                    "write nonsensitive(...) there if the value is not secret"
                }
            ),
            address: None,
            position: self.first.position.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use domain::source_rules::hcl;
    use terraform_cli::Failure;

    fn marks(code: &str) -> Marks {
        let outputs =
            r#"{"password": {"sensitive": true, "value": "canary"}, "url": {"value": "u"}}"#;
        let plain = r#"{"url": {"value": "u"}}"#;
        let inputs = [("data", outputs), ("net", plain)].map(|(stack, outputs)| {
            let stack = StackName::parse(stack).unwrap();
            (stack, serde_json::from_str(outputs).unwrap())
        });
        Marks::new(&inputs.into(), &hcl::scan([("main.tf", code.as_bytes())]))
    }

    fn failed(summaries: &[&str]) -> Error {
        let diagnostics = summaries
            .iter()
            .map(|summary| Diagnostic::from_text(summary));
        Error::Failed(Failure {
            command: "plan",
            code: 1,
            diagnostics: diagnostics.collect(),
        })
    }

    #[test]
    fn a_variable_with_a_sensitive_output_is_marked_unless_its_block_decides() {
        let dir = tempfile::tempdir().unwrap();
        let found = marks("variable \"data\" {\n  type = any\n}\nvariable \"net\" {}\n");
        found.write(dir.path()).unwrap();
        let file = std::fs::read_to_string(dir.path().join(MARKS_FILE)).unwrap();
        assert_eq!(file, r#"{"variable":{"data":{"sensitive":true}}}"#);
        for code in [
            "variable \"data\" {\n  sensitive = false\n}\n",
            "variable \"net\" {}\n",
            "variable \"data\" {}\nvariable \"x\" {",
        ] {
            assert_eq!(marks(code), Marks::default(), "{code}");
        }
    }

    #[test]
    fn only_a_failure_about_marks_alone_is_planned_without_them() {
        let found = marks("variable \"data\" {}\n");
        assert!(found.refusal(&failed(&[OUTPUT, OUTPUT])).is_some());
        assert!(
            found
                .refusal(&failed(&[OUTPUT, "Resource precondition failed"]))
                .is_none()
        );
        assert!(
            found
                .refusal(&failed(&["Resource precondition failed"]))
                .is_none()
        );
        assert!(
            found
                .hint(&failed(&["Resource precondition failed", OUTPUT]))
                .is_some()
        );
        assert!(
            found
                .hint(&failed(&["Resource precondition failed"]))
                .is_none()
        );
        assert!(Marks::default().refusal(&failed(&[OUTPUT])).is_none());
    }
}
