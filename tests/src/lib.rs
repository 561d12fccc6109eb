#![doc = include_str!("../README.md")]

#[cfg(any(feature = "matrix", feature = "emulator"))]
pub mod compared;

use std::path::{Path, PathBuf};

/// The rendered state machine, from the repository's root.
pub const STATE_MACHINE: &str = "statemachine/deliver.asl.json";

/// Returns the repository's root.
#[must_use]
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}
