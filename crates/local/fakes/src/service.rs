//! What all fakes share: binding, serving and stopping, the list of received calls, and injected faults.
//!
//! Each fake also serves a control API for tests in other processes: `GET /_fake/calls`, and
//! `POST` and `DELETE /_fake/faults`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::body::{Bytes, to_bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, http};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::lock;
use crate::server::{CutConnection, Server};

/// The maximum size of a request, in bytes: that of a git push.
const LARGEST_BODY: usize = 256 * 1024 * 1024;

/// A request with its whole body.
pub type Request = http::Request<Bytes>;

/// A service that a fake simulates.
pub trait Service: Debug + Send + Sync + 'static {
    /// The kinds of calls. A fault affects one of them.
    type Operation: Copy + Debug + Ord + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Returns the operation that a request calls, or none if the fake does not support it.
    fn operation(head: &Parts) -> Option<Self::Operation>;

    /// Returns the response to a call that fails, as the service words it.
    fn failure(operation: Self::Operation, failure: Failure) -> Response;

    /// Responds to a request.
    fn respond(
        self: Arc<Self>,
        operation: Option<Self::Operation>,
        request: Request,
    ) -> impl Future<Output = Response> + Send;

    /// Ends everything that runs in the background, and returns when it has ended.
    fn stop(&self) -> impl Future<Output = ()> + Send;
}

/// A failure that the service reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// An internal error.
    ServerError,
    /// The caller exceeded the rate limit.
    RateLimit,
}

/// The kind of a fault.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Responds with the service's internal error and does nothing.
    ServerError,
    /// Responds as the service does when the rate limit is exceeded.
    RateLimit,
    /// Accepts the request and never responds.
    Hang,
    /// Accepts the request and closes the connection.
    Close,
}

/// An injected fault.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fault<O> {
    /// The calls that it affects.
    pub operation: O,
    /// How the calls fail.
    pub kind: FaultKind,
    /// The number of calls that fail, or none for all until the fault is removed.
    #[serde(default)]
    pub count: Option<u32>,
}

/// A received call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Call<O> {
    /// The operation, or none if the fake does not support it.
    pub operation: Option<O>,
    /// Such as `POST`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The fault that was applied.
    pub fault: Option<FaultKind>,
}

/// The received calls, and the faults to apply to the next ones.
#[derive(Debug)]
struct Control<O> {
    faults: BTreeMap<O, Fault<O>>,
    calls: Vec<Call<O>>,
}

impl<O: Copy + Ord> Control<O> {
    /// Records a call and returns the fault to apply to it, if any.
    fn receive(&mut self, operation: Option<O>, head: &Parts) -> Option<(O, FaultKind)> {
        let fault = operation.and_then(|operation| self.faults.get_mut(&operation));
        let fault = fault.filter(|fault| fault.count != Some(0));
        let fault = fault.map(|fault| {
            fault.count = fault.count.map(|left| left - 1);
            (fault.operation, fault.kind)
        });
        self.calls.push(Call {
            operation,
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            fault: fault.map(|(_, kind)| kind),
        });
        fault
    }
}

/// A running fake. Dropping it stops its server, but not what runs in the background.
#[derive(Debug)]
pub struct Handle<S: Service> {
    server: Server,
    running: Running<S>,
}

#[derive(Debug)]
struct Running<S: Service> {
    service: Arc<S>,
    control: Arc<Mutex<Control<S::Operation>>>,
}

impl<S: Service> Clone for Running<S> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            control: Arc::clone(&self.control),
        }
    }
}

impl<S: Service> Handle<S> {
    /// Serves on a port of 127.0.0.1, or on a free one if `port` is 0.
    pub(crate) async fn start(port: u16, service: S) -> io::Result<Self> {
        let bind = async || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let running = Running {
                service: Arc::new(service),
                control: Arc::new(Mutex::new(Control {
                    faults: BTreeMap::new(),
                    calls: Vec::new(),
                })),
            };
            let router = Router::new().fallback(receive).with_state(running.clone());
            let server = Server::start(listener, router)?;
            Ok(Self { server, running })
        };
        bind().await.map_err(|error: io::Error| {
            io::Error::new(error.kind(), format!("bind 127.0.0.1:{port}: {error}"))
        })
    }

    pub(crate) fn service(&self) -> &Arc<S> {
        &self.running.service
    }

    /// Returns the listening address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns the base URL: `http://` and the listening address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Injects a fault. Replaces the earlier fault of the same operation.
    pub fn fail(&self, fault: Fault<S::Operation>) {
        self.control().faults.insert(fault.operation, fault);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.control().faults.clear();
    }

    /// Returns all calls received since the start, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call<S::Operation>> {
        self.control().calls.clone()
    }

    /// Stops listening, closes open connections, and ends everything that runs in the background.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        self.running.service.stop().await;
    }

    fn control(&self) -> std::sync::MutexGuard<'_, Control<S::Operation>> {
        lock(&self.running.control)
    }
}

async fn receive<S: Service>(
    State(running): State<Running<S>>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    // Always read: a client that still sends cannot receive the response.
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if let Some(path) = head.uri.path().strip_prefix("/_fake/") {
        return control(&mut lock(&running.control), &head.method, path, &body);
    }
    let operation = S::operation(&head);
    let fault = lock(&running.control).receive(operation, &head);
    match fault {
        None => {
            let request = Request::from_parts(head, body);
            running.service.respond(operation, request).await
        }
        Some((operation, FaultKind::ServerError)) => S::failure(operation, Failure::ServerError),
        Some((operation, FaultKind::RateLimit)) => S::failure(operation, Failure::RateLimit),
        Some((_, FaultKind::Hang)) => std::future::pending().await,
        Some((_, FaultKind::Close)) => {
            let mut response = StatusCode::OK.into_response();
            response.extensions_mut().insert(CutConnection);
            response
        }
    }
}

/// Responds to a request of the control API.
fn control<O>(control: &mut Control<O>, method: &Method, path: &str, body: &[u8]) -> Response
where
    O: Copy + Ord + Serialize + DeserializeOwned,
{
    match (method, path) {
        (&Method::POST, "faults") => match serde_json::from_slice::<Fault<O>>(body) {
            Ok(fault) => {
                control.faults.insert(fault.operation, fault);
                StatusCode::NO_CONTENT.into_response()
            }
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        },
        (&Method::DELETE, "faults") => {
            control.faults.clear();
            StatusCode::NO_CONTENT.into_response()
        }
        (&Method::GET, "calls") => axum::Json(&control.calls).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
