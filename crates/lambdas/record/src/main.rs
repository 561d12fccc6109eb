//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| record::Record {
        table: wiring.table(),
        audit: wiring.audit(),
        audit_branch: wiring.audit_branch(),
        tokens: wiring.tokens(),
        batch: wiring.batch(),
        executions: wiring.executions(),
        announcer: wiring.announcer(),
        repositories: wiring.repositories(),
        clock: wiring.clock(),
    })
}
