//! Wiring only.

fn main() -> std::process::ExitCode {
    runtime::serve_url(|wiring| {
        webhook::Webhook::new(
            wiring.webhook_reader(),
            wiring.table(),
            wiring.event_bus(),
            wiring.secrets(),
            wiring.enrolments(),
            wiring.clock(),
        )
    })
}
