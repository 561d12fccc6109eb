//! Prints progress, with the time of each step.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Prints progress. Clones share the output.
#[derive(Clone)]
pub struct Progress {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    began: Instant,
}

impl Progress {
    /// Creates a printer for `out`. Times count from this call.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out: Arc::new(Mutex::new(out)),
            began: Instant::now(),
        }
    }

    /// Returns the seconds since the start.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Prints a heading.
    pub fn heading(&self, title: &str) {
        self.write(&format!("\n{title}\n"));
    }

    /// Prints a step.
    pub fn step(&self, text: &str) {
        self.write(&format!("{:>7.1} s  {text}\n", self.seconds()));
    }

    /// Prints a fact that was verified.
    pub fn fact(&self, text: &str) {
        self.write(&format!("{:>7.1} s  ok: {text}\n", self.seconds()));
    }

    /// Prints text without a time.
    pub fn text(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    fn write(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed output must not stop the scenarios in the middle of an apply.
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .ok();
    }
}
