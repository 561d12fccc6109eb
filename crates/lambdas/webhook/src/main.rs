//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve_url(|world| {
        webhook::Webhook::new(
            world.webhook_reader(),
            world.records(),
            world.event_bus(),
            world.secrets(),
            world.repositories(),
            world.webhook_secret_arn(),
            world.clock(),
        )
    })
}
