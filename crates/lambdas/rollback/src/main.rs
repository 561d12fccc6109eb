//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve(|world| rollback::Rollback {
        records: world.records(),
        announcer: world.announcer(),
        clock: world.clock(),
    })
}
