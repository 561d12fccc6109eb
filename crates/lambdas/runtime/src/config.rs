//! The only module of the Lambdas that reads environment variables.

use crate::settings::Settings;

fn variable(name: &str) -> Option<String> {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the module that reads the environment"
    )]
    std::env::var(name).ok()
}

/// The settings of this process.
pub(crate) fn settings() -> Settings {
    Settings::new(variable)
}

/// Returns whether AWS Lambda, or a compatible runtime, started this process.
pub(crate) fn is_function() -> bool {
    variable("AWS_LAMBDA_RUNTIME_API").is_some()
}
