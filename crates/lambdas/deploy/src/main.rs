//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve(|world| deploy::Deploy {
        records: world.records(),
        objects: world.artifacts(),
        services: world.services(),
        registry: world.registry(),
        probe: world.probe(),
        announcer: world.announcer(),
        repositories: world.repositories(),
        clock: world.clock(),
    })
}
