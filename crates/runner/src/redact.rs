//! Masks known secrets in every text that leaves the job.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use domain::outputs::OutputValue;
use memchr::memmem::Finder;

use crate::decoded::Decoded;

/// The text that replaces a secret.
const MASK: &str = "[redacted]";
/// The shortest value that is masked, in bytes. Masking shorter ones would remove ordinary text.
const SHORTEST: usize = 6;
/// The environment variables whose values are secrets.
const SECRET_VARIABLES: &[&str] = &[
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
];

/// What is searched for in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// The secret, in lower case: `upper`, `lower` and `title` change the case.
    Plain,
    /// The characters of base64 that only the secret determines. Those around them depend on the
    /// secret and on what is encoded with it, so all of them are masked.
    Base64,
}

/// Masks known values, and what Terraform's functions make of them: parts of JSON, of a URL, of HTML,
/// and base64. It does not guess: a value that was not added is not masked.
#[derive(Clone, Default)]
pub struct Redactor {
    searched: Vec<(Form, Finder<'static>)>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.searched.len())
    }
}

impl Redactor {
    /// Masks the credentials in the environment of the job, because code that runs during a plan
    /// can print them.
    pub fn of_environment<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut redactor = Self::default();
        for (key, value) in variables {
            if SECRET_VARIABLES.contains(&key) {
                redactor.add(value);
            }
        }
        redactor
    }

    /// Adds a secret. Each of its lines is a secret too.
    pub fn add(&mut self, secret: &str) {
        let lines = secret.lines().map(str::trim);
        for text in std::iter::once(secret.trim()).chain(lines) {
            if text.len() >= SHORTEST {
                self.search(Form::Plain, &text.as_bytes().to_ascii_lowercase());
            }
        }
        let secret = secret.trim();
        if secret.len() < SHORTEST {
            return;
        }
        let json = inside_quotes(secret);
        let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let encoded = BASE64.encode(secret);
        for bytes in [
            secret.as_bytes(),
            json.as_bytes(),
            escape_html(&json).as_bytes(),
            &utf16,
            encoded.as_bytes(),
        ] {
            for text in base64(bytes) {
                self.search(
                    Form::Base64,
                    text.replace('+', "-").replace('/', "_").as_bytes(),
                );
                self.search(Form::Base64, text.as_bytes());
            }
        }
    }

    /// Adds every string and every number inside a sensitive value.
    pub fn add_value(&mut self, value: &OutputValue) {
        for text in value.texts() {
            self.add(&text);
        }
    }

    /// Masks the known secrets in a text.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let mut found = self.find(text);
        found.sort_by_key(|range| range.start);
        let mut clean = String::new();
        let mut end = 0;
        for range in found {
            // Ranges that overlap have one mask.
            if range.start >= end {
                clean.push_str(text.get(end..range.start).unwrap_or_default());
                clean.push_str(MASK);
            }
            end = end.max(range.end);
        }
        clean.push_str(text.get(end..).unwrap_or_default());
        clean
    }

    fn search(&mut self, form: Form, bytes: &[u8]) {
        let is_same =
            |(other, finder): &(Form, Finder<'_>)| *other == form && finder.needle() == bytes;
        if !self.searched.iter().any(is_same) {
            self.searched.push((form, Finder::new(bytes).into_owned()));
        }
    }

    /// Returns the ranges of the text to mask.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.searched.is_empty() {
            return found;
        }
        for decoded in Decoded::all(text) {
            let bytes = decoded.bytes();
            let lower = bytes.to_ascii_lowercase();
            for (form, searched) in &self.searched {
                let length = searched.needle().len();
                let ranges: Vec<Range<usize>> = match form {
                    Form::Plain => searched
                        .find_iter(&lower)
                        .map(|start| start..start + length)
                        .collect(),
                    Form::Base64 => searched
                        .find_iter(bytes)
                        .map(|start| around(bytes, start..start + length))
                        .collect(),
                };
                found.extend(ranges.into_iter().filter_map(|range| {
                    Some(decoded.place(range.start)?..decoded.place(range.end)?)
                }));
            }
        }
        found
    }
}

/// Returns the range with all characters of base64 around it.
fn around(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    let before = bytes.get(..range.start).unwrap_or_default();
    let after = bytes.get(range.end..).unwrap_or_default();
    let before = before.iter().rev().take_while(is_part).count();
    let after = after.iter().take_while(is_part).count();
    range.start - before..range.end + after
}

/// Returns the characters of base64 that do not depend on what is before and after the bytes. The
/// bytes before can have three lengths, modulo 3.
fn base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3_usize).map(|before| {
        let text = [vec![0; before], bytes.to_vec()].concat();
        // Each character is 6 bits. The first and the last may have bits of others.
        let (start, end) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
        let encoded = BASE64.encode(&text);
        encoded.get(start..end).unwrap_or_default().to_owned()
    })
}

/// Returns the text as in a string of JSON.
fn inside_quotes(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.get(1..quoted.len().saturating_sub(1));
    inner.unwrap_or_default().to_owned()
}

/// Escapes the characters that Terraform's `jsonencode` escapes, besides those that JSON must.
fn escape_html(json: &str) -> String {
    let mut escaped = String::new();
    for c in json.chars() {
        if matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
