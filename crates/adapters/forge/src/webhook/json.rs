//! JSON without its loopholes: no key twice, no trailing bytes, no deep nesting.

use super::Refusal;
use domain::json::Strict;
use serde_json::Value;
use serde_json::error::Category;

/// The deepest nesting of objects and lists.
const DEPTH: usize = 64;

/// Parses JSON.
///
/// # Errors
/// [`Refusal`] with status 400.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::new(400, "WH110", "empty body"));
    }
    if is_deep(bytes) {
        let message = format!("JSON nested deeper than {DEPTH}");
        return Err(Refusal::new(400, "WH115", message));
    }
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(value)) => Ok(value),
        // `Strict` accepts any value, so only a duplicate key gives a data error.
        Err(error) if error.classify() == Category::Data => {
            Err(Refusal::new(400, "WH116", error.to_string()))
        }
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let message = format!("invalid JSON at {line}:{column}");
            Err(Refusal::new(400, "WH114", message))
        }
    }
}

/// Counts brackets before parsing, so that deep nesting cannot exhaust the stack.
fn is_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > DEPTH {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use proptest::prelude::*;

    fn said(text: &[u8]) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn bad_json_has_its_codes() {
        assert_eq!(said(b""), "WH110 empty body");
        assert_eq!(said(b"{\n  oops}"), "WH114 invalid JSON at 2:3");
        assert_eq!(said(b"{} {}"), "WH114 invalid JSON at 1:4");
        assert_eq!(said(b"[\"\xff\"]"), "WH114 invalid JSON at 1:3");
        assert_eq!(said(b"[NaN]"), "WH114 invalid JSON at 1:2");
        assert_eq!(said(b"\xef\xbb\xbf{}"), "WH114 invalid JSON at 1:1");
        assert_eq!(
            said(br#"{"after":1,"b":{"a":1},"after":2}"#),
            "WH116 duplicate key \"after\" at line 1 column 30"
        );
        assert!(said(br#"[{"a":1,"\u0061":2}]"#).starts_with("WH116 duplicate key \"a\""));
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(64).as_bytes()).is_ok());
        assert_eq!(
            said(nested(65).as_bytes()),
            "WH115 JSON nested deeper than 64"
        );
        assert!(said(&b"{\"a\":".repeat(100_000)).starts_with("WH115"));
        // Brackets inside a string do not count.
        let text = format!("[\"\\\"{}\"]", "[".repeat(100));
        assert!(parse(text.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn good_json_is_read_as_serde_reads_it(text in "[\\[\\]{}\",:0-9a\\\\ ]{0,40}") {
            let strict = parse(text.as_bytes());
            match serde_json::from_str::<Value>(&text) {
                Ok(value) => match strict {
                    Ok(found) => prop_assert_eq!(found, value),
                    Err(refusal) => prop_assert_eq!(refusal.code, "WH116"),
                },
                Err(_) => prop_assert!(strict.is_err()),
            }
        }
    }
}
