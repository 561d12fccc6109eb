//! `sluicegate-local`: the CLI of the local run, used by `scripts/` and the tests.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    local_run::command::run().await
}
