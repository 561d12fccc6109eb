//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| rollback::Rollback {
        records: wiring.records(),
        announcer: wiring.announcer(),
        clock: wiring.clock(),
    })
}
