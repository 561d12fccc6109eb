//! Terraform's JSON syntax, as far as it can be read without Terraform.
//!
//! Terraform reads every occurrence of a repeated key, and merges lists of objects in its own ways.
//! What other readers could take differently is refused, so that a caller never judges less than
//! Terraform reads.

use crate::json::Strict;
use serde_json::{Map, Value};

/// The arguments and nested blocks of a block, or of a file.
pub type Body = Map<String, Value>;

/// Reads a `.tf.json` file. Returns none if it is not one JSON object, or if an object in it has a
/// key twice. Terraform accepts some of these files.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Body> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(body))) => Some(body),
        _ => None,
    }
}

/// Returns the bodies of the blocks in a value: an object is one block, and a list, also one in a
/// list, is several. `null` stands for nothing. Returns none for any other value, which Terraform
/// rejects.
#[must_use]
pub fn blocks(value: Option<&Value>) -> Option<Vec<&Body>> {
    let mut found = Vec::new();
    let mut open: Vec<&Value> = value.into_iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Null => {}
            Value::Object(body) => found.push(body),
            Value::Array(list) => open.extend(list.iter().rev()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        }
    }
    Some(found)
}

/// Returns the blocks in a value by their first label, such as the module calls by their names.
/// Returns none where [`blocks`] does.
#[must_use]
pub fn labelled(value: Option<&Value>) -> Option<Vec<(&str, &Body)>> {
    let mut found = Vec::new();
    for labels in blocks(value)? {
        for (label, bodies) in labels {
            let bodies = blocks(Some(bodies))?.into_iter();
            found.extend(bodies.map(|body| (label.as_str(), body)));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_file_that_terraform_may_read_differently_is_not_read() {
        assert!(parse(br#"{"module": {"a": {"source": "./a"}}, "//": "text"}"#).is_some());
        for text in [
            "",
            "{",
            "{} {}",
            "7",
            // Terraform reads each object of the list.
            r#"[{"module": {}}]"#,
            // Terraform reads both.
            r#"{"module": {"a": {}}, "module": {"b": {}}}"#,
            r#"{"module": {"a": {"source": "./a", "\u0073ource": "./b"}}}"#,
            r#"{"locals": [{"a": {"b": 1, "b": 2}}]}"#,
            "\u{feff}{}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn lists_are_several_blocks_however_deep() {
        let value = json!([{"a": 1}, [[{"b": 2}], null], {"c": 3}]);
        let found: Vec<&String> = blocks(Some(&value))
            .unwrap()
            .into_iter()
            .flat_map(Map::keys)
            .collect();
        assert_eq!(found, ["a", "b", "c"]);
        assert_eq!(blocks(None), Some(Vec::new()));
        assert_eq!(blocks(Some(&json!([{}, "text"]))), None);

        let value = json!([{"a": {"x": 1}}, {"b": [{"x": 2}, [{"x": 3}]], "c": null}]);
        let found: Vec<(&str, &Value)> = labelled(Some(&value))
            .unwrap()
            .into_iter()
            .map(|(label, body)| (label, body.get("x").unwrap()))
            .collect();
        assert_eq!(
            found,
            [("a", &json!(1)), ("b", &json!(2)), ("b", &json!(3))]
        );
        assert_eq!(labelled(Some(&json!({"a": true}))), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|[\\[{\":,}\\]a1]{0,40}") {
            if let Some(body) = parse(text.as_bytes()) {
                for value in body.values() {
                    let _any = labelled(Some(value));
                }
            }
        }
    }
}
