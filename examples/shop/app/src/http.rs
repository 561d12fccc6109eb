//! The HTTP endpoints of the service. Responses are plain text.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderValue, StatusCode, header::CONNECTION},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use tokio::sync::watch;

use crate::{
    items::{Items, Unavailable},
    log,
    settings::{HEALTHY, MAX_KEY_LENGTH, NAME},
};

/// Maximum size of an item in bytes. DynamoDB limits an item to 400 KB, including its key.
const MAX_ITEM_BYTES: usize = 64 * 1024;

/// Time limit for the table in a health check. The load balancer's own limit is 5 seconds.
const HEALTH_BUDGET: Duration = Duration::from_secs(2);

/// Shared state of the endpoints.
pub(crate) struct Shop {
    pub(crate) items: Items,
    /// Commit of this release, or empty if it is unknown.
    pub(crate) commit: String,
    /// Text from the parameter store that `/` shows.
    pub(crate) greeting: String,
    /// Whether `SHOP_HEALTH=broken` is set, which makes an instance unhealthy without a code change.
    pub(crate) broken: bool,
    /// Becomes true when the process receives a stop signal.
    pub(crate) stopping: watch::Receiver<bool>,
}

pub(crate) fn router(shop: Shop) -> Router {
    let shop = Arc::new(shop);
    Router::new()
        .route("/", get(index))
        .route("/version", get(version))
        .route("/health", get(health))
        .route("/items/{key}", get(read_item).put(write_item))
        .layer(DefaultBodyLimit::max(MAX_ITEM_BYTES))
        .layer(middleware::from_fn_with_state(shop.clone(), say_goodbye))
        .with_state(shop)
}

async fn index(State(shop): State<Arc<Shop>>) -> String {
    format!("{NAME}: {}\n", shop.greeting)
}

async fn version(State(shop): State<Arc<Shop>>) -> String {
    shop.commit.clone()
}

async fn health(State(shop): State<Arc<Shop>>) -> (StatusCode, &'static str) {
    if !HEALTHY || shop.broken {
        return (StatusCode::SERVICE_UNAVAILABLE, "this release is broken\n");
    }
    match shop.items.ping(HEALTH_BUDGET).await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(Unavailable(cause)) => {
            log(&format!("health: the table does not answer: {cause}"));
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the table does not answer\n",
            )
        }
    }
}

async fn read_item(
    State(shop): State<Arc<Shop>>,
    Path(key): Path<String>,
) -> Result<String, Refusal> {
    let item = shop.items.get(accept(&key)?).await.map_err(refuse)?;
    item.ok_or((StatusCode::NOT_FOUND, "no such item\n"))
}

async fn write_item(
    State(shop): State<Arc<Shop>>,
    Path(key): Path<String>,
    text: String,
) -> Result<StatusCode, Refusal> {
    shop.items.put(accept(&key)?, text).await.map_err(refuse)?;
    Ok(StatusCode::NO_CONTENT)
}

type Refusal = (StatusCode, &'static str);

fn refuse(Unavailable(cause): Unavailable) -> Refusal {
    log(&format!("items: the table does not answer: {cause}"));
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "the table does not answer, try again\n",
    )
}

/// Accepts a limited number of letters, digits, `.`, `_` and `-`.
fn accept(key: &str) -> Result<&str, Refusal> {
    let fits = (1..=MAX_KEY_LENGTH).contains(&key.len());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if fits && key.bytes().all(allowed) {
        Ok(key)
    } else {
        Err((
            StatusCode::BAD_REQUEST,
            "a key is 1 to 128 letters, digits, '.', '_' or '-'\n",
        ))
    }
}

/// Asks every client to close its connection while the process stops.
async fn say_goodbye(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if *shop.stopping.borrow() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_128_bytes_is_accepted_and_a_longer_one_is_not() {
        assert!(accept(&"k".repeat(128)).is_ok());
        assert!(accept(&"k".repeat(129)).is_err());
    }

    #[test]
    fn a_key_cannot_be_empty_or_leave_its_place() {
        for key in ["", "a/b", "/health", "a b", "ä", "a\n"] {
            assert!(accept(key).is_err(), "{key:?}");
        }
        assert_eq!(accept("Blue_shoe-4.2").ok(), Some("Blue_shoe-4.2"));
    }
}
