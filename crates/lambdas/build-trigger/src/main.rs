//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve(|world| build_trigger::BuildTrigger {
        records: world.records(),
        registry: world.registry(),
        announcer: world.queue_announcer(),
        repositories: world.repositories(),
        clock: world.clock(),
        bucket: world.artifacts_name(),
    })
}
