//! The JSON UI of Terraform: one message per line, with plain text in between.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::diagnostic::{Diagnostic, RawDiagnostic};

/// The most diagnostics that a transcript keeps.
const MAX_DIAGNOSTICS: usize = 200;

/// The stream of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of output, and the message in it.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The command: `plan`, `apply` and so on.
    pub command: &'static str,
    /// The stream.
    pub source: Source,
    /// The text, without its line end.
    pub text: &'a str,
    /// The message in it.
    pub event: &'a Event,
}

/// A message of the JSON UI, without fields that contain values or ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first message: the versions of Terraform and of the JSON UI.
    Version {
        /// Such as `1.11.4`.
        terraform: String,
        /// Such as `1.2`.
        ui: String,
    },
    /// An error or a warning.
    Diagnostic(Diagnostic),
    /// A resource that the plan changes.
    PlannedChange(PlannedChange),
    /// A resource that was changed outside Terraform.
    ResourceDrift(PlannedChange),
    /// The counts of planned or completed changes.
    ChangeSummary(SummaryCounts),
    /// The names of the stack's outputs, and whether each is sensitive.
    Outputs(BTreeMap<String, bool>),
    /// An operation on a resource starts.
    ApplyStart(Hook),
    /// An operation on a resource is in progress.
    ApplyProgress(Hook),
    /// An operation on a resource succeeded.
    ApplyComplete(Hook),
    /// An operation on a resource failed.
    ApplyErrored(Hook),
    /// A message of another type.
    Other {
        /// The type, such as `log`, `refresh_start` or `init_output`.
        kind: String,
        /// The text of the message.
        message: String,
    },
    /// A line without a message: init prints some, and so do crashes.
    Text(String),
}

/// A resource, and what the plan does with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedChange {
    /// The resource's address.
    pub address: String,
    /// `create`, `update`, `delete`, `replace`, `read`, `move`, `import`, `noop`, `remove`.
    pub action: String,
    /// The reason, such as `tainted` or `cannot_update`; empty if Terraform gives none.
    pub reason: String,
}

/// An operation on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The resource's address.
    pub address: String,
    /// The resource's type.
    pub resource_type: String,
    /// `create`, `update`, `delete`, `read`.
    pub action: String,
    /// The whole seconds since it started.
    pub elapsed_seconds: u64,
}

/// The counts of a change summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SummaryCounts {
    /// The number of resources to create, or created.
    #[serde(default)]
    pub add: u64,
    /// The number of resources to update in place, or updated.
    #[serde(default)]
    pub change: u64,
    /// The number of resources to destroy, or destroyed.
    #[serde(default)]
    pub remove: u64,
    /// The number of resources to import, or imported.
    #[serde(default)]
    pub import: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    r#type: String,
    #[serde(rename = "@message")]
    message: String,
    terraform: String,
    ui: String,
    diagnostic: Option<RawDiagnostic>,
    change: Option<RawChange>,
    changes: Option<SummaryCounts>,
    outputs: BTreeMap<String, RawOutput>,
    hook: Option<RawHook>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawChange {
    resource: RawResource,
    action: String,
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawHook {
    resource: RawResource,
    action: String,
    elapsed_seconds: f64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawResource {
    addr: String,
    resource_type: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawOutput {
    sensitive: bool,
}

/// Parses one line. A line that is not a message of the JSON UI becomes [`Event::Text`]; parsing
/// never fails.
#[must_use]
pub fn parse_line(line: &str) -> Event {
    let Ok(raw) = serde_json::from_str::<Raw>(line) else {
        return Event::Text(line.to_owned());
    };
    let Raw {
        r#type: kind,
        message,
        terraform,
        ui,
        diagnostic,
        change,
        changes,
        outputs,
        hook,
    } = raw;
    let change = change.map(PlannedChange::from);
    let hook = hook.map(Hook::from);
    let found = match kind.as_str() {
        "version" => Some(Event::Version { terraform, ui }),
        "diagnostic" => diagnostic.map(|raw| Event::Diagnostic(raw.into())),
        "planned_change" => change.map(Event::PlannedChange),
        "resource_drift" => change.map(Event::ResourceDrift),
        "change_summary" => changes.map(Event::ChangeSummary),
        "outputs" => Some(Event::Outputs(
            outputs
                .into_iter()
                .map(|(name, output)| (name, output.sensitive))
                .collect(),
        )),
        "apply_start" => hook.map(Event::ApplyStart),
        "apply_progress" => hook.map(Event::ApplyProgress),
        "apply_complete" => hook.map(Event::ApplyComplete),
        "apply_errored" => hook.map(Event::ApplyErrored),
        _ => None,
    };
    found.unwrap_or_else(|| {
        if kind.is_empty() && message.is_empty() {
            Event::Text(line.to_owned())
        } else {
            Event::Other { kind, message }
        }
    })
}

impl From<RawChange> for PlannedChange {
    fn from(raw: RawChange) -> Self {
        Self {
            address: raw.resource.addr,
            action: raw.action,
            reason: raw.reason,
        }
    }
}

impl From<RawHook> for Hook {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, which is right for a duration"
    )]
    fn from(raw: RawHook) -> Self {
        Self {
            address: raw.resource.addr,
            resource_type: raw.resource.resource_type,
            action: raw.action,
            elapsed_seconds: raw.elapsed_seconds as u64,
        }
    }
}

/// The messages of one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The planned changes, in the order of the messages.
    pub planned: Vec<PlannedChange>,
    /// The changes made outside Terraform.
    pub drift: Vec<PlannedChange>,
    /// The last change summary.
    pub counts: Option<SummaryCounts>,
    /// The names of the outputs, and whether each is sensitive.
    pub outputs: BTreeMap<String, bool>,
    /// The operations that succeeded, in the order of completion.
    pub completed: Vec<Hook>,
    /// The operations that failed.
    pub errored: Vec<Hook>,
    /// The operations that started and did not end. After a kill, their effect is unknown.
    pub unfinished: Vec<Hook>,
    /// The errors and warnings, at most 200.
    pub diagnostics: Vec<Diagnostic>,
}

impl Transcript {
    /// Adds one message.
    pub fn record(&mut self, event: &Event) {
        match event {
            Event::Diagnostic(found) if self.diagnostics.len() < MAX_DIAGNOSTICS => {
                self.diagnostics.push(found.clone());
            }
            Event::PlannedChange(change) => self.planned.push(change.clone()),
            Event::ResourceDrift(change) => self.drift.push(change.clone()),
            Event::ChangeSummary(counts) => self.counts = Some(*counts),
            Event::Outputs(names) => self.outputs.clone_from(names),
            Event::ApplyStart(hook) => self.unfinished.push(hook.clone()),
            Event::ApplyComplete(hook) => {
                self.finish(hook);
                self.completed.push(hook.clone());
            }
            Event::ApplyErrored(hook) => {
                self.finish(hook);
                self.errored.push(hook.clone());
            }
            Event::Version { .. }
            | Event::Diagnostic(_)
            | Event::ApplyProgress(_)
            | Event::Other { .. }
            | Event::Text(_) => {}
        }
    }

    fn finish(&mut self, done: &Hook) {
        if let Some(at) = self
            .unfinished
            .iter()
            .position(|hook| hook.address == done.address && hook.action == done.action)
        {
            self.unfinished.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_events_and_the_rest_text() {
        let hook = r#"{"@message":"x","hook":{"resource":{"addr":"a.b","resource_type":"a"},"action":"create","id_value":"i","elapsed_seconds":2},"type":"apply_complete"}"#;
        assert_eq!(
            parse_line(hook),
            Event::ApplyComplete(Hook {
                address: "a.b".into(),
                resource_type: "a".into(),
                action: "create".into(),
                elapsed_seconds: 2,
            })
        );
        let log = r#"{"@message":"Stopping operation...","type":"log"}"#;
        assert_eq!(
            parse_line(log),
            Event::Other {
                kind: "log".into(),
                message: "Stopping operation...".into()
            }
        );
        for text in ["", "Error: x", "{", "[1]", "{}", "17", r#"{"type":7}"#] {
            assert_eq!(parse_line(text), Event::Text(text.to_owned()));
        }
        let broken = r#"{"@message":"m","type":"apply_start"}"#;
        assert_eq!(
            parse_line(broken),
            Event::Other {
                kind: "apply_start".into(),
                message: "m".into()
            }
        );
    }

    #[test]
    fn a_transcript_tells_done_from_failed_and_unfinished() {
        let hook = |address: &str| Hook {
            address: address.into(),
            resource_type: "t".into(),
            action: "create".into(),
            elapsed_seconds: 0,
        };
        let mut transcript = Transcript::default();
        for event in [
            Event::ApplyStart(hook("t.a")),
            Event::ApplyStart(hook("t.b")),
            Event::ApplyStart(hook("t.c")),
            Event::ApplyComplete(hook("t.a")),
            Event::ApplyErrored(hook("t.b")),
        ] {
            transcript.record(&event);
        }
        assert_eq!(transcript.completed, [hook("t.a")]);
        assert_eq!(transcript.errored, [hook("t.b")]);
        assert_eq!(transcript.unfinished, [hook("t.c")]);
    }
}
