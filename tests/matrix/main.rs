//! The failure matrix in process: the rendered state machine runs the Lambdas on fakes in virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and is asked by its environment to rewrite a table"
)]

mod builds;
mod calls;
mod cases;
mod cloud;
mod commits;
mod invariants;
mod lambdas;
mod payloads;
mod plans;
mod removed;
mod rollbacks;
mod skipping;
mod state;
mod stories;
mod terraform;

use engine::fakes::samples;
use std::sync::Arc;
use workflow::walk::document::Machine;

/// Returns a configuration in which a person approves each plan.
fn asking() -> String {
    samples::CONFIG.replace("\ndeploy:\n", "\napproval: always\ndeploy:\n")
}

/// Parses the rendered state machine, the file that is deployed to AWS.
fn machine() -> Arc<Machine> {
    let path = tests::root().join(tests::STATE_MACHINE);
    let text = std::fs::read_to_string(path).unwrap();
    Arc::new(Machine::parse(&text).unwrap())
}

/// Compares a committed file with its expected content, or updates it.
fn expect(path: &str, expected: &str) {
    let full = tests::root().join(path);
    let current = std::fs::read_to_string(&full).unwrap_or_default();
    if current == expected {
        return;
    }
    let changed: Vec<String> = expected
        .lines()
        .filter(|line| !current.lines().any(|other| other == *line))
        .map(str::to_owned)
        .collect();
    assert!(
        std::env::var_os("UPDATE_EXPECT").is_some(),
        "{path} is not current; run this test with UPDATE_EXPECT=1 and read the difference:\n{}",
        changed.join("\n")
    );
    std::fs::create_dir_all(full.parent().unwrap()).unwrap();
    std::fs::write(full, expected).unwrap();
}
