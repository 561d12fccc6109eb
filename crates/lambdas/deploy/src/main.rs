//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| deploy::Deploy {
        table: wiring.table(),
        objects: wiring.artifacts(),
        target_roles: wiring.target_roles(),
        registry: wiring.registry(),
        probe: wiring.probe(),
        announcer: wiring.announcer(),
        enrolments: wiring.enrolments(),
        clock: wiring.clock(),
    })
}
