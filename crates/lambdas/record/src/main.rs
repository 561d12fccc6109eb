//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve(|world| record::Record {
        records: world.records(),
        audit: world.audit(),
        audit_branch: world.audit_branch(),
        tokens: world.tokens(),
        batch: world.batch(),
        executions: world.executions(),
        announcer: world.announcer(),
        repositories: world.repositories(),
        clock: world.clock(),
    })
}
