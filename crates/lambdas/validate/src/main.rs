//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| validate::Validate {
        table: wiring.table(),
        objects: wiring.artifacts(),
        source: wiring.source(),
        history: wiring.branch_history(),
        announcer: wiring.announcer(),
        enrolments: wiring.enrolments(),
        clock: wiring.clock(),
    })
}
