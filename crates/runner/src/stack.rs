//! What the runner writes beside a stack: its backend and its variables.

use std::collections::{BTreeMap, BTreeSet};

use contract::job::{Backend, JobRecord};
use domain::ids::StackName;
use serde_json::{Map, Value, json};
use terraform_cli::Outputs;

/// The override file's content. An override replaces whatever backend the stack names itself.
/// `path_style` is for an S3 that is reached by an endpoint of its own, where a bucket is no
/// host name.
#[must_use]
pub fn backend_override(backend: &Backend, path_style: bool) -> Value {
    let (kind, mut settings) = match backend {
        Backend::S3 {
            bucket,
            key,
            region,
        } => (
            "s3",
            json!({"bucket": bucket, "key": key, "region": region, "use_lockfile": true}),
        ),
        Backend::Local { path } => ("local", json!({"path": path})),
    };
    if kind == "s3"
        && path_style
        && let Some(fields) = settings.as_object_mut()
    {
        fields.insert("use_path_style".to_owned(), true.into());
    }
    json!({"terraform": {"backend": {kind: settings}}})
}

/// Whether `.terraform/terraform.tfstate`, which `init` writes, names the backend of the record.
/// This is the last word on which state a stack works with, however its files are written.
#[must_use]
pub fn is_effective(initialised: &[u8], backend: &Backend) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(initialised) else {
        return false;
    };
    let setting = |key: &str| {
        value
            .pointer(&format!("/backend/config/{key}"))
            .and_then(Value::as_str)
    };
    let kind = value.pointer("/backend/type").and_then(Value::as_str);
    match backend {
        Backend::S3 {
            bucket,
            key,
            region,
        } => {
            kind == Some("s3")
                && setting("bucket") == Some(bucket)
                && setting("key") == Some(key)
                && setting("region") == Some(region)
        }
        Backend::Local { path } => kind == Some("local") && setting("path") == Some(path),
    }
}

/// The variable file: the environment's name, and the outputs of each needed stack as an object
/// under the stack's name. Names that the stack does not declare are left out (`declared` is
/// `None` when that is not known: terraform then warns).
#[must_use]
pub fn variables(
    record: &JobRecord,
    inputs: &BTreeMap<StackName, Outputs>,
    declared: Option<&BTreeSet<String>>,
) -> Value {
    let wanted = |name: &str| declared.is_none_or(|names| names.contains(name));
    let mut values = Map::new();
    if wanted("environment") {
        values.insert("environment".to_owned(), record.environment.as_str().into());
    }
    for (stack, outputs) in inputs.iter().filter(|(stack, _)| wanted(stack.as_str())) {
        let object: Map<String, Value> = outputs
            .iter()
            .map(|(name, output)| (name.clone(), output.value.clone()))
            .collect();
        values.insert(stack.as_str().to_owned(), object.into());
    }
    values.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3() -> Backend {
        Backend::S3 {
            bucket: "b".into(),
            key: "1/p/app.tfstate".into(),
            region: "eu-west-1".into(),
        }
    }

    #[test]
    fn the_override_has_a_lock_and_no_credentials() {
        assert_eq!(
            backend_override(&s3(), false),
            json!({"terraform": {"backend": {"s3": {"bucket": "b", "key": "1/p/app.tfstate",
                "region": "eu-west-1", "use_lockfile": true}}}})
        );
        let styled = backend_override(&s3(), true);
        assert_eq!(
            styled.pointer("/terraform/backend/s3/use_path_style"),
            Some(&json!(true))
        );
    }

    #[test]
    fn only_the_records_own_backend_is_effective() {
        let initialised = |kind: &str, key: &str| {
            json!({"version": 3, "backend": {"type": kind, "config": {"bucket": "b", "key": key,
                "region": "eu-west-1", "encrypt": null}}})
            .to_string()
        };
        assert!(is_effective(
            initialised("s3", "1/p/app.tfstate").as_bytes(),
            &s3()
        ));
        assert!(!is_effective(
            initialised("s3", "1/p/other.tfstate").as_bytes(),
            &s3()
        ));
        assert!(!is_effective(
            initialised("local", "1/p/app.tfstate").as_bytes(),
            &s3()
        ));
        assert!(!is_effective(b"", &s3()));
    }
}
