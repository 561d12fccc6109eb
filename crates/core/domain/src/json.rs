//! Values as JSON.

use crate::error::{ErrorName, NamedError};
use serde::Serialize;

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

/// Returns a value as the bytes of its JSON.
///
/// # Errors
/// Fails with `Internal` when the value cannot be written.
pub fn to_bytes(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>, NotWritten> {
    to_text(what, value).map(String::into_bytes)
}
