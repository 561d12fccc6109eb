//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| record::Record {
        table: wiring.table(),
        closing: wiring.closing(),
        audit: wiring.audit_log(),
        executions: wiring.executions(),
        announcer: wiring.announcer(),
        enrolments: wiring.enrolments(),
        clock: wiring.clock(),
    })
}
