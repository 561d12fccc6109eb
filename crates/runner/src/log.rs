//! The log of a job: each line goes to standard output at once, and all lines go to S3 at the end.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::outputs::OutputValue;
use engine::Clock;
use serde_json::json;
use terraform_cli::{Event, Line, Source};

use crate::inputs::Places;
use crate::redact::Redactor;

/// The most bytes of the log that are kept for S3. Standard output gets all of it.
const MAX_KEPT: usize = 32 * 1024 * 1024;

/// Collects lines of JSON. Messages of Terraform are kept as they are; everything else becomes a
/// message of the same shape (`@level`, `@message`, `@module`, `@timestamp`, `type`). Clones share
/// one log.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
    clock: Arc<dyn Clock>,
}

struct Inner {
    out: Box<dyn Write + Send>,
    kept: Vec<u8>,
    full: bool,
    redactor: Redactor,
    places: Places,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

impl Log {
    /// Creates a log that writes to `out`, without the secrets that `redactor` knows.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, redactor: Redactor, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            out,
            kept: Vec::new(),
            full: false,
            redactor,
            places: Places::default(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            clock,
        }
    }

    /// Writes a line of Terraform output.
    pub fn terraform(&self, line: &Line<'_>) {
        if matches!(line.event, Event::Text(_)) {
            if !line.text.trim().is_empty() {
                let level = if line.source == Source::Stderr {
                    "error"
                } else {
                    "info"
                };
                self.message(level, "terraform.text", "text", line.text);
            }
        } else {
            let line = self.lock().places.in_message(line.text);
            self.write(&line);
        }
    }

    /// Writes a step of the runner.
    pub fn step(&self, text: &str) {
        self.message("info", "sluicegate.runner", "step", text);
    }

    /// Writes an error of the runner.
    pub fn error(&self, text: &str) {
        self.message("error", "sluicegate.runner", "error", text);
    }

    /// Adds a sensitive value that is masked from now on.
    pub fn hide(&self, value: &OutputValue) {
        self.lock().redactor.add_value(value);
    }

    /// Names what is at the places of a variable file from now on.
    pub fn name(&self, places: Places) {
        self.lock().places = places;
    }

    /// Masks the known secrets in a text, and names the places of the variable file.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let inner = self.lock();
        inner.redactor.clean(&inner.places.in_text(text))
    }

    /// Returns whether a text contains a known secret.
    #[must_use]
    pub fn is_secret(&self, text: &str) -> bool {
        self.lock().redactor.clean(text) != text
    }

    /// Returns all lines that were kept.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        self.lock().kept.clone()
    }

    fn message(&self, level: &str, module: &str, kind: &str, text: &str) {
        let line = json!({
            "@level": level,
            "@message": text,
            "@module": module,
            "@timestamp": self.clock.now().to_string(),
            "type": kind,
        });
        self.write(&line.to_string());
    }

    fn write(&self, line: &str) {
        let mut inner = self.lock();
        let mut line = inner.redactor.clean(&inner.places.in_text(line));
        line.push('\n');
        // A closed standard output must not stop an apply.
        let _ignored = inner
            .out
            .write_all(line.as_bytes())
            .and_then(|()| inner.out.flush());
        if inner.kept.len() + line.len() <= MAX_KEPT {
            inner.kept.extend_from_slice(line.as_bytes());
        } else if !inner.full {
            inner.full = true;
            inner.kept.extend_from_slice(
                b"{\"@level\":\"warn\",\"@message\":\"the rest is in the job's log stream\",\"@module\":\"sluicegate.runner\",\"type\":\"step\"}\n",
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
