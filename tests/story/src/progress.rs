//! Prints progress, each step with its time.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Where progress is printed. Clones print to the same place.
#[derive(Clone)]
pub struct Progress {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    began: Instant,
}

impl Progress {
    /// Prints to `out`; times count from now.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out: Arc::new(Mutex::new(out)),
            began: Instant::now(),
        }
    }

    /// Seconds since the start.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// A heading.
    pub fn heading(&self, title: &str) {
        self.write(&format!("\n{title}\n"));
    }

    /// A step that happened.
    pub fn step(&self, text: &str) {
        self.write(&format!("{:>7.1} s  {text}\n", self.seconds()));
    }

    /// A fact that was looked at and is as it should be.
    pub fn fact(&self, text: &str) {
        self.write(&format!("{:>7.1} s  ok: {text}\n", self.seconds()));
    }

    /// Text without a time.
    pub fn text(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    fn write(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that went away must not stop the scenarios in the middle of an apply.
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .ok();
    }
}
