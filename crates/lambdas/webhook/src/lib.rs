#![doc = include_str!("../README.md")]

mod delivery;
mod enrolment;
mod error;
mod keys;
mod receive;

pub use error::Error;
pub use receive::BODY_LIMIT;

use async_trait::async_trait;
use domain::ids::DeliveryId;
use engine::{Clock, Enrolments, EventBus, HttpRequest, HttpResponse, Secrets, Table, UrlStep};
use forge::webhook::{Keys, Refusal, WebhookReader};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The step behind the function URL.
pub struct Webhook {
    forge: Arc<dyn WebhookReader>,
    table: Arc<dyn Table>,
    bus: Arc<dyn EventBus>,
    secrets: Arc<dyn Secrets>,
    enrolments: Arc<dyn Enrolments>,
    clock: Arc<dyn Clock>,
    /// By the name of the secret.
    keys: Mutex<BTreeMap<String, (Arc<Keys>, Timestamp)>>,
}

impl Webhook {
    /// Returns the step on its ports.
    #[must_use]
    pub fn new(
        forge: Arc<dyn WebhookReader>,
        table: Arc<dyn Table>,
        bus: Arc<dyn EventBus>,
        secrets: Arc<dyn Secrets>,
        enrolments: Arc<dyn Enrolments>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            forge,
            table,
            bus,
            secrets,
            enrolments,
            clock,
            keys: Mutex::default(),
        }
    }
}

#[async_trait]
impl UrlStep for Webhook {
    async fn answer(&self, request: HttpRequest) -> HttpResponse {
        let reply = self.receive(&request).await;
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

    /// Does nothing: only a delivery says which key is needed.
    async fn warm(&self) {}
}

/// Returns the part of a refusal that the caller may read.
fn shown(refusal: &Refusal) -> String {
    match (refusal.status, refusal.code) {
        (400, "WH106") => "bad request".into(),
        // Does not reveal which repositories are enrolled.
        (401, _) => "unauthorized".into(),
        (404, _) => "not found".into(),
        (405, _) => "method not allowed".into(),
        (503, code) => format!("{code} try again: redeliver this delivery"),
        _ => refusal.to_string(),
    }
}

#[cfg(test)]
mod tests;
