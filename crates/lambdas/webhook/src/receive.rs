//! Receives a delivery: checks that it comes from the forge, records it and publishes its event.
//!
//! Decides whether a request is a delivery of an enrolled repository, and whether it was published
//! before.
//!
//! Undo: none. An event that is published twice meets the run that the first copy claimed.
//!
//! Running it twice is safe. A redelivery is published again only if the record of the first copy
//! does not say that it was.
//!
//! A refusal is a [`Refusal`] with the status and the code of its reply.

use crate::delivery::{self, DeliveryRecord, Found};
use crate::keys::{KEYS_AGE, KEYS_DOUBT};
use crate::{Webhook, enrolment};
use domain::enrolment::EnrolledRepository;
use domain::event::{self, DETAIL_TYPE_PUSH, PushEvent, Trigger};
use domain::ids::{DeliveryId, Sha256Digest};
use engine::HttpRequest;
use forge::webhook::{Delivery, Refusal};

/// The largest body that is read, in bytes: a push of a few thousand commits. A function URL accepts
/// 6 MB including the envelope.
pub const BODY_LIMIT: usize = 5 * 1024 * 1024;

/// The status and text of an accepted delivery.
type Reply = Result<(u16, String), Refusal>;

impl Webhook {
    pub(crate) async fn receive(&self, request: &HttpRequest) -> Reply {
        let body = self.admit(request)?;
        let repository = self.authenticate(request, body).await?;
        let delivery = self.check_headers(&repository, request)?;
        match self.forge.read(&request.headers, body)? {
            Delivery::Ping { hook } => {
                let hook = hook.map_or_else(|| "unknown".to_owned(), |hook| hook.to_string());
                Ok((200, format!("pong: webhook {hook}")))
            }
            Delivery::Push(push) => {
                let push = enrolment::check(&repository, push)?;
                let event = push.into_event(delivery, self.clock.now());
                self.dispatch(event, Sha256Digest::of(body)).await
            }
        }
    }

    /// Checks path, method and size: all that a caller without a key learns.
    fn admit<'a>(&self, request: &'a HttpRequest) -> Result<&'a [u8], Refusal> {
        if !matches!(request.path.as_str(), "" | "/") {
            return Err(Refusal::new(404, "WH001", "no such path"));
        }
        if request.method != "POST" {
            return Err(Refusal::new(405, "WH002", "only POST is answered"));
        }
        let body = match &request.body {
            Ok(body) => body,
            Err(why) => {
                let message = format!("body encoding invalid: {why}");
                return Err(Refusal::new(400, "WH106", message));
            }
        };
        if body.len() > BODY_LIMIT {
            let message = format!("body is {} bytes, limit {}", body.len(), BODY_LIMIT);
            return Err(Refusal::new(413, "WH111", message));
        }
        Ok(body)
    }

    /// Checks the signature with a key of the repository that the body names. What else the body says is
    /// read only after this.
    async fn authenticate(
        &self,
        request: &HttpRequest,
        body: &[u8],
    ) -> Result<EnrolledRepository, Refusal> {
        if self.forge.is_foreign(&request.headers) {
            return Err(Refusal::new(401, "WH109", "provider/path mismatch"));
        }
        let Some(key) = self.forge.claimed(body) else {
            let message = "the body names no repository";
            return Err(Refusal::new(400, "WH107", message));
        };
        let repository = match self.enrolments.find(key).await {
            Ok(Some(repository)) => repository,
            Ok(None) => {
                let message = format!("repository {key} is not enrolled");
                return Err(Refusal::new(401, "WH108", message));
            }
            Err(error) => {
                let message = format!("the enrolment of {key} was not read: {error}");
                return Err(Refusal::new(503, "WH151", message));
            }
        };
        let secret = &repository.webhook_secret;
        let (keys, since) = self.keys(secret, KEYS_AGE).await?;
        let checked = self.forge.verify(&keys, &request.headers, body);
        let doubtful = matches!(&checked, Err(refusal) if refusal.code == "WH104");
        if doubtful && self.age(since) >= KEYS_DOUBT {
            let (keys, _) = self.keys(secret, KEYS_DOUBT).await?;
            self.forge.verify(&keys, &request.headers, body)?;
        } else {
            checked?;
        }
        Ok(repository)
    }

    /// Checks the headers of a verified delivery and returns its id.
    fn check_headers(
        &self,
        repository: &EnrolledRepository,
        request: &HttpRequest,
    ) -> Result<DeliveryId, Refusal> {
        let encoding = header(request, "content-encoding");
        if !matches!(encoding, "" | "identity") {
            return Err(Refusal::new(415, "WH113", "compressed bodies not accepted"));
        }
        let kind = header(request, "content-type");
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let message = "set the webhook's content type to application/json";
            return Err(Refusal::new(415, "WH112", message));
        }
        enrolment::check_host(repository, self.forge.host(&request.headers))?;
        self.forge.delivery_id(&request.headers)
    }

    /// Records the delivery, then publishes its event.
    async fn dispatch(&self, mut event: PushEvent, body: Sha256Digest) -> Reply {
        let no_table = |error| Refusal::new(503, "WH151", format!("not recorded: {error}"));
        let received = DeliveryRecord::received(&Trigger::Push(event.clone()), body);
        let found = delivery::open(self.table.as_ref(), &event.delivery, &received)
            .await
            .map_err(no_table)?;
        let (record, version) = match found {
            Found::New => (received, 1),
            Found::Known(record, _) if record.body != received.body => {
                let message = "delivery id reused with other content";
                return Err(Refusal::new(409, "WH140", message));
            }
            Found::Known(record, _) if record.is_dispatched() => {
                return Ok((200, format!("dispatched before: run {}", record.run)));
            }
            Found::Known(record, version) => (record, version),
        };
        // A redelivery keeps its arrival time.
        event.received_at = record.received_at;
        let detail = serde_json::to_string(&Trigger::Push(event.clone()))
            .map_err(|error| Refusal::new(503, "WH150", format!("write the event: {error}")))?;
        let source = event::source(event.repository.key.forge);
        self.bus
            .publish(&source, DETAIL_TYPE_PUSH, &detail)
            .await
            .map_err(|error| Refusal::new(503, "WH150", format!("not dispatched: {error}")))?;
        let done = record.dispatched();
        let closed = delivery::close(self.table.as_ref(), &event.delivery, &done, version).await;
        if let Err(error) = closed {
            // The event is published; only a redelivery would publish it again.
            tracing::warn!(delivery = %event.delivery, %error, "delivery stays RECEIVED");
        }
        Ok((202, format!("dispatched: run {}", done.run)))
    }
}

/// Returns a header's value; empty if it is missing.
fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.headers.get(name).map_or("", String::as_str)
}
