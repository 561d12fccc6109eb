//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve(|world| validate::Validate {
        records: world.records(),
        objects: world.artifacts(),
        forge: world.forge(),
        announcer: world.announcer(),
        repositories: world.repositories(),
        clock: world.clock(),
    })
}
