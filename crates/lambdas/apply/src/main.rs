//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| apply::Apply {
        table: wiring.table(),
        objects: wiring.artifacts(),
        batch: wiring.batch(),
        announcer: wiring.announcer(),
        clock: wiring.clock(),
        states: wiring.states(),
        enrolments: wiring.enrolments(),
    })
}
