#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
use hcl_edit::Span;
use hcl_edit::structure::{Block as HclBlock, Body};
use proptest::prelude::*;

fn facts(name: &str, text: &str) -> Facts {
    scan([(name, text.as_bytes())])
}

/// Returns the same facts, found by a full parser. None if it does not accept the text.
fn parsed(text: &str) -> Option<Facts> {
    let body: Body = text.parse().ok()?;
    let mut facts = Facts::default();
    for block in body.get_blocks("variable") {
        let Some(label) = block.labels.first() else {
            continue;
        };
        let arguments = facts
            .variables
            .entry(label.as_str().to_owned())
            .or_default();
        let set = block.body.attributes();
        arguments.extend(set.map(|attribute| attribute.key.as_str().to_owned()));
    }
    for terraform in body.get_blocks("terraform") {
        for block in terraform.body.blocks() {
            let kind = match block.ident.as_str() {
                "backend" => block.labels.first().map_or("", |label| label.as_str()),
                "cloud" => "cloud",
                _ => continue,
            };
            facts.backends.push(BackendBlock {
                file: "main.tf".to_owned(),
                line: Some(line_of(text, block)),
                kind: kind.to_owned(),
                settings: block
                    .body
                    .iter()
                    .map(|item| match (item.as_attribute(), item.as_block()) {
                        (Some(attribute), _) => attribute.key.as_str().to_owned(),
                        (None, block) => block.unwrap().ident.as_str().to_owned(),
                    })
                    .collect(),
            });
        }
    }
    Some(facts)
}

fn line_of(text: &str, block: &HclBlock) -> u64 {
    let start = block.span().unwrap().start;
    let lines = text
        .bytes()
        .take(start)
        .filter(|byte| *byte == b'\n')
        .count();
    u64::try_from(lines).unwrap() + 1
}

#[test]
fn variables_and_backends_are_found_in_both_notations() {
    let text = "# backend \"local\" {}\nvariable \"data\" {}\nterraform {\n  backend \"s3\" {\n    bucket = \"b\"\n    \
                assume_role {}\n  }\n}\nlocals {\n  x = <<E\nterraform { backend \"no\" {} }\nE\n}\nmodule \"net\" {\n  \
                source = \"../net\"\n}\n";
    let native = facts("main.tf", text);
    let names: Vec<&String> = native.variables.keys().collect();
    assert_eq!(names, ["data"]);
    assert_eq!(
        native.backends,
        [BackendBlock {
            file: "main.tf".into(),
            line: Some(4),
            kind: "s3".into(),
            settings: vec!["bucket".into(), "assume_role".into()],
        }]
    );
    assert_eq!(Some(native), parsed(text));
    let json = facts(
        "x.tf.json",
        r#"{"variable":[{"a":{}},{"b":{}}],"terraform":[{"backend":{"http":[{"address":"u"}]}},
        [[{"cloud":{"organization":"o"}}]]]}"#,
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
fn the_arguments_of_a_variable_are_those_of_all_its_blocks() {
    let text = "variable \"data\" {\n  type = object({ sensitive = string })\n  validation {\n    condition = true\n  }\n}\n\
                variable \"net\" { ephemeral = true }\n";
    let files = [
        ("main.tf", text),
        (
            "last_override.tf",
            "variable \"data\" { sensitive = false }\n",
        ),
        (
            "more.tf.json",
            r#"{"variable": {"net": {"nullable": false}, "none": {}}}"#,
        ),
    ];
    let found = scan(files.map(|(name, text)| (name, text.as_bytes())));
    let found: Vec<(&str, Vec<&str>)> = found
        .variables
        .iter()
        .map(|(name, set)| (name.as_str(), set.iter().map(String::as_str).collect()))
        .collect();
    let expected = [
        ("data", vec!["sensitive", "type"]),
        ("net", vec!["ephemeral", "nullable"]),
        ("none", vec![]),
    ];
    assert_eq!(found, expected);
    assert_eq!(Some(facts("main.tf", text)), parsed(text));
}

/// Each text hides a backend from a reader that takes one character for another.
#[test]
fn nothing_hides_a_backend() {
    let block = "terraform {\n  backend \"local\" {}\n}\n";
    for before in [
        "locals { x = \"${\"}\"}\" }\n",
        "locals { x = \"\\\"{\" }\n",
        "locals { x = \"$${\" }\n",
        "locals { x = \"%%{ $\" }\n",
        "locals { x = \"%{ if true }{%{ endif }\" }\n",
        "locals {\n  x = <<-E\n    { ${ \"}\" } E\n    \"\n    E\n}\n",
        "locals {\n  x = <<A\n${ <<B\n}\nB\n}\nA\n}\n",
        "locals {\n  x = 1 # {\n  y = 2 // \"\n  /* { \" */\n}\n",
        "locals {\n  x = [for a in b : { (a) = a } if a != \"{\"]\n}\n",
        "locals {\n  x = a == b ? {\n  } : {}\n}\r\n",
        "\u{feff}",
        "x \"y\" z { a = 1 }\n",
        "locals {\n  x = \"$\"\n  y = \"%\"\n}\n",
    ] {
        let found = facts("main.tf", &format!("{before}{block}"));
        assert_eq!(found.unread, Vec::<String>::new(), "{before:?}");
        let kinds: Vec<_> = found
            .backends
            .iter()
            .map(|block| block.kind.as_str())
            .collect();
        assert_eq!(kinds, ["local"], "{before:?}");
    }
    for (label, kind) in [("\"s\\u0033\"", "${}"), ("s3", "s3"), ("", "")] {
        let found = facts(
            "main.tf",
            &format!("terraform {{\n  backend {label} {{}}\n}}\n"),
        );
        assert_eq!(found.backends.first().unwrap().kind, kind);
    }
}

#[test]
fn only_blocks_at_their_place_count() {
    let found = facts(
        "main.tf",
        "a {\n  terraform {\n    backend \"x\" {}\n  }\n  variable \"v\" {}\n}\nbackend \"y\" {}\nterraform {\n  b {\n    cloud {}\n  }\n}\n",
    );
    assert_eq!(found, Facts::default());
}

#[test]
fn a_file_with_a_mistake_is_left_to_terraform() {
    for text in [
        "variable \"x\" {",
        "a = \"",
        "a = <<E\n",
        "/*",
        "}",
        "a = (]\n",
        "a\n",
        "= 1\n",
        "a = \"\n\"\n",
    ] {
        assert_eq!(facts("bad.tf", text).unread, ["bad.tf"], "{text:?}");
    }
    for text in [
        "{",
        // Terraform reads both blocks, and each object of the list.
        r#"{"terraform":{"backend":{"http":{}}},"terraform":{}}"#,
        r#"[{"terraform":{"backend":{"http":{}}}}]"#,
        r#"{"terraform":{"backend":"http"}}"#,
    ] {
        let found = facts("bad.tf.json", text);
        assert_eq!(found.unread, ["bad.tf.json"], "{text}");
        assert_eq!(found.backends, [], "{text}");
    }
    assert_eq!(facts("README.md", "{"), Facts::default());
}

/// Returns expressions of HCL, nested up to three times.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("var.a".to_owned()),
        Just("\"text\"".to_owned()),
        Just("\"\\\" { $${ %%{ # // /*\"".to_owned()),
        Just("<<E\n  { \" ${1} $${ }\nE\n".to_owned()),
        Just("<<-E\n  a\n  EE\n  ${\"E\"}\n  E\n".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|e| format!("\"a${{{e}}}b\"")),
            inner.clone().prop_map(|e| format!("[\n  {e}]")),
            inner.clone().prop_map(|e| format!("f({e})")),
            inner.prop_map(|e| format!("{{\n  k = {}\n}}", e.trim_end_matches('\n'))),
        ]
    })
}

fn body() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("source"),
        Just("bucket"),
        Just("a-b"),
        Just("terraform"),
        Just("x1"),
    ];
    let header = prop_oneof![
        Just("terraform"),
        Just("backend \"s3\""),
        Just("backend \"local\""),
        Just("cloud"),
        Just("module \"m\""),
        Just("variable \"v\""),
        Just("resource \"a\" \"b\""),
        Just("dynamic x"),
    ];
    let comment = prop_oneof![
        Just("# { \" <<E\n".to_owned()),
        Just("// }\n".to_owned()),
        Just("/* {\n\" */\n".to_owned()),
        Just("\n".to_owned()),
    ];
    let argument = (name, expression())
        .prop_map(|(name, value)| format!("{name} = {}\n", value.trim_end_matches('\n')));
    let item = prop_oneof![argument, comment];
    item.prop_recursive(4, 24, 4, move |inner| {
        (header.clone(), prop::collection::vec(inner, 0..4))
            .prop_map(|(header, items)| format!("{header} {{\n{}}}\n", items.concat()))
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_scan_panic(text in "(?s).{0,300}|[\"$%{}<\\-E\n\\\\ =a]{0,60}") {
        let _native = facts("a.tf", &text);
        let _json = facts("a.tf.json", &text);
    }

    #[test]
    fn a_full_parser_finds_the_same(bodies in prop::collection::vec(body(), 0..5)) {
        let text = bodies.concat();
        let expected = parsed(&text);
        prop_assume!(expected.is_some());
        prop_assert_eq!(Some(facts("main.tf", &text)), expected, "{}", text);
    }

    /// Where both accept a damaged text, the facts are still the same. The parser accepts more than Terraform
    /// and the scan do, such as a line end in a string. Terraform then stops the job with a syntax error.
    #[test]
    fn a_full_parser_finds_the_same_in_damaged_text(
        bodies in prop::collection::vec(body(), 1..4),
        at in any::<prop::sample::Index>(),
        with in "[\"{}#\n$E=]{0,2}",
    ) {
        let text = bodies.concat();
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = ends.get(at.index(ends.len())).copied().unwrap();
        let (head, tail) = text.split_at(at);
        let tail = tail.get(1..).unwrap_or_default();
        let text = format!("{head}{with}{tail}");
        if let Some(expected) = parsed(&text) {
            let found = facts("main.tf", &text);
            if found.unread.is_empty() {
                prop_assert_eq!(&found.backends, &expected.backends, "{}", text);
            }
        }
    }
}
