//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| build_trigger::BuildTrigger {
        table: wiring.table(),
        registry: wiring.registry(),
        build_logs: wiring.build_logs(),
        announcer: wiring.queue_announcer(),
        enrolments: wiring.enrolments(),
        clock: wiring.clock(),
        settings: wiring.build_settings(),
        bucket: wiring.artifacts_name(),
    })
}
