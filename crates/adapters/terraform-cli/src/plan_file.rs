//! Reads the state version that a plan file was made from.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use domain::plan::StateVersion;
use serde::Deserialize;

use crate::Error;

/// The largest state in a plan file, in bytes.
const MAX_STATE: u64 = 256 * 1024 * 1024;

/// The version of a state. A new state has serial 0 and no lineage.
#[derive(Deserialize)]
struct RawState {
    #[serde(default)]
    serial: u64,
    #[serde(default)]
    lineage: String,
}

/// Reads serial and lineage from a plan file, a zip whose member `tfstate` is the prior state.
/// Starts no process. Terraform compares the same two values with the state in the backend, under
/// the state lock, when it applies the file.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened; [`Error::Unreadable`] if it is not a plan file.
pub fn state_version(plan: &Path) -> Result<StateVersion, Error> {
    let unreadable = |what: String| Error::Unreadable {
        command: "plan file",
        what,
    };
    let file = File::open(plan).map_err(|source| Error::Io {
        what: "open the plan file",
        path: plan.into(),
        source,
    })?;
    let mut archive =
        zip::ZipArchive::new(file).map_err(|error| unreadable(format!("not a zip: {error}")))?;
    let member = archive
        .by_name("tfstate")
        .map_err(|error| unreadable(format!("no member `tfstate`: {error}")))?;
    let mut bytes = Vec::new();
    member
        .take(MAX_STATE)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(format!("member `tfstate`: {error}")))?;
    let state: RawState = serde_json::from_slice(&bytes)
        .map_err(|error| unreadable(format!("member `tfstate` is not a state: {error}")))?;
    Ok(StateVersion {
        lineage: state.lineage,
        serial: state.serial,
    })
}
