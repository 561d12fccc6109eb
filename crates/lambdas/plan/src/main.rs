//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve(|world| plan::Plan {
        records: world.records(),
        objects: world.artifacts(),
        batch: world.batch(),
        tokens: world.tokens(),
        announcer: world.announcer(),
        repositories: world.repositories(),
        clock: world.clock(),
        state_bucket: world.state_name(),
        region: world.region(),
    })
}
