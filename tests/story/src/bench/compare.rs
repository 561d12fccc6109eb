//! Compares the plans and the states of the two sides.
//!
//! The sides work in one account, each with its own objects. Equal are therefore not the texts but the
//! texts in which each side's environment name and the ids that the account assigned are replaced.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What replaces the name of the environment.
const ENVIRONMENT: &str = "<environment>";
/// Attributes that the account assigns when a resource is created. They are not compared.
const ASSIGNED: [&str; 2] = ["create_date", "unique_id"];
/// Lists of Terraform whose order is random.
const UNORDERED: [&str; 3] = [
    "check_results",
    "relevant_attributes",
    "sensitive_attributes",
];
/// The most characters of a value that are shown.
const LONGEST: usize = 300;
/// The most differences that are listed.
const MOST: usize = 10;

/// The texts of one side that the other side has under another name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By the text that is replaced. Longer texts come first when they are applied.
    names: BTreeMap<String, String>,
}

impl Names {
    /// Collects the ids in the attributes of resources, given by address, that are named like ids. An id
    /// is named after the resource and the attribute that has it, so it has the same name on both sides.
    pub(super) fn new<'a>(
        environment: &str,
        resources: impl IntoIterator<Item = (String, &'a Value)>,
    ) -> Self {
        let mut names = BTreeMap::from([(environment.to_owned(), ENVIRONMENT.to_owned())]);
        let resources: BTreeMap<String, &Value> = resources.into_iter().collect();
        // A resource's own id first: other resources refer to it.
        for own in [&["id"][..], &["arn"], &[]] {
            for (address, attributes) in &resources {
                let attributes = attributes.as_object().into_iter().flatten();
                for (attribute, value) in attributes.filter(|(name, _)| is_identifier(name)) {
                    if !own.is_empty() && !own.contains(&attribute.as_str()) {
                        continue;
                    }
                    for (i, id) in assigned(value.as_str().unwrap_or_default()).enumerate() {
                        let name = || format!("<{address}.{attribute}#{i}>");
                        names.entry(id.to_owned()).or_insert_with(name);
                    }
                }
            }
        }
        Self { names }
    }

    fn replace(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(id, _)| std::cmp::Reverse(id.len()));
        for (id, name) in names {
            if text.contains(id.as_str()) {
                text = text.replace(id.as_str(), name);
            }
        }
        text
    }

    fn normalized_text(&self, text: &str) -> (Value, bool) {
        let replaced = self.replace(text);
        let named = replaced != text;
        (replaced.into(), named)
    }

    /// Returns the value with names, and whether it contains one. A list with names is sorted: the
    /// order of a set depends on the ids in it.
    fn normalized(&self, value: &Value) -> (Value, bool) {
        match value {
            Value::String(text) if text.starts_with(['{', '[']) => {
                // A policy, or container definitions.
                match serde_json::from_str::<Value>(text) {
                    Ok(nested) => self.normalized(&nested),
                    Err(_) => self.normalized_text(text),
                }
            }
            Value::String(text) => self.normalized_text(text),
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| self.normalized(item)).collect();
                let named = items.iter().any(|(_, named)| *named);
                let mut items: Vec<Value> = items.into_iter().map(|(item, _)| item).collect();
                if named {
                    items.sort_by_cached_key(Value::to_string);
                }
                (items.into(), named)
            }
            Value::Object(fields) => {
                let mut named = false;
                let mut replaced = Map::new();
                let compared = |field: &str| !ASSIGNED.contains(&field);
                for (field, value) in fields.iter().filter(|(field, _)| compared(field)) {
                    let (mut value, is_named) = self.normalized(value);
                    if let Some(items) = value.as_array_mut()
                        && UNORDERED.contains(&field.as_str())
                    {
                        items.sort_by_cached_key(Value::to_string);
                    }
                    let key = self.replace(field);
                    named |= is_named || key != *field;
                    replaced.insert(key, value);
                }
                (replaced.into(), named)
            }
            other => (other.clone(), false),
        }
    }
}

/// Returns whether an attribute has an id, an ARN or a host name. Others, such as `etag` and
/// `source_code_hash`, are about the content, which must be equal.
fn is_identifier(attribute: &str) -> bool {
    let last = attribute.rsplit('_').next();
    matches!(last, Some("id" | "arn"))
        || ["arn_suffix", "dns_name", "endpoint"].contains(&attribute)
}

/// Returns the parts of a text that look like ids that AWS assigned: at least eight hexadecimal digits
/// or exactly 16 letters and digits, with a decimal digit among them, or the port of a local address.
fn assigned(text: &str) -> impl Iterator<Item = &str> {
    let is_id = |part: &str| {
        let is_hex = part.len() >= 8 && part.chars().all(|c| c.is_ascii_hexdigit());
        (is_hex || part.len() == 16)
            && part.chars().any(|c| c.is_ascii_digit())
            && !part.chars().all(|c| c == '0')
    };
    let port = text.strip_prefix("127.0.0.1:");
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(move |part| is_id(part))
        .chain(port)
}

/// Returns the normalized form of a plan that `terraform show -json` printed.
///
/// # Errors
/// When it is not JSON.
pub(super) fn plan(json: &[u8], environment: &str) -> serde_json::Result<Value> {
    let mut plan: Value = serde_json::from_slice(json)?;
    let resources = plan
        .pointer("/prior_state/values/root_module/resources")
        .and_then(Value::as_array);
    let resources = resources.into_iter().flatten().filter_map(|resource| {
        let address = resource.get("address")?.as_str()?;
        Some((address.to_owned(), resource.get("values")?))
    });
    let names = Names::new(environment, resources);
    if let Some(fields) = plan.as_object_mut() {
        fields.remove("timestamp");
    }
    Ok(names.normalized(&plan).0)
}

/// Returns the normalized form of a state file.
///
/// # Errors
/// When it is not JSON.
pub(super) fn state(json: &[u8], environment: &str) -> serde_json::Result<Value> {
    let mut state: Value = serde_json::from_slice(json)?;
    let mut instances = Vec::new();
    let resources = state.get("resources").and_then(Value::as_array);
    for resource in resources.into_iter().flatten() {
        let text = |field: &str| {
            let text = resource.get(field).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let address = format!("{}.{}.{}", text("mode"), text("type"), text("name"));
        let found = resource.get("instances").and_then(Value::as_array);
        for instance in found.into_iter().flatten() {
            let key = instance
                .get("index_key")
                .map(|key| key.to_string().replace(environment, ENVIRONMENT));
            let address = format!("{address}[{}]", key.unwrap_or_default());
            if let Some(attributes) = instance.get("attributes") {
                instances.push((address, attributes));
            }
        }
    }
    let names = Names::new(environment, instances);
    if let Some(fields) = state.as_object_mut() {
        fields.remove("lineage");
    }
    Ok(names.normalized(&state).0)
}

/// Returns the differences, each with its path, at most ten.
#[must_use]
pub(super) fn differences(left: &Value, right: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", left, right, &mut found);
    found.truncate(MOST);
    found
}

fn compare(path: &str, left: &Value, right: &Value, found: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let mut fields: Vec<_> = left.keys().chain(right.keys()).collect();
            fields.sort();
            fields.dedup();
            for field in fields {
                let of = |side: &Map<String, Value>| side.get(field).cloned().unwrap_or_default();
                compare(&format!("{path}/{field}"), &of(left), &of(right), found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (i, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}/{i}"), left, right, found);
            }
        }
        _ if left != right => {
            let short = |value: &Value| value.to_string().chars().take(LONGEST).collect::<String>();
            found.push(format!("{path}: {} and {}", short(left), short(right)));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may fail by panicking"
    )]
    use super::*;
    use serde_json::json;

    fn of(environment: &str, vpc: &str, subnets: [&str; 2], greeting: &str) -> Vec<u8> {
        let name = format!("shop-{environment}");
        let mut ids = subnets;
        ids.sort_unstable();
        let instance = |key: Option<&str>, attributes: Value| match key {
            Some(key) => json!({"attributes": attributes, "index_key": key}),
            None => json!({"attributes": attributes}),
        };
        let resource = |kind: &str, instances: Value| json!({"mode": "managed", "type": kind, "name": "this", "instances": instances});
        json!({
            "version": 4, "serial": 3, "lineage": vpc,
            "resources": [
                resource("aws_lb", json!([instance(None, json!({"name": name, "vpc_id": vpc, "subnets": ids,
                    "dns_name": format!("127.0.0.1:{}", 40_000 + vpc.len())}))])),
                resource("aws_vpc", json!([instance(None, json!({"id": vpc}))])),
                resource("aws_subnet", json!([instance(Some("a"), json!({"id": subnets[0]})), instance(Some("b"), json!({"id": subnets[1]}))])),
                resource("aws_ssm_parameter", json!([instance(Some(&format!("/{name}/greeting")), json!({"value": greeting}))])),
            ],
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn states_are_equal_but_for_the_environment_and_assigned_ids() {
        let ours = of(
            "production",
            "vpc-0a1b2c3d4e5f",
            ["subnet-aaaa0001", "subnet-bbbb0002"],
            "hello",
        );
        let ours = state(&ours, "production").unwrap();
        let raw = |greeting, subnets| {
            let raw = of("baseline", "vpc-99887766554433", subnets, greeting);
            state(&raw, "baseline").unwrap()
        };
        let same = raw("hello", ["subnet-dddd0003", "subnet-cccc0004"]);
        assert_eq!(differences(&ours, &same), [""; 0]);
        let other = raw("goodbye", ["subnet-dddd0003", "subnet-cccc0004"]);
        let found = differences(&ours, &other);
        let expected = "/instances/0/attributes/value: \"hello\" and \"goodbye\"";
        assert!(
            found.len() == 1 && found.iter().all(|one| one.ends_with(expected)),
            "{found:?}"
        );
    }

    #[test]
    fn plans_are_equal_but_for_their_time() {
        let of = |time: &str, environment: &str, id: &str, action: &str| {
            let values = json!({"id": id, "name": format!("shop-{environment}")});
            json!({
                "timestamp": time,
                "prior_state": {"values": {"root_module": {"resources": [{"address": "aws_vpc.this", "values": values}]}}},
                "resource_changes": [{"address": "aws_vpc.this", "change": {"actions": [action], "before": values}}],
            })
            .to_string()
            .into_bytes()
        };
        let ours = plan(
            &of("10:00", "production", "vpc-0a1b2c3d", "update"),
            "production",
        )
        .unwrap();
        let same = plan(
            &of("11:00", "baseline", "vpc-ffff0001", "update"),
            "baseline",
        )
        .unwrap();
        assert_eq!(differences(&ours, &same), [""; 0]);
        let other = plan(
            &of("11:00", "baseline", "vpc-ffff0001", "delete"),
            "baseline",
        )
        .unwrap();
        assert_eq!(
            differences(&ours, &other),
            ["/resource_changes/0/change/actions/0: \"update\" and \"delete\""]
        );
    }

    #[test]
    fn a_hash_of_the_content_is_compared() {
        let of = |id: &str, hash: &str| {
            let attributes = json!({
                "id": id, "etag": hash, "source_code_hash": hash, "image": format!("shop@sha256:{hash}"),
                "security_group_id": format!("sg-{id}"), "dns_name": format!("{id}.example.com"),
            });
            let instances = json!([{"attributes": attributes}]);
            let resource =
                json!({"mode": "managed", "type": "aws_x", "name": "this", "instances": instances});
            let bytes = json!({"resources": [resource]}).to_string().into_bytes();
            state(&bytes, "production").unwrap()
        };
        let ours = of("0a1b2c3d", "99aa88bb77cc66dd");
        let same = of("99887766", "99aa88bb77cc66dd");
        assert_eq!(differences(&ours, &same), [""; 0]);
        let found = differences(&ours, &of("99887766", "11aa88bb77cc66dd"));
        let paths = found.iter().filter_map(|one| one.split(':').next());
        let attribute = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        assert_eq!(
            paths.map(attribute).collect::<Vec<_>>(),
            ["etag", "image", "source_code_hash"]
        );
    }

    #[test]
    fn only_what_looks_assigned_is_renamed() {
        let parts = |text| assigned(text).collect::<Vec<_>>();
        assert_eq!(parts("vpc-0a1b2c3d"), ["0a1b2c3d"]);
        assert_eq!(parts("app/shop/gw9ynen5ldxh96og"), ["gw9ynen5ldxh96og"]);
        assert_eq!(parts("127.0.0.1:4567"), ["4567"]);
        for text in [
            "shop-production",
            "arn:aws:iam::000000000000:role/x",
            "10.20.0.0/24",
            "deadbeef",
        ] {
            assert_eq!(parts(text), [""; 0], "{text}");
        }
    }
}
