//! Injected faults, and the list of received requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The part of GitHub that a fault affects.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The REST API.
    Api,
    /// git over HTTP.
    Git,
}

/// The kind of a fault.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Responds with 500 and does nothing.
    ServerError,
    /// Responds as GitHub does when the rate limit is exceeded: 403, or 429 for git.
    RateLimit,
    /// Accepts the request and never responds.
    Hang,
    /// Accepts the request and closes the connection.
    Close,
}

/// An injected fault.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fault {
    /// The part that it affects.
    pub side: Side,
    /// How the requests fail.
    pub kind: FaultKind,
    /// The number of requests that fail, or none for all until the fault is removed.
    #[serde(default)]
    pub count: Option<u32>,
}

/// A received request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Call {
    /// Such as `POST`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The fault that was applied.
    pub fault: Option<FaultKind>,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    ordered: BTreeMap<Side, Fault>,
    calls: Vec<Call>,
}

impl Faults {
    pub(super) fn order(&mut self, fault: Fault) {
        self.ordered.insert(fault.side, fault);
    }

    pub(super) fn heal(&mut self) {
        self.ordered.clear();
    }

    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Records a request and returns the fault to apply to it, if any.
    pub(super) fn meet(&mut self, side: Side, method: &str, path: &str) -> Option<FaultKind> {
        let ordered = self.ordered.get_mut(&side);
        let ordered = ordered.filter(|fault| fault.count != Some(0));
        let fault = ordered.map(|fault| {
            fault.count = fault.count.map(|left| left - 1);
            fault.kind
        });
        self.calls.push(Call {
            method: method.to_owned(),
            path: path.to_owned(),
            fault,
        });
        fault
    }
}
