//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve(|world| apply::Apply {
        records: world.records(),
        objects: world.artifacts(),
        batch: world.batch(),
        announcer: world.announcer(),
        repositories: world.repositories(),
        clock: world.clock(),
        state_bucket: world.state_name(),
        region: world.region(),
    })
}
