//! Finds declared variables and backend blocks in the files of a stack.

use std::collections::BTreeSet;

use hcl_edit::Span;
use hcl_edit::structure::{Block, Body};
use serde_json::Value;

/// The declarations in the files of one directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The names of the declared input variables.
    pub variables: BTreeSet<String>,
    /// The `backend` and `cloud` blocks.
    pub backends: Vec<BackendBlock>,
    /// The files that are not valid HCL or JSON. Terraform reports the reason.
    pub unread: Vec<String>,
}

/// A block that configures where the state is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendBlock {
    /// The name of the file.
    pub file: String,
    /// The line, from 1; 0 if it is unknown, as for JSON.
    pub line: usize,
    /// The type of the backend, or `cloud`.
    pub kind: String,
    /// The names of its arguments and nested blocks.
    pub settings: Vec<String>,
}

/// Parses the `.tf` and `.tf.json` files among `files`, which are pairs of name and text.
#[must_use]
pub fn scan(files: &[(String, String)]) -> Facts {
    let mut facts = Facts::default();
    for (name, text) in files {
        let read = if name.ends_with(".tf.json") {
            scan_json(name, text, &mut facts)
        } else if name.ends_with(".tf") {
            scan_native(name, text, &mut facts)
        } else {
            continue;
        };
        if read.is_none() {
            facts.unread.push(name.clone());
        }
    }
    facts
}

fn scan_native(name: &str, text: &str, facts: &mut Facts) -> Option<()> {
    let body: Body = text.parse().ok()?;
    for block in body.get_blocks("variable") {
        facts
            .variables
            .extend(block.labels.first().map(|label| label.as_str().to_owned()));
    }
    for terraform in body.get_blocks("terraform") {
        for block in terraform.body.blocks() {
            let kind = match block.ident.as_str() {
                "backend" => block.labels.first().map_or("", |label| label.as_str()),
                "cloud" => "cloud",
                _ => continue,
            };
            facts.backends.push(BackendBlock {
                file: name.to_owned(),
                line: line_of(text, block),
                kind: kind.to_owned(),
                settings: block
                    .body
                    .attributes()
                    .map(|attribute| attribute.key.as_str().to_owned())
                    .chain(
                        block
                            .body
                            .blocks()
                            .map(|inner| inner.ident.as_str().to_owned()),
                    )
                    .collect(),
            });
        }
    }
    Some(())
}

fn line_of(text: &str, block: &Block) -> usize {
    let start = block.span().map_or(0, |span| span.start);
    text.bytes()
        .take(start)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

fn scan_json(name: &str, text: &str, facts: &mut Facts) -> Option<()> {
    let root: Value = serde_json::from_str(text).ok()?;
    for variables in each(root.get("variable")) {
        facts.variables.extend(
            variables
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key.clone()),
        );
    }
    for terraform in each(root.get("terraform")) {
        let labelled = each(terraform.get("backend"))
            .filter_map(Value::as_object)
            .flatten()
            .flat_map(|(kind, bodies)| each(Some(bodies)).map(move |body| (kind.as_str(), body)));
        let cloud = each(terraform.get("cloud")).map(|body| ("cloud", body));
        for (kind, body) in labelled.chain(cloud) {
            facts.backends.push(BackendBlock {
                file: name.to_owned(),
                line: 0,
                kind: kind.to_owned(),
                settings: body
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, _)| key.clone())
                    .collect(),
            });
        }
    }
    Some(())
}

/// Returns the blocks of a JSON value, which is one object or a list of objects.
fn each(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (one, many) = match value {
        Some(Value::Array(list)) => (None, list.as_slice()),
        other => (other, [].as_slice()),
    };
    one.into_iter().chain(many)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(name: &str, text: &str) -> Facts {
        scan(&[(name.to_owned(), text.to_owned())])
    }

    #[test]
    fn variables_and_backends_are_found_in_both_notations() {
        let native = facts(
            "main.tf",
            "# backend \"local\" {}\nvariable \"data\" {}\nterraform {\n  backend \"s3\" {\n    \
             bucket = \"b\"\n    assume_role {}\n  }\n}\nlocals {\n  x = <<E\nterraform { backend \
             \"no\" {} }\nE\n}\n",
        );
        assert_eq!(native.variables, BTreeSet::from(["data".to_owned()]));
        assert_eq!(
            native.backends,
            [BackendBlock {
                file: "main.tf".into(),
                line: 4,
                kind: "s3".into(),
                settings: vec!["bucket".into(), "assume_role".into()],
            }]
        );
        let json = facts(
            "x.tf.json",
            r#"{"variable":[{"a":{}},{"b":{}}],"terraform":[{"backend":{"http":[{"address":"u"}]}},
            {"cloud":{"organization":"o"}}]}"#,
        );
        assert_eq!(json.variables.len(), 2);
        let kinds: Vec<_> = json
            .backends
            .iter()
            .map(|block| block.kind.as_str())
            .collect();
        assert_eq!(kinds, ["http", "cloud"]);
    }

    #[test]
    fn a_file_with_a_mistake_is_left_to_terraform() {
        assert_eq!(facts("bad.tf", "variable \"x\" {").unread, ["bad.tf"]);
        assert_eq!(facts("bad.tf.json", "{").unread, ["bad.tf.json"]);
        assert_eq!(facts("README.md", "{"), Facts::default());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_scan_panic(text in "\\PC*") {
            let _native = facts("a.tf", &text);
            let _json = facts("a.tf.json", &text);
        }
    }
}
