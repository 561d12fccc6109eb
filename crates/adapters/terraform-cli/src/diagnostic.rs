//! Diagnostics of Terraform, and the state lock that it could not acquire.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// An error: the command failed.
    #[default]
    Error,
    /// A warning: the command continued.
    Warning,
}

/// A position in a file of the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The path relative to the directory of the stack, as Terraform prints it.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
}

/// An error or a warning, without the source snippet, which may quote values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The severity.
    pub severity: Severity,
    /// The summary, in one line.
    pub summary: String,
    /// The detail; may be empty.
    #[serde(default)]
    pub detail: String,
    /// The address of the resource, if Terraform knows it.
    #[serde(default)]
    pub address: Option<String>,
    /// The position, for errors in the configuration.
    #[serde(default)]
    pub position: Option<Position>,
}

impl Diagnostic {
    /// Creates an error from plain text, such as the standard error of a command without JSON
    /// output.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let text = text.trim();
        let (summary, detail) = text.split_once('\n').unwrap_or((text, ""));
        Self {
            severity: Severity::Error,
            summary: summary.trim().to_owned(),
            detail: detail.trim().to_owned(),
            address: None,
            position: None,
        }
    }

    /// Replaces each text by what `mask` makes of it.
    pub(crate) fn mask(&mut self, mask: &dyn Fn(&str) -> String) {
        let texts = [&mut self.summary, &mut self.detail];
        for text in texts.into_iter().chain(&mut self.address) {
            *text = mask(text);
        }
    }

    /// Returns whether the severity is error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.position {
            write!(f, "{}:{}:{}: ", at.file, at.line, at.column)?;
        }
        if let Some(address) = &self.address {
            write!(f, "{address}: ")?;
        }
        f.write_str(&self.summary)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

/// The JSON form of a diagnostic.
#[derive(Debug, Deserialize)]
pub(crate) struct RawDiagnostic {
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    detail: String,
    address: Option<String>,
    range: Option<RawRange>,
}

#[derive(Debug, Deserialize)]
struct RawRange {
    #[serde(default)]
    filename: String,
    start: RawPos,
}

#[derive(Debug, Deserialize)]
struct RawPos {
    #[serde(default)]
    line: u64,
    #[serde(default)]
    column: u64,
}

impl From<RawDiagnostic> for Diagnostic {
    fn from(raw: RawDiagnostic) -> Self {
        Self {
            severity: raw.severity,
            summary: raw.summary,
            detail: raw.detail,
            address: raw.address.filter(|address| !address.is_empty()),
            position: raw.range.map(|range| Position {
                file: range.filename,
                line: range.start.line,
                column: range.start.column,
            }),
        }
    }
}

/// The holder of the state lock, read from the error message of Terraform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockInfo {
    /// The lock id, the argument of `terraform force-unlock`.
    pub id: String,
    /// The locked state.
    pub path: String,
    /// `OperationTypePlan`, `OperationTypeApply` and the like.
    pub operation: String,
    /// `user@host`.
    pub who: String,
    /// The time at which the lock was acquired, as Terraform prints it.
    pub created: String,
}

impl LockInfo {
    /// Parses the `Lock Info:` block in the detail of a diagnostic. Returns `None` if there is
    /// none, or it has no lock id.
    #[must_use]
    pub fn parse(detail: &str) -> Option<Self> {
        let (_, block) = detail.split_once("Lock Info:")?;
        let mut info = Self::default();
        for line in block.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let field = match key.trim() {
                "ID" => &mut info.id,
                "Path" => &mut info.path,
                "Operation" => &mut info.operation,
                "Who" => &mut info.who,
                "Created" => &mut info.created,
                _ => continue,
            };
            if field.is_empty() {
                value.trim().clone_into(field);
            }
        }
        (!info.id.is_empty()).then_some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3: &str = "Error message: operation error S3: PutObject, https response error \
        StatusCode: 412, RequestID: x, api error PreconditionFailed: At least one of the \
        pre-conditions you specified did not hold\nLock Info:\n  ID:        \
        32938cb2-c901-7cbc-ca63-c94af6f29160\n  Path:      states/1/production/app.tfstate\n  \
        Operation: OperationTypeApply\n  Who:       root@job\n  Version:   1.11.4\n  \
        Created:   2026-11-21 09:41:42.96117085 +0000 UTC\n  Info:      \n\n\nTerraform acquires \
        a state lock to protect the state: ID: other";

    #[test]
    fn the_lock_is_read_from_the_message_of_the_s3_backend() {
        assert_eq!(
            LockInfo::parse(S3),
            Some(LockInfo {
                id: "32938cb2-c901-7cbc-ca63-c94af6f29160".into(),
                path: "states/1/production/app.tfstate".into(),
                operation: "OperationTypeApply".into(),
                who: "root@job".into(),
                created: "2026-11-21 09:41:42.96117085 +0000 UTC".into(),
            })
        );
    }

    #[test]
    fn a_message_without_a_lock_gives_none() {
        assert_eq!(LockInfo::parse("AccessDenied"), None);
        assert_eq!(LockInfo::parse("Lock Info:\n  Who: x"), None);
    }

    #[test]
    fn a_diagnostic_prints_where_what_and_detail() {
        let shown = Diagnostic {
            severity: Severity::Error,
            summary: "Unsupported argument".into(),
            detail: "No \"nope\" here.".into(),
            address: None,
            position: Some(Position {
                file: "bad.tf".into(),
                line: 1,
                column: 33,
            }),
        };
        assert_eq!(
            shown.to_string(),
            "bad.tf:1:33: Unsupported argument: No \"nope\" here."
        );
    }
}
