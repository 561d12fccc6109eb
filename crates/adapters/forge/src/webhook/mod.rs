//! GitHub's webhook: is a delivery GitHub's own, and what does it say.
//!
//! Everything here is total: any bytes lead to a value or to a [`Refusal`] with a stable code.

mod json;
mod payload;
mod signature;

pub use payload::{Delivery, Push, read};
pub use signature::{Keys, KeysError};

use std::fmt;

/// The event's name, such as `push`.
pub const EVENT_HEADER: &str = "x-github-event";

/// The delivery's id, a UUID. The signature does not cover it.
pub const DELIVERY_HEADER: &str = "x-github-delivery";

/// The signature: `sha256=` and 64 hexadecimal digits.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// Why a delivery starts no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status. 202 for what is well and of no interest: an error would show in the
    /// forge as a broken webhook.
    pub status: u16,
    /// A stable code, `WH` and three digits.
    pub code: &'static str,
    /// What was found and what was expected.
    pub message: String,
}

impl Refusal {
    /// Makes one.
    #[must_use]
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}
