//! The backend of a stack.

use domain::job::Backend;
use serde_json::{Value, json};

/// Returns the content of the override file, which replaces any backend that the stack configures.
/// `path_style` is for an S3 with a custom endpoint, where the bucket is not part of the host name.
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
        #[cfg(feature = "local-state")]
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

/// Returns whether `.terraform/terraform.tfstate`, which `init` writes, has the backend of the job
/// spec with exactly the settings of [`backend_override`]. This check decides which state a stack
/// uses and whether it is locked, whatever its files contain.
#[must_use]
pub fn is_effective(initialised: &[u8], backend: &Backend, path_style: bool) -> bool {
    let Ok(mut value) = serde_json::from_slice::<Value>(initialised) else {
        return false;
    };
    let kind = value.pointer("/backend/type").cloned().unwrap_or_default();
    let Some(settings) = value
        .pointer_mut("/backend/config")
        .and_then(Value::as_object_mut)
    else {
        return false;
    };
    settings.retain(|_, setting| !setting.is_null());
    let settings = Value::Object(std::mem::take(settings));
    let wanted = backend_override(backend, path_style);
    let wanted = wanted.pointer("/terraform/backend");
    kind.as_str()
        .is_some_and(|kind| wanted == Some(&json!({kind: settings})))
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
        let own = json!({"version": 3, "backend": {"type": "s3", "config": {"bucket": "b",
            "key": "1/p/app.tfstate", "region": "eu-west-1", "use_lockfile": true,
            "encrypt": null, "workspace_key_prefix": null}}});
        let taken = |value: &Value| is_effective(value.to_string().as_bytes(), &s3(), false);
        assert!(taken(&own));
        for (place, other) in [
            ("/backend/type", json!("local")),
            ("/backend/config/key", json!("1/p/other.tfstate")),
            ("/backend/config/use_lockfile", json!(false)),
            ("/backend/config/use_lockfile", Value::Null),
            ("/backend/config/workspace_key_prefix", json!("elsewhere")),
        ] {
            let mut changed = own.clone();
            if let Some(setting) = changed.pointer_mut(place) {
                *setting = other;
            }
            assert!(!taken(&changed), "{place}");
        }
        assert!(!is_effective(own.to_string().as_bytes(), &s3(), true));
        assert!(!is_effective(b"", &s3(), false));
    }
}
