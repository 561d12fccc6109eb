//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| deploy::Deploy {
        table: wiring.table(),
        objects: wiring.artifacts(),
        targets: wiring.targets(),
        registry: wiring.registry(),
        probe: wiring.probe(),
        announcer: wiring.announcer(),
        enrolments: wiring.enrolments(),
        clock: wiring.clock(),
    })
}
