#![doc = include_str!("../README.md")]

mod delivery;
mod enrolment;

use async_trait::async_trait;
use delivery::{DeliveryRecord, Found};
use domain::event::{DETAIL_TYPE_PUSH, EnrolledRepository, PushEvent, SOURCE_GITHUB, Trigger};
use domain::ids::{DeliveryId, Sha256Digest};
use engine::{Clock, EventBus, HttpRequest, HttpResponse, Secrets, Table, UrlStep};
use forge::webhook::{Delivery, Keys, Refusal, WebhookReader};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest body that is read, in bytes: a push of a few thousand commits. A function URL accepts
/// 6 MB including the envelope.
pub const BODY_LIMIT: usize = 5 * 1024 * 1024;

/// How long keys are used before the secret is read again.
const KEYS_AGE: SignedDuration = SignedDuration::from_secs(60);

/// How old cached keys must be before a signature mismatch causes the secret to be read again.
const KEYS_DOUBT: SignedDuration = SignedDuration::from_secs(5);

/// The step behind the function URL.
pub struct Webhook {
    forge: Arc<dyn WebhookReader>,
    table: Arc<dyn Table>,
    bus: Arc<dyn EventBus>,
    secrets: Arc<dyn Secrets>,
    repositories: Arc<[EnrolledRepository]>,
    secret_arn: String,
    clock: Arc<dyn Clock>,
    keys: Mutex<Option<(Arc<Keys>, Timestamp)>>,
}

/// The status and text of an accepted delivery.
type Reply = Result<(u16, String), Refusal>;

impl Webhook {
    /// `secret_arn` names the secret with the webhook keys.
    #[must_use]
    pub fn new(
        forge: Arc<dyn WebhookReader>,
        table: Arc<dyn Table>,
        bus: Arc<dyn EventBus>,
        secrets: Arc<dyn Secrets>,
        repositories: Arc<[EnrolledRepository]>,
        secret_arn: String,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            forge,
            table,
            bus,
            secrets,
            repositories,
            secret_arn,
            clock,
            keys: Mutex::new(None),
        }
    }

    async fn take(&self, request: &HttpRequest) -> Reply {
        let body = self.admit(request)?;
        self.authenticate(request, body).await?;
        let delivery = self.check_headers(request)?;
        match self.forge.read(&request.headers, body)? {
            Delivery::Ping { hook } => {
                let hook = hook.map_or_else(|| "unknown".to_owned(), |hook| hook.to_string());
                Ok((200, format!("pong: webhook {hook}")))
            }
            Delivery::Push(push) => {
                let push = enrolment::check(&self.repositories, push)?;
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

    async fn authenticate(&self, request: &HttpRequest, body: &[u8]) -> Result<(), Refusal> {
        if self.forge.is_foreign(&request.headers) {
            return Err(Refusal::new(401, "WH109", "provider/path mismatch"));
        }
        let (keys, since) = self.keys(KEYS_AGE).await?;
        let checked = self.forge.verify(&keys, &request.headers, body);
        let doubtful = matches!(&checked, Err(refusal) if refusal.code == "WH104");
        if doubtful && self.age(since) >= KEYS_DOUBT {
            let (keys, _) = self.keys(KEYS_DOUBT).await?;
            return self.forge.verify(&keys, &request.headers, body);
        }
        checked
    }

    fn age(&self, since: Timestamp) -> SignedDuration {
        self.clock.now().duration_since(since)
    }

    /// Returns keys that are not older than `age`, and when they were read.
    async fn keys(&self, age: SignedDuration) -> Result<(Arc<Keys>, Timestamp), Refusal> {
        let known = self
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((keys, since)) = known
            && self.age(since) < age
        {
            return Ok((keys, since));
        }
        let unusable = |message: String| Refusal::new(503, "WH152", message);
        let now = self.clock.now();
        let text = self
            .secrets
            .get(&self.secret_arn)
            .await
            .map_err(|error| unusable(error.to_string()))?;
        let keys = Keys::parse(&text).map_err(|error| unusable(error.to_string()))?;
        let keys = Arc::new(keys);
        let mut cached = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        *cached = Some((Arc::clone(&keys), now));
        Ok((keys, now))
    }

    /// Checks the headers of a verified delivery and returns its id.
    fn check_headers(&self, request: &HttpRequest) -> Result<DeliveryId, Refusal> {
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
        enrolment::check_host(&self.repositories, self.forge.host(&request.headers))?;
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
        self.bus
            .publish(SOURCE_GITHUB, DETAIL_TYPE_PUSH, &detail)
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

#[async_trait]
impl UrlStep for Webhook {
    async fn answer(&self, request: HttpRequest) -> HttpResponse {
        let reply = self.take(&request).await;
        // Logs the parsed id only: anyone can send any header.
        let delivery = self.forge.delivery_id(&request.headers).ok();
        let delivery = delivery.as_ref().map_or("none", DeliveryId::as_str);
        match reply {
            Ok((status, body)) => {
                tracing::info!(status, delivery, "{body}");
                HttpResponse { status, body }
            }
            Err(refusal) => {
                let Refusal {
                    status,
                    code,
                    message,
                } = &refusal;
                if *status >= 500 {
                    tracing::error!(status, code, delivery, "{message}");
                } else {
                    tracing::info!(status, code, delivery, "{message}");
                }
                HttpResponse {
                    status: *status,
                    body: shown(&refusal),
                }
            }
        }
    }

    async fn warm(&self) {
        if let Err(refusal) = self.keys(KEYS_AGE).await {
            tracing::warn!(code = refusal.code, "{}", refusal.message);
        }
    }
}

/// Returns the part of a refusal that the caller may read.
fn shown(refusal: &Refusal) -> String {
    match (refusal.status, refusal.code) {
        (400, "WH106") => "bad request".into(),
        (401, _) => "unauthorized".into(),
        (404, _) => "not found".into(),
        (405, _) => "method not allowed".into(),
        (503, code) => format!("{code} try again: redeliver this delivery"),
        // Does not reveal which repositories are enrolled.
        (_, "WH130") => "ignored".into(),
        _ => refusal.to_string(),
    }
}

#[cfg(test)]
mod tests;
