//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve(|world| record::Record {
        records: world.records(),
        audit: world.audit(),
        forge: world.forge(),
        tokens: world.tokens(),
        batch: world.batch(),
        executions: world.executions(),
        announcer: world.announcer(),
        repositories: world.repositories(),
        clock: world.clock(),
    })
}
