//! The output values of a stack, as Terraform writes them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The outputs by name, in the form of `terraform output -json`.
pub type Outputs = BTreeMap<String, Output>;

/// An output. `Debug` hides a value that Terraform marks as sensitive.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Whether Terraform marks it as sensitive.
    #[serde(default)]
    pub sensitive: bool,
    /// Whether a text in it contains a known secret, although Terraform does not mark it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contains_secret: bool,
    /// The type in the notation of Terraform: `"string"`, `["list","string"]` and so on.
    #[serde(default, rename = "type")]
    pub kind: OutputValue,
    /// The value, in clear text even if it is sensitive. Store it encrypted, and never print it.
    #[serde(default)]
    pub value: OutputValue,
}

impl Output {
    /// Returns an output that is `null`.
    #[must_use]
    pub fn null(sensitive: bool) -> Self {
        Self {
            sensitive,
            contains_secret: false,
            kind: OutputValue("\"dynamic\"".to_owned()),
            value: OutputValue::default(),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Output");
        shown.field("sensitive", &self.sensitive);
        if self.sensitive || self.contains_secret {
            shown.finish_non_exhaustive()
        } else {
            shown
                .field("kind", &self.kind.json())
                .field("value", &self.value.json())
                .finish()
        }
    }
}

/// The value of an output: a compact JSON text in which a number has all digits that Terraform wrote.
/// Has no `Debug`, because the value may be sensitive.
#[derive(Clone, PartialEq, Eq)]
pub struct OutputValue(String);

impl OutputValue {
    /// Returns the value as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }

    /// Returns the value if it is a string.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        serde_json::from_str(&self.0).ok()
    }

    /// Returns every string and number in the value, without the keys of maps.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut found = Vec::new();
        // The text was read before, so it is read again.
        let _read = walk(&self.0, MAX_DEPTH, &mut |leaf| match leaf {
            Leaf::Text(text) => found.push(text),
            Leaf::Number(text) => found.push(text.to_owned()),
            Leaf::Other => {}
        });
        found
    }
}

impl Default for OutputValue {
    /// Returns `null`.
    fn default() -> Self {
        Self("null".to_owned())
    }
}

impl Serialize for OutputValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OutputValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // The text of the error may quote a value.
        let compact = walk(raw.get(), MAX_DEPTH, &mut |_| {});
        compact
            .map(Self)
            .ok_or_else(|| D::Error::custom("not the value of an output"))
    }
}

/// A value without parts.
enum Leaf<'a> {
    Text(String),
    Number(&'a str),
    /// `null` or a boolean.
    Other,
}

/// The number of lists and maps that may be in each other. The same as in `serde_json`.
const MAX_DEPTH: usize = 127;

/// Visits the leaves of a JSON text. Returns it in a form that does not depend on spaces, on the order
/// of keys or on how a string is escaped: outputs are compared by their digests. Returns none for a
/// text that is not JSON or is deeper than `depth`.
fn walk(json: &str, depth: usize, visit: &mut impl FnMut(Leaf<'_>)) -> Option<String> {
    let mut compact = String::new();
    match json.bytes().next() {
        Some(b'{') => {
            let depth = depth.checked_sub(1)?;
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
            compact.push('{');
            for (index, (key, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    compact.push(',');
                }
                compact.push_str(&serde_json::to_string(&key).ok()?);
                compact.push(':');
                compact.push_str(&walk(value.get(), depth, visit)?);
            }
            compact.push('}');
        }
        Some(b'[') => {
            let depth = depth.checked_sub(1)?;
            let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            compact.push('[');
            for (index, value) in items.into_iter().enumerate() {
                if index > 0 {
                    compact.push(',');
                }
                compact.push_str(&walk(value.get(), depth, visit)?);
            }
            compact.push(']');
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(json).ok()?;
            compact.push_str(&serde_json::to_string(&text).ok()?);
            visit(Leaf::Text(text));
        }
        first => {
            compact.push_str(json);
            visit(
                if first.is_some_and(|byte| byte == b'-' || byte.is_ascii_digit()) {
                    Leaf::Number(json)
                } else {
                    Leaf::Other
                },
            );
        }
    }
    Some(compact)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may fail by panicking"
    )]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_keeps_its_digits_and_a_null_its_place() {
        let text = r#"{"n": {"sensitive": false, "type": "number", "value": 123456789012345678901234567890},
            "o": {"value": { "b": [0.1234567890123456789012345, 1e400, null],  "a": "\u003c\u00e9" }}}"#;
        let outputs: Outputs = serde_json::from_str(text).unwrap();
        assert_eq!(outputs["n"].value.json(), "123456789012345678901234567890");
        let object = r#"{"a":"<é","b":[0.1234567890123456789012345,1e400,null]}"#;
        assert_eq!(outputs["o"].value.json(), object);
        assert_eq!(
            outputs["o"].value.texts(),
            ["<é", "0.1234567890123456789012345", "1e400"]
        );
        let stored = serde_json::to_string(&outputs).unwrap();
        assert!(stored.contains(object), "{stored}");
        assert_eq!(serde_json::from_str::<Outputs>(&stored).unwrap(), outputs);
    }

    #[test]
    fn a_sensitive_value_is_not_printed() {
        let mut output = Output::null(true);
        output.value = OutputValue("\"canary\"".to_owned());
        assert!(!format!("{output:?}").contains("canary"));
        output.sensitive = false;
        assert!(format!("{output:?}").contains("canary"));
        output.contains_secret = true;
        assert!(!format!("{output:?}").contains("canary"));
    }

    #[test]
    fn a_value_that_is_too_deep_is_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let read = |json: &str| serde_json::from_str::<OutputValue>(json);
        assert_eq!(read(&nested(127)).unwrap().json(), nested(127));
        let error = read(&nested(100_000)).err().unwrap().to_string();
        assert!(error.starts_with("not the value of an output"), "{error}");
    }

    proptest! {
        #[test]
        fn a_value_of_ordinary_numbers_stays_the_same(
            text in "\\PC{0,20}", number in any::<i64>(), fraction in -1e9_f64..1e9,
        ) {
            let value = serde_json::json!({"a": [text, number, {"b": fraction}], "c": null});
            let read: OutputValue = serde_json::from_str(&serde_json::to_string_pretty(&value).unwrap()).unwrap();
            prop_assert_eq!(read.json(), value.to_string());
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[\\[\\]{}\",:0-9ae.-]{0,40}") {
            let _read = serde_json::from_str::<OutputValue>(&text);
        }
    }
}
