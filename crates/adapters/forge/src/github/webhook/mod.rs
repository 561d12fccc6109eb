//! GitHub's webhook: headers, signature and payloads.

mod payload;
mod signature;

pub use signature::sign;

use crate::webhook::{Delivery, Headers, Keys, Refusal, WebhookReader, header};
use domain::ids::{DeliveryId, RepositoryKey};

/// The event's name, such as `push`.
pub const EVENT_HEADER: &str = "x-github-event";

/// The delivery's id, a UUID. The signature does not cover it.
pub const DELIVERY_HEADER: &str = "x-github-delivery";

/// The signature: `sha256=` and 64 hexadecimal digits.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// A GitHub Enterprise server's own host.
const HOST_HEADER: &str = "x-github-enterprise-host";

/// Headers that only other forges send.
const FOREIGN_HEADERS: [&str; 3] = ["x-gitlab-token", "x-gitlab-event", "webhook-signature"];

/// Reads GitHub's deliveries.
#[derive(Debug, Clone, Copy, Default)]
pub struct GitHubWebhook;

impl WebhookReader for GitHubWebhook {
    fn is_foreign(&self, headers: &Headers) -> bool {
        FOREIGN_HEADERS
            .iter()
            .any(|name| headers.contains_key(*name))
    }

    fn claimed(&self, body: &[u8]) -> Option<RepositoryKey> {
        payload::claimed(body)
    }

    fn verify(&self, keys: &Keys, headers: &Headers, body: &[u8]) -> Result<(), Refusal> {
        signature::verify(keys, headers, body)
    }

    fn host<'a>(&self, headers: &'a Headers) -> Option<&'a str> {
        headers.get(HOST_HEADER).map(String::as_str)
    }

    fn delivery_id(&self, headers: &Headers) -> Result<DeliveryId, Refusal> {
        let id = header(headers, DELIVERY_HEADER).to_ascii_lowercase();
        DeliveryId::parse(&id).map_err(|error| {
            Refusal::new(
                400,
                "WH117",
                format!("delivery id missing/invalid: {error}"),
            )
        })
    }

    fn read(&self, headers: &Headers, body: &[u8]) -> Result<Delivery, Refusal> {
        payload::read(header(headers, EVENT_HEADER), body)
    }
}
