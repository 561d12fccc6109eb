//! `sluicegate-local`: the local run. `scripts/` and the tests call it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    local_run::command::run().await
}
