//! Faults on order, and a list of what was asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The part of GitHub that a fault is about.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The REST API.
    Api,
    /// git over HTTP.
    Git,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Answers 500; nothing was done.
    ServerError,
    /// Answers as GitHub does when the rate limit is used up: 403, or 429 for git.
    RateLimit,
    /// Takes the request and never answers.
    Hang,
    /// Takes the request and closes the connection.
    Close,
}

/// A fault on order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fault {
    /// What it is about.
    pub side: Side,
    /// What goes wrong.
    pub kind: FaultKind,
    /// How many requests it meets; none: all until it is healed.
    #[serde(default)]
    pub count: Option<u32>,
}

/// A request that came in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Call {
    /// Such as `POST`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The fault that met it.
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

    /// Writes a request down and says what is to go wrong with it.
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
