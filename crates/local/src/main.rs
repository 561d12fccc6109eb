//! `sluicegate-local`: the local run. `scripts/demo.sh` and the tests call it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    local::command::run().await
}
