//! The emulator suite: complete deliveries on real components, with AWS emulated by MiniStack.
//!
//! Two local runs, one after the other: the installation with the failure matrix, whose sample has no
//! cloud provider, and the demo's story with its sample and containers. See tests/README.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod cli;
mod installation;
mod matrix;
mod owner;
mod planted;
mod setup;
mod story;
mod swept;
