//! `sluicegate-demo`: starts a local run, runs the scenarios, and takes it down.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    story::demo::run().await
}
