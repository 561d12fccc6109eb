//! What the fake stores: projects, and builds with their status.

pub(super) mod build;

use std::collections::BTreeMap;

use serde_json::Value;

use self::build::Build;

/// The projects and builds of the account.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By name.
    pub(super) projects: BTreeMap<String, Value>,
    /// By id.
    pub(super) builds: BTreeMap<String, Build>,
    /// The number of builds that each project has had.
    pub(super) numbers: BTreeMap<String, u64>,
}

/// Converts milliseconds since 1970 to the time format of this API: seconds with a fraction.
#[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
