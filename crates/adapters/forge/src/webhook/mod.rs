//! Webhook deliveries, whatever forge sent them.
//!
//! Any bytes lead to a [`Delivery`] or to a [`Refusal`] with a stable code.

pub(crate) mod json;
mod keys;

pub use keys::{Keys, KeysError};

use domain::event::{EVENT_SCHEMA, EventRepository, PushEvent};
use domain::ids::{BranchRef, CommitId, DeliveryId, RepositoryKey};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;

/// A request's headers, with names in lower case.
pub type Headers = BTreeMap<String, String>;

/// Reads the webhook deliveries of one forge.
pub trait WebhookReader: Send + Sync {
    /// Returns whether the request carries headers of another forge.
    fn is_foreign(&self, headers: &Headers) -> bool;

    /// Returns the repository that a body names, before the body is verified. Only the choice of the
    /// key may depend on it.
    fn claimed(&self, body: &[u8]) -> Option<RepositoryKey>;

    /// Checks that the forge sent the body, in constant time.
    ///
    /// # Errors
    /// [`Refusal`] with status 401; code `WH104` when no key matches.
    fn verify(&self, keys: &Keys, headers: &Headers, body: &[u8]) -> Result<(), Refusal>;

    /// Returns the host of a self-managed forge, if the headers name one.
    fn host<'a>(&self, headers: &'a Headers) -> Option<&'a str>;

    /// Returns the delivery's id. The signature does not cover it.
    ///
    /// # Errors
    /// [`Refusal`] with status 400 when it is missing or malformed.
    fn delivery_id(&self, headers: &Headers) -> Result<DeliveryId, Refusal>;

    /// Reads a delivery that was verified.
    ///
    /// # Errors
    /// [`Refusal`]: 400 for a payload that the forge would not send, 202 for one that the pipeline
    /// ignores.
    fn read(&self, headers: &Headers, body: &[u8]) -> Result<Delivery, Refusal>;
}

/// A delivery that the pipeline acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The forge tests the webhook.
    Ping {
        /// The webhook's id at the forge.
        hook: Option<u64>,
    },
    /// A push to a branch.
    Push(Push),
}

/// A push, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The repository that the payload names.
    pub repository: EventRepository,
    /// The branch that moved.
    pub branch: BranchRef,
    /// The branch's previous commit; `None` for a new branch.
    pub before: Option<CommitId>,
    /// The branch's commit now.
    pub after: CommitId,
    /// To the second; `None` if the payload does not say.
    pub pushed_at: Option<Timestamp>,
    /// At most 100 characters, without control characters.
    pub pusher: String,
}

impl Push {
    /// The event for the bus.
    #[must_use]
    pub fn into_event(self, delivery: DeliveryId, received_at: Timestamp) -> PushEvent {
        PushEvent {
            schema: EVENT_SCHEMA,
            delivery,
            repository: self.repository,
            branch: self.branch,
            before: self.before,
            after: self.after,
            pushed_at: self.pushed_at,
            pusher: self.pusher,
            received_at,
        }
    }
}

/// Why a delivery starts no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status. 202 for a delivery that the pipeline ignores: an error would show in the
    /// forge as a broken webhook.
    pub status: u16,
    /// A stable code, `WH` and three digits.
    pub code: &'static str,
    /// What was found and what was expected.
    pub message: String,
}

impl Refusal {
    /// Refuses with a message that says what was found and what was expected.
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

/// Returns a header's value; empty when it is missing.
pub(crate) fn header<'a>(headers: &'a Headers, name: &str) -> &'a str {
    headers.get(name).map_or("", String::as_str)
}
