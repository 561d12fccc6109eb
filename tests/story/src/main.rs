//! `sluicegate-demo`: starts a local run, runs the scenarios, and stops it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    story::demo::run().await
}
