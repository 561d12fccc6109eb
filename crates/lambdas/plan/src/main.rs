//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| plan::Plan {
        table: wiring.table(),
        objects: wiring.artifacts(),
        batch: wiring.batch(),
        tokens: wiring.tokens(),
        announcer: wiring.announcer(),
        clock: wiring.clock(),
        states: wiring.states(),
        enrolments: wiring.enrolments(),
    })
}
