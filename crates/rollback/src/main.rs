//! Wiring only.

fn main() -> std::process::ExitCode {
    lambda::serve(|world| rollback::Rollback {
        records: world.records(),
        announcer: world.announcer(),
        clock: world.clock(),
    })
}
