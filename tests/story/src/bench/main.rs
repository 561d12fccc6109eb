//! `sluicegate-bench`: measures deliveries on a local run against Terraform alone.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    story::bench::run().await
}
