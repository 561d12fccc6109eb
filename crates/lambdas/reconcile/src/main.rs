//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| reconcile::Reconcile {
        table: wiring.table(),
        closing: wiring.closing(),
        audit: wiring.audit_log(),
        executions: wiring.executions(),
        tips: wiring.branch_tips(),
        bus: wiring.event_bus(),
        enrolments: wiring.enrolments(),
        clock: wiring.clock(),
    })
}
