//! Parses `terraform state pull`: addresses and ids, no other value.

use domain::plan::{Attributes, ObjectId, Resources, StateObjects, StateVersion};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::Error;

/// The version of the format that Terraform has written since 0.12.
const FORMAT: u64 = 4;

#[derive(Deserialize)]
struct Raw {
    version: u64,
    serial: u64,
    lineage: String,
    #[serde(default)]
    resources: Vec<RawResource>,
}

#[derive(Deserialize)]
struct RawResource {
    #[serde(default)]
    module: Option<String>,
    mode: String,
    #[serde(rename = "type")]
    resource_type: String,
    name: String,
    #[serde(default)]
    provider: String,
    instances: Vec<RawInstance>,
}

#[derive(Deserialize)]
struct RawInstance {
    #[serde(default)]
    index_key: Option<Key>,
    #[serde(default)]
    deposed: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Key {
    Number(i64),
    Text(String),
}

/// What a state holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its resources.
    pub objects: StateObjects,
    /// The sources of the providers of its resources and data sources, such as
    /// `registry.terraform.io/hashicorp/aws`.
    pub providers: BTreeSet<String>,
}

/// Parses a state. Terraform prints nothing if no state exists yet.
///
/// # Errors
/// [`Error::Unreadable`] if it is not a state of the known format.
pub(crate) fn parse(bytes: &[u8]) -> Result<State, Error> {
    if bytes.trim_ascii().is_empty() {
        let version = StateVersion {
            lineage: String::new(),
            serial: 0,
            resources: Resources::None,
        };
        let objects = BTreeMap::new();
        return Ok(State {
            objects: StateObjects { version, objects },
            providers: BTreeSet::new(),
        });
    }
    let unreadable = |what| Error::Unreadable {
        command: "state pull",
        what,
    };
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| {
        // Only the position, because the text of the error may quote a value.
        let (line, column) = (error.line(), error.column());
        unreadable(format!("not a state (line {line}, column {column})"))
    })?;
    if raw.version != FORMAT {
        let found = raw.version;
        return Err(unreadable(format!(
            "state format {found}, expected {FORMAT}"
        )));
    }
    let mut objects = BTreeMap::new();
    let mut resources = Resources::None;
    for resource in raw.resources.iter().filter(|one| one.mode == "managed") {
        resources = Resources::Some;
        let current = resource
            .instances
            .iter()
            .filter(|one| one.deposed.is_none());
        for instance in current {
            let id = instance.attributes.as_ref().and_then(Attributes::identity);
            objects.insert(address(resource, instance), id.map(ObjectId::new));
        }
    }
    let providers = raw.resources.iter().map(|one| source(&one.provider));
    Ok(State {
        objects: StateObjects {
            version: StateVersion {
                lineage: raw.lineage,
                serial: raw.serial,
                resources,
            },
            objects,
        },
        providers: providers.map(str::to_owned).collect(),
    })
}

/// Returns the source in the address of a provider: `module.m.provider["<source>"].alias`.
fn source(address: &str) -> &str {
    let quoted = address.split_once("provider[\"").map(|(_, rest)| rest);
    let source = quoted.and_then(|rest| rest.split_once("\"]"));
    source.map_or(address, |(source, _)| source)
}

/// Returns the address of an instance, as plans write it.
fn address(resource: &RawResource, instance: &RawInstance) -> String {
    let mut address = String::new();
    if let Some(module) = &resource.module {
        address.push_str(module);
        address.push('.');
    }
    address.push_str(&resource.resource_type);
    address.push('.');
    address.push_str(&resource.name);
    match &instance.index_key {
        Some(Key::Number(number)) => address.push_str(&format!("[{number}]")),
        Some(Key::Text(text)) => address.push_str(&format!("[{}]", quoted(text))),
        None => {}
    }
    address
}

/// Quotes a key of `for_each` as Terraform does in addresses.
fn quoted(key: &str) -> String {
    let mut text = String::from("\"");
    let mut rest = key.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '"' | '\\' => text.extend(['\\', c]),
            '$' | '%' if rest.peek() == Some(&'{') => text.extend([c, c]),
            _ if is_printed(c) => text.push(c),
            _ if u32::from(c) < 0x1_0000 => {
                let _never_fails = write!(text, "\\u{:04x}", u32::from(c));
            }
            _ => {
                let _never_fails = write!(text, "\\U{:08x}", u32::from(c));
            }
        }
    }
    text.push('"');
    text
}

fn is_printed(c: char) -> bool {
    c.escape_debug().count() <= 2
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may stop at once")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_object_has_its_address_and_id() {
        let state = parse(
            br#"{"version":4,"terraform_version":"1.11.4","serial":9,"lineage":"l","outputs":{},"resources":[
            {"mode":"managed","type":"t","name":"one","provider":"provider[\"registry.terraform.io/hashicorp/aws\"].us","instances":[{"attributes":{"id":"1","input":"canary"}}]},
            {"mode":"managed","type":"t","name":"none","provider":"provider[\"registry.terraform.io/hashicorp/aws\"]","instances":[{"attributes":{"arn":"canary"}}]},
            {"mode":"managed","type":"t","name":"gone","provider":"provider[\"registry.terraform.io/hashicorp/aws\"]","instances":[{"deposed":"a1","attributes":{"id":"2"}}]},
            {"module":"module.m[\"x\"]","mode":"managed","type":"t","name":"many","provider":"module.m.provider[\"terraform.io/builtin/terraform\"]","instances":[
                {"index_key":0,"attributes":{"id":"3"}},
                {"index_key":"a${b}\"\n\u00e9\u200b $","attributes":{"id":"4"}}]},
            {"mode":"data","type":"t","name":"read","provider":"provider[\"registry.terraform.io/hashicorp/null\"]","instances":[{"attributes":{"id":"5"}}]}]}"#,
        )
        .unwrap();
        let providers = [
            "registry.terraform.io/hashicorp/aws",
            "registry.terraform.io/hashicorp/null",
            "terraform.io/builtin/terraform",
        ];
        assert_eq!(state.providers, providers.map(str::to_owned).into());
        let state = state.objects;
        let found: Vec<_> = state
            .objects
            .iter()
            .map(|(address, id)| (address.as_str(), id.as_ref().map(ObjectId::as_str)))
            .collect();
        assert_eq!(
            found,
            [
                (
                    "module.m[\"x\"].t.many[\"a$${b}\\\"\\n\u{e9}\\u200b $\"]",
                    Some("4")
                ),
                ("module.m[\"x\"].t.many[0]", Some("3")),
                ("t.none", None),
                ("t.one", Some("1")),
            ]
        );
        assert_eq!(
            (state.version.serial, state.version.lineage.as_str()),
            (9, "l")
        );
        assert_eq!(state.version.resources, Resources::Some);
        assert!(!format!("{state:?}").contains("canary"));
    }

    #[test]
    fn no_state_is_an_empty_one() {
        let state = parse(b"\n").unwrap().objects;
        assert_eq!((state.version.serial, state.objects.len()), (0, 0));
        assert_eq!(state.version.resources, Resources::None);
    }

    #[test]
    fn another_format_is_refused() {
        let error = parse(br#"{"version":3,"serial":1,"lineage":"l"}"#).unwrap_err();
        assert!(
            error.to_string().contains("state format 3, expected 4"),
            "{error}"
        );
        let error = parse(br#"{"canary":1}"#).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_error_or_a_state(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _result = parse(&bytes);
        }
    }
}
