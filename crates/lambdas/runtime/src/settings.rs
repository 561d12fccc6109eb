use domain::env_vars;
use domain::error::{ErrorName, StepError};
use std::cell::RefCell;
use std::collections::BTreeSet;
use tracing::Level;

/// Finds a variable by its name.
type Lookup = dyn Fn(&str) -> Option<String>;

/// Reads settings and collects every problem, so that a function reports all of them at once.
///
/// Only requested variables are read: each function has only those that it needs. A missing or wrong
/// variable reads as an empty value; what was made from it is dropped when [`Settings::check`] fails.
pub(crate) struct Settings {
    lookup: Box<Lookup>,
    problems: RefCell<BTreeSet<String>>,
}

impl Settings {
    /// Reads variables by `lookup`.
    pub(crate) fn new(lookup: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self {
            lookup: Box::new(lookup),
            problems: RefCell::default(),
        }
    }

    /// Returns a non-empty variable.
    pub(crate) fn text(&self, name: &str) -> String {
        match (self.lookup)(name) {
            Some(text) if !text.trim().is_empty() => text,
            Some(_) => {
                self.note(format!("{name} is empty"));
                String::new()
            }
            None => {
                self.note(format!("{name} is not set"));
                String::new()
            }
        }
    }

    /// Returns an address that begins with `http://` or `https://`.
    pub(crate) fn url(&self, name: &str) -> String {
        let text = self.text(name);
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        if !text.is_empty() && host.is_none_or(str::is_empty) {
            self.note(format!(
                "{name} is {text:?}, expected https:// and an address"
            ));
        }
        text
    }

    /// Returns the log level; `info` if none is set.
    pub(crate) fn level(&self) -> Level {
        let Some(text) = (self.lookup)(env_vars::LOG) else {
            return Level::INFO;
        };
        match text.as_str() {
            "error" => Level::ERROR,
            "warn" => Level::WARN,
            "info" => Level::INFO,
            "debug" => Level::DEBUG,
            _ => {
                self.note(format!(
                    "{} is {text:?}, expected error, warn, info or debug",
                    env_vars::LOG
                ));
                Level::INFO
            }
        }
    }

    /// Adds a problem.
    pub(crate) fn note(&self, problem: String) {
        self.problems.borrow_mut().insert(problem);
    }

    /// Fails with every problem so far.
    pub(crate) fn check(&self) -> Result<(), StepError> {
        let problems = self.problems.borrow();
        if problems.is_empty() {
            return Ok(());
        }
        let problems: Vec<&str> = problems.iter().map(String::as_str).collect();
        Err(StepError::new(
            ErrorName::SettingsInvalid,
            problems.join("; "),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn settings(variables: &'static [(&str, &str)]) -> Settings {
        Settings::new(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn good_settings_are_read() {
        let settings = settings(&[
            (env_vars::TABLE, "sluicegate"),
            (env_vars::FORGE_URL, "https://api.github.com"),
            (env_vars::LOG, "debug"),
        ]);
        assert_eq!(settings.text(env_vars::TABLE), "sluicegate");
        assert_eq!(settings.url(env_vars::FORGE_URL), "https://api.github.com");
        assert_eq!(settings.level(), Level::DEBUG);
        assert_eq!(settings.check(), Ok(()));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let settings = settings(&[
            (env_vars::BUCKET, " "),
            (env_vars::FORGE_URL, "api.github.com"),
            (env_vars::LOG, "loud"),
        ]);
        settings.text(env_vars::TABLE);
        settings.text(env_vars::TABLE);
        settings.text(env_vars::BUCKET);
        settings.url(env_vars::FORGE_URL);
        settings.level();
        let error = settings.check().unwrap_err();
        assert_eq!(error.name, ErrorName::SettingsInvalid);
        let problems: Vec<_> = error.message.split("; ").collect();
        assert_eq!(
            problems,
            [
                "SLUICEGATE_BUCKET is empty",
                "SLUICEGATE_FORGE_URL is \"api.github.com\", expected https:// and an address",
                "SLUICEGATE_LOG is \"loud\", expected error, warn, info or debug",
                "SLUICEGATE_TABLE is not set",
            ]
        );
    }

    #[test]
    fn a_variable_that_is_not_needed_may_be_missing() {
        assert_eq!(settings(&[]).level(), Level::INFO);
        assert_eq!(settings(&[]).check(), Ok(()));
    }
}
