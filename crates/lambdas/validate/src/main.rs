//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve(|world| validate::Validate {
        records: world.records(),
        objects: world.artifacts(),
        source: world.source(),
        announcer: world.announcer(),
        repositories: world.repositories(),
        clock: world.clock(),
    })
}
