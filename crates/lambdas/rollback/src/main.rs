//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| rollback::Rollback {
        table: wiring.table(),
        announcer: wiring.announcer(),
        clock: wiring.clock(),
    })
}
