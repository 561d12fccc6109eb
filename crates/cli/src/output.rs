//! The output of a command.

use crate::failure::Outcome;
use domain::text;
use serde::Serialize;
use std::io::Write;

/// Standard output and standard error, and the format of the output.
pub struct Output<'a> {
    /// Standard output.
    pub out: &'a mut (dyn Write + Send),
    /// Standard error.
    pub err: &'a mut (dyn Write + Send),
    /// Whether to print JSON.
    pub json: bool,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// The number of lines that the last redraw printed.
    pub drawn: usize,
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

impl Output<'_> {
    /// Writes text. What a terminal would act on becomes a space, because records and logs quote what
    /// programs of a delivered repository printed.
    ///
    /// # Errors
    /// The errors of the stream.
    pub fn text(&mut self, text: &str) -> Outcome {
        self.raw(&text::inert_lines(text))
    }

    fn raw(&mut self, text: &str) -> Outcome {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// The errors of the stream.
    pub fn value(&mut self, value: &impl Serialize) -> Outcome {
        let json = serde_json::to_string_pretty(value)?;
        self.raw(&format!("{}\n", text::escape_json(&json)))
    }

    /// Writes a value as one line of JSON.
    ///
    /// # Errors
    /// The errors of the stream.
    pub fn line(&mut self, value: &impl Serialize) -> Outcome {
        let json = serde_json::to_string(value)?;
        self.raw(&format!("{}\n", text::escape_json(&json)))
    }

    /// Writes text in place of the text of the last call.
    ///
    /// # Errors
    /// The errors of the stream.
    pub fn redraw(&mut self, picture: &str) -> Outcome {
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A\u{1b}[J"),
        };
        self.drawn = picture.lines().count();
        self.raw(&up)?;
        self.text(picture)
    }

    /// Writes a warning to standard error.
    ///
    /// # Errors
    /// The errors of the stream.
    pub fn warn(&mut self, text: &str) -> Outcome {
        Ok(writeln!(self.err, "warning: {}", text::inert_lines(text))?)
    }
}
