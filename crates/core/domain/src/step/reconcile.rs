//! The Lambda `reconcile`.

use crate::ids::RunId;
use serde::{Deserialize, Serialize};

/// The input of `reconcile`. An EventBridge schedule sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum ReconcileInput {
    /// Looks at every open run, environment and watched branch.
    Reconcile,
}

/// What a call of `reconcile` did. Only a person reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReconcileOutput {
    /// The runs that were ended.
    pub ended: Vec<RunId>,
    /// The runs that had ended, and whose hold or wait was removed from their environment.
    pub released: Vec<RunId>,
    /// The runs whose audit entry was written.
    pub audited: Vec<RunId>,
    /// The runs of the missed pushes that were published.
    pub published: Vec<RunId>,
}
