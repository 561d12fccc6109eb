//! The emulator suite: the whole way on real parts, with AWS played by MiniStack.
//!
//! Two worlds, one after the other: the story of the demo with its sample and containers, and the
//! failure matrix with a sample that needs no cloud. See tests/README.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod matrix;
mod story;
mod world;
