//! Values as JSON.

use crate::error::{ErrorName, NamedError};
use crate::text;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// A value that cannot be written as JSON, which is a defect.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be written as JSON: {source}")]
pub struct NotWritten {
    what: &'static str,
    source: serde_json::Error,
}

impl NamedError for NotWritten {
    fn name(&self) -> ErrorName {
        ErrorName::Internal
    }
}

/// Returns a value as JSON. `what` is the value in an error's message, such as `a run's item`.
///
/// # Errors
/// Fails with `Internal` when the value cannot be written.
pub fn to_text(what: &'static str, value: &impl Serialize) -> Result<String, NotWritten> {
    serde_json::to_string(value).map_err(|source| NotWritten { what, source })
}

/// Returns a value as the bytes of its JSON, with indentation.
///
/// # Errors
/// Fails with `Internal` when the value cannot be written.
pub fn to_pretty_bytes(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>, NotWritten> {
    serde_json::to_vec_pretty(value).map_err(|source| NotWritten { what, source })
}

/// Returns a value as the bytes of its JSON.
///
/// # Errors
/// Fails with `Internal` when the value cannot be written.
pub fn to_bytes(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>, NotWritten> {
    to_text(what, value).map(String::into_bytes)
}

/// A JSON value in which no object has a key twice. Other readers of such an object may take
/// another of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Strict(pub Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Strict)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                let key = text::clip(&key, 100);
                return Err(de::Error::custom(format!("duplicate key {key:?}")));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
