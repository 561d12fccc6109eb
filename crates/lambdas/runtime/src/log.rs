use std::io::stdout;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt};

/// Our own crates. Others log warnings and errors only: at a finer level an HTTP client logs headers
/// and bodies, which hold tokens.
const OURS: &[&str] = &[
    "apply",
    "aws",
    "build_trigger",
    "deploy",
    "domain",
    "engine",
    "forge",
    "plan",
    "record",
    "rollback",
    "runtime",
    "validate",
    "webhook",
];

/// Logs to standard output, one line of JSON for each event.
pub(crate) fn start(level: Level) {
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(stdout)
        .with_filter(filter_fn(move |event| is_shown(event, level)));
    // Fails only in a test that has set one before.
    let _other = tracing::subscriber::set_global_default(Registry::default().with(lines)).err();
}

fn is_shown(event: &Metadata<'_>, level: Level) -> bool {
    // The runtime repeats the message of `invoke` without its fields.
    if event.target().starts_with("lambda_runtime::layers::panic") {
        return false;
    }
    *event.level() <= ceiling(event.target(), level)
}

fn ceiling(target: &str, level: Level) -> Level {
    let owner = target.split("::").next().unwrap_or_default();
    if OURS.contains(&owner) {
        level
    } else {
        level.min(Level::WARN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_crates_say_more_than_warnings() {
        assert_eq!(ceiling("plan::judge", Level::DEBUG), Level::DEBUG);
        assert_eq!(ceiling("aws::probe", Level::DEBUG), Level::DEBUG);
        assert_eq!(
            ceiling("aws_smithy_runtime::client", Level::DEBUG),
            Level::WARN
        );
        assert_eq!(ceiling("hyper", Level::INFO), Level::WARN);
        assert_eq!(ceiling("hyper", Level::ERROR), Level::ERROR);
    }
}
