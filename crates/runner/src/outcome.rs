//! Converts the end of a Terraform command to the outcome of a job.

use domain::error::{ErrorName, StepError};
use domain::job::JobOutcome;
use domain::plan::SideEffects;
use terraform_cli::{Error, Hook, Transcript};

/// The most diagnostics in a result.
const MAX_DIAGNOSTICS: usize = 10;
/// The longest diagnostic or message, in characters.
const MAX_TEXT: usize = 1500;
/// The most addresses that a message lists for each kind.
const MAX_ADDRESSES: usize = 10;

/// The failure of a job: the error, its side effects, and the diagnostics of Terraform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The error.
    pub error: StepError,
    /// Whether resources may have changed.
    pub side_effects: SideEffects,
    /// The first errors, then warnings, one text each.
    pub diagnostics: Vec<String>,
}

impl From<StepError> for Stop {
    fn from(error: StepError) -> Self {
        Self {
            error,
            side_effects: SideEffects::None,
            diagnostics: Vec::new(),
        }
    }
}

impl From<crate::refusal::Refusal> for Stop {
    fn from(refusal: crate::refusal::Refusal) -> Self {
        StepError::from(refusal).into()
    }
}

impl Stop {
    /// Converts the error of a command. `otherwise` is the name of an error without a name of its
    /// own.
    #[must_use]
    pub fn of(error: &Error, otherwise: ErrorName) -> Self {
        let name = match error {
            Error::StalePlan { .. } => ErrorName::StalePlan,
            Error::StateLocked { .. } => ErrorName::StateLocked,
            Error::Interrupted(_) => ErrorName::Interrupted,
            Error::Failed(_) => otherwise,
            Error::TooOld { .. } | Error::Start { .. } => ErrorName::SettingsInvalid,
            Error::Unreadable { .. } | Error::Io { .. } => ErrorName::Internal,
        };
        let errors = error.diagnostics().iter().filter(|found| found.is_error());
        let warnings = error.diagnostics().iter().filter(|found| !found.is_error());
        Self {
            error: StepError::new(name, cut(&error.to_string())),
            side_effects: SideEffects::None,
            diagnostics: errors
                .chain(warnings)
                .take(MAX_DIAGNOSTICS)
                .map(|found| cut(&found.to_string()))
                .collect(),
        }
    }

    /// Converts the error of an apply. Adds the addresses that were done, that failed and whose
    /// state is unknown.
    #[must_use]
    pub fn of_apply(error: &Error, transcript: &Transcript) -> Self {
        let mut stop = Self::of(error, ErrorName::ApplyFailed);
        // Both of these occur before the first resource is changed.
        if !matches!(error, Error::StalePlan { .. } | Error::StateLocked { .. }) {
            stop.side_effects = SideEffects::Possible;
        }
        for (word, hooks) in [
            ("done", &transcript.completed),
            ("failed", &transcript.errored),
            ("unknown", &transcript.unfinished),
        ] {
            if let Some(listed) = addresses(hooks) {
                stop.error.message.push_str(&format!("; {word}: {listed}"));
            }
        }
        stop
    }

    /// Converts to the outcome of a job. Passes every text through `clean`.
    #[must_use]
    pub fn into_outcome(self, clean: impl Fn(&str) -> String) -> JobOutcome {
        JobOutcome::Failed {
            error: StepError::new(self.error.name, clean(&self.error.message)),
            side_effects: self.side_effects,
            diagnostics: self.diagnostics.iter().map(|text| clean(text)).collect(),
        }
    }
}

fn addresses(hooks: &[Hook]) -> Option<String> {
    if hooks.is_empty() {
        return None;
    }
    let listed: Vec<String> = hooks
        .iter()
        .take(MAX_ADDRESSES)
        .map(|hook| format!("{} ({})", hook.address, hook.action))
        .collect();
    let mut text = listed.join(", ");
    if hooks.len() > MAX_ADDRESSES {
        text.push_str(&format!(" and {} more", hooks.len() - MAX_ADDRESSES));
    }
    Some(text)
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_TEXT).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use terraform_cli::{Event, Failure, Interruption, LockInfo};

    fn hook(address: &str, action: &str) -> Hook {
        Hook {
            address: address.into(),
            resource_type: "t".into(),
            action: action.into(),
            elapsed_seconds: 1,
        }
    }

    #[test]
    fn each_error_has_its_name_and_side_effects() {
        let lock = LockInfo {
            id: "i".into(),
            ..LockInfo::default()
        };
        let failure = Failure {
            command: "apply",
            code: 1,
            diagnostics: Vec::new(),
        };
        let interruption = Interruption {
            command: "apply",
            asked: true,
            killed: true,
            diagnostics: Vec::new(),
        };
        for (error, name, side_effects) in [
            (
                Error::StalePlan {
                    diagnostics: Vec::new(),
                },
                ErrorName::StalePlan,
                SideEffects::None,
            ),
            (
                Error::StateLocked { lock: lock.into() },
                ErrorName::StateLocked,
                SideEffects::None,
            ),
            (
                Error::Failed(failure),
                ErrorName::ApplyFailed,
                SideEffects::Possible,
            ),
            (
                Error::Interrupted(interruption),
                ErrorName::Interrupted,
                SideEffects::Possible,
            ),
        ] {
            let stop = Stop::of_apply(&error, &Transcript::default());
            assert_eq!((stop.error.name, stop.side_effects), (name, side_effects));
        }
    }

    #[test]
    fn an_apply_that_failed_lists_addresses() {
        let mut transcript = Transcript::default();
        for index in 0..12 {
            transcript.record(&Event::ApplyComplete(hook(
                &format!("t.a[{index}]"),
                "create",
            )));
        }
        transcript.record(&Event::ApplyStart(hook("t.b", "update")));
        transcript.record(&Event::ApplyErrored(hook("t.c", "delete")));
        let failure = Failure {
            command: "apply",
            code: 1,
            diagnostics: Vec::new(),
        };
        let message = Stop::of_apply(&Error::Failed(failure), &transcript)
            .error
            .message;
        assert!(message.contains("; done: t.a[0] (create), "), "{message}");
        assert!(
            message.contains("t.a[9] (create) and 2 more; failed: t.c (delete)"),
            "{message}"
        );
        assert!(message.ends_with("; unknown: t.b (update)"), "{message}");
    }
}
