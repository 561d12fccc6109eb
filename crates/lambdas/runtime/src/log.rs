use domain::step::Step;
use std::io::stdout;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt};

/// The crates that Lambdas share. They and the crates of the Lambdas log at the configured level. All
/// others log warnings and errors only: at a finer level an HTTP client logs headers and bodies, which
/// hold tokens.
const SHARED: [&str; 5] = ["aws", "domain", "engine", "forge", "runtime"];

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
    let is_lambda = |step: Step| step.as_str().replace('-', "_") == owner;
    if SHARED.contains(&owner) || Step::ALL.into_iter().any(is_lambda) {
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
        assert_eq!(ceiling("build_trigger::decide", Level::DEBUG), Level::DEBUG);
        assert_eq!(ceiling("aws::probe", Level::DEBUG), Level::DEBUG);
        assert_eq!(
            ceiling("aws_smithy_runtime::client", Level::DEBUG),
            Level::WARN
        );
        assert_eq!(ceiling("hyper", Level::INFO), Level::WARN);
        assert_eq!(ceiling("hyper", Level::ERROR), Level::ERROR);
    }
}
