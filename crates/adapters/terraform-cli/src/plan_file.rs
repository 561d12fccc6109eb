//! Reads the state version that a plan file was made from.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use domain::plan::{Resources, StateVersion};
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
    #[serde(default)]
    resources: Vec<RawResource>,
}

#[derive(Deserialize)]
struct RawResource {
    #[serde(default)]
    mode: String,
}

/// Reads the version of the state from a plan file. Its member `tfstate` is the state with the
/// changes that the plan found, its moves and its imports; `tfstate-prev` is the state before them.
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
    let mut read = |name: &str| {
        let member = archive
            .by_name(name)
            .map_err(|error| unreadable(format!("no member `{name}`: {error}")))?;
        let mut bytes = Vec::new();
        member
            .take(MAX_STATE)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(format!("member `{name}`: {error}")))?;
        serde_json::from_slice::<RawState>(&bytes)
            .map_err(|error| unreadable(format!("member `{name}` is not a state: {error}")))
    };
    let state = read("tfstate")?;
    // Terraform adds what it imports to both, also if no state exists yet.
    let before = read("tfstate-prev")?.resources;
    let holds = !state.lineage.is_empty() && before.iter().any(|one| one.mode == "managed");
    Ok(StateVersion {
        lineage: state.lineage,
        serial: state.serial,
        resources: if holds {
            Resources::Some
        } else {
            Resources::None
        },
    })
}
