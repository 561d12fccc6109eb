//! Converts the end of a Terraform command to the outcome of a job.

use domain::api_failure::ApiFailure;
use domain::error::{ErrorName, StepError};
use domain::job::JobOutcome;
use domain::plan::{NotJudged, SideEffects};
use domain::text;
use domain::warning::{Warning, WarningKind, Warnings};
use jiff::Timestamp;
use terraform_cli::{Diagnostic, Error, Failure, Hook, Transcript};

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

/// Returns the time since a lock was acquired, such as `3 h 12 min`. `created` is a time as Go prints
/// it, such as `2026-11-21 09:41:42.96117085 +0000 UTC`.
fn age(created: &str, now: Timestamp) -> Option<String> {
    let mut words = created.split_whitespace();
    let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
    let since: Timestamp = format!("{date}T{time}{zone}").parse().ok()?;
    let minutes = now.duration_since(since).as_mins().max(0);
    Some(match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    })
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
            // A rollback that must not be made stays so, whatever else failed.
            Error::Failed(failure) if is_of_api(failure) && otherwise != ErrorName::PlanRefused => {
                ErrorName::ApiUnavailable
            }
            Error::Failed(_) => otherwise,
            Error::TooOld { .. } | Error::Start { .. } => ErrorName::SettingsInvalid,
            Error::Plan(NotJudged::TooLarge) => ErrorName::PlanFailed,
            Error::Plan(_)
            | Error::TooLong { .. }
            | Error::Unreadable { .. }
            | Error::Io { .. } => ErrorName::Internal,
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
    /// state is unknown, and whether the state may lack some of them.
    #[must_use]
    pub fn of_apply(error: &Error, transcript: &Transcript) -> Self {
        let mut stop = Self::of(error, ErrorName::ApplyFailed);
        stop.side_effects = side_effects(error);
        for (word, hooks) in [
            ("done", &transcript.completed),
            ("failed", &transcript.errored),
            ("unknown", &transcript.unfinished),
        ] {
            if let Some(listed) = addresses(hooks) {
                stop.error.message.push_str(&format!("; {word}: {listed}"));
            }
        }
        if stop.side_effects == SideEffects::Unrecorded {
            stop.error.message.push_str(
                "; the state may lack what was done or begun in the last 20 s: Terraform writes it no more often",
            );
        }
        stop
    }

    /// Converts the error of an apply that has no report.
    #[must_use]
    pub fn of_start(error: &Error) -> Self {
        let mut stop = Self::of(error, ErrorName::ApplyFailed);
        // After a stop that came first, the command was not started.
        if !matches!(error, Error::Interrupted(_)) {
            stop.side_effects = side_effects(error);
        }
        stop
    }

    /// Adds how long another process has held the lock of the state, if that is the error.
    #[must_use]
    pub fn with_lock_age(mut self, error: &Error, now: Timestamp) -> Self {
        if let Error::StateLocked { lock } = error
            && let Some(age) = age(&lock.created, now)
        {
            let message = &mut self.error.message;
            message.push_str(&format!("; the lock has been held for {age}"));
        }
        self
    }

    /// Adds a text about the errors to the diagnostics. Replaces the last one if there are too many.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        if let Some(hint) = hint {
            self.diagnostics.truncate(MAX_DIAGNOSTICS - 1);
            self.diagnostics.push(cut(&hint));
        }
        self
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

/// The summaries of Terraform's errors about a state that it could not write.
const NOT_SAVED: [&str; 2] = ["Failed to save state", "Failed to persist state to backend"];

/// Returns whether an apply carried out its plan, and could only not write the state.
#[must_use]
pub fn only_the_state_failed(error: &Error) -> bool {
    matches!(error, Error::Failed(failure) if all_errors(failure, is_of_state))
}

/// Returns whether every error of a command is one of an API that Terraform called. The backend is
/// the pipeline's own.
fn is_of_api(failure: &Failure) -> bool {
    all_errors(failure, |found| {
        is_of_state(found) || ApiFailure::of(&found.to_string()).is_some()
    })
}

fn is_of_state(found: &Diagnostic) -> bool {
    NOT_SAVED.contains(&found.summary.as_str())
}

/// Returns whether a command has errors, and all of them are such.
fn all_errors(failure: &Failure, is_such: impl Fn(&Diagnostic) -> bool) -> bool {
    let mut errors = failure.diagnostics.iter().filter(|found| found.is_error());
    errors.clone().next().is_some() && errors.all(is_such)
}

/// Returns what an apply that ended with this error may have done.
fn side_effects(error: &Error) -> SideEffects {
    /// The exit code of Terraform for an error. Others are those of a crash.
    const FAILED: i32 = 1;
    match error {
        // These occur before the first resource is changed.
        Error::StalePlan { .. }
        | Error::StateLocked { .. }
        | Error::TooOld { .. }
        | Error::Start { .. } => SideEffects::None,
        Error::Interrupted(interruption) if !interruption.killed => SideEffects::Possible,
        Error::Failed(failure) if failure.code == FAILED => SideEffects::Possible,
        Error::Interrupted(_)
        | Error::Failed(_)
        | Error::Plan(_)
        | Error::TooLong { .. }
        | Error::Unreadable { .. }
        | Error::Io { .. } => SideEffects::Unrecorded,
    }
}

/// The summary of a `check` block whose assertion failed.
const FAILED_CHECK: &str = "Check block assertion failed";

/// The summary of a `check` block that a plan cannot evaluate yet. The apply evaluates it.
const LATER_CHECK: &str = "Check block assertion known after apply";

/// Returns the warnings of a command. Passes every text through `clean`.
#[must_use]
pub fn warnings(transcript: &Transcript, clean: impl Fn(&str) -> String) -> Warnings {
    let found = transcript.diagnostics.iter();
    let found = found.filter(|found| !found.is_error() && found.summary != LATER_CHECK);
    Warnings::new(found.map(|found| {
        let kind = if found.summary == FAILED_CHECK {
            WarningKind::Check
        } else {
            WarningKind::Other
        };
        Warning::new(kind, &clean(&found.to_string()))
    }))
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
    text::lines(text, MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use terraform_cli::{Event, Interruption, LockInfo, Severity};

    fn hook(address: &str, action: &str) -> Hook {
        Hook {
            address: address.into(),
            resource_type: "t".into(),
            action: action.into(),
            elapsed_seconds: 1,
        }
    }

    #[test]
    fn the_age_of_a_lock_is_read_from_its_time() {
        let now: Timestamp = "2026-11-21T12:54:00Z".parse().unwrap();
        let created = "2026-11-21 09:41:42.96117085 +0000 UTC";
        assert_eq!(age(created, now).as_deref(), Some("3 h 12 min"));
        let created = "2026-11-21 12:41:42 +0000 UTC";
        assert_eq!(age(created, now).as_deref(), Some("12 min"));
        assert_eq!(age("yesterday", now), None);

        let lock = terraform_cli::LockInfo {
            path: "state/github-42/production/data.tfstate".into(),
            who: "runner@ip-10-0-1-7".into(),
            created: created.into(),
            ..terraform_cli::LockInfo::default()
        };
        let error = Error::StateLocked { lock: lock.into() };
        let stop = Stop::of_apply(&error, &Transcript::default()).with_lock_age(&error, now);
        let message = &stop.error.message;
        assert!(message.contains("github-42/production/data.tfstate is locked by runner@"));
        assert!(message.ends_with("held for 12 min"), "{message}");
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
        let crash = Failure {
            code: 11,
            ..failure.clone()
        };
        let text = "reading IAM Role (app): operation error IAM: GetRole, https response error \
                    StatusCode: 400, RequestID: 1b, api error Throttling: Rate exceeded";
        let of_api = Diagnostic::from_text(text);
        let throttled = Failure {
            diagnostics: vec![of_api.clone(), of_api.clone()],
            ..failure.clone()
        };
        let mixed = Failure {
            diagnostics: vec![of_api, Diagnostic::from_text("Unsupported argument")],
            ..failure.clone()
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
                SideEffects::Unrecorded,
            ),
            (
                Error::Failed(crash),
                ErrorName::ApplyFailed,
                SideEffects::Unrecorded,
            ),
            (
                Error::Failed(throttled),
                ErrorName::ApiUnavailable,
                SideEffects::Possible,
            ),
            (
                Error::Failed(mixed),
                ErrorName::ApplyFailed,
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

    #[test]
    fn a_failed_check_counts_and_one_that_waits_for_the_apply_does_not() {
        let warning = |summary: &str, detail: &str| {
            Event::Diagnostic(Diagnostic {
                severity: Severity::Warning,
                summary: summary.into(),
                detail: detail.into(),
                ..Diagnostic::from_text("")
            })
        };
        let mut transcript = Transcript::default();
        for event in [
            warning("Argument is deprecated", "Use another."),
            warning(LATER_CHECK, "The condition could not be evaluated."),
            warning(FAILED_CHECK, "The certificate canary ends soon."),
            Event::Diagnostic(Diagnostic::from_text("An error")),
        ] {
            transcript.record(&event);
        }
        let found = warnings(&transcript, |text| text.replace("canary", "[redacted]"));
        let texts: Vec<&str> = found.first.iter().map(|it| it.text.as_str()).collect();
        assert_eq!((found.failed_checks, found.others), (1, 1));
        assert_eq!(
            texts,
            [
                "Check block assertion failed: The certificate [redacted] ends soon.",
                "Argument is deprecated: Use another.",
            ]
        );
    }
}
