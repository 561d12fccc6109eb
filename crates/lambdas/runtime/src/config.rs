//! The only place of the functions that reads the environment.

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

/// Whether this process was started by AWS Lambda, or by something that acts like it.
pub(crate) fn is_function() -> bool {
    variable("AWS_LAMBDA_RUNTIME_API").is_some()
}
