//! Failures that happened at the same time, as one error.

use crate::caught::CAUSE_LIMIT;
use crate::error::StepError;
use crate::text;

/// The maximum number of failures whose errors a message has. It has the names of the others.
const DETAILED: usize = 6;

/// The maximum length of those names, in characters.
const NAMES_LIMIT: usize = 500;

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What failed, for the start of a line: `stack data`.
    pub what: String,
    /// Its error.
    pub error: StepError,
}

/// Returns the error of the only failure, or one error that names each failure and shows what the first of them say,
/// shortened so that all fit. It has the name of the first error that the commit causes, else of the first error.
/// Returns none if nothing failed.
#[must_use]
pub fn together(failures: &[Failed]) -> Option<StepError> {
    let (first, others) = failures.split_first()?;
    if others.is_empty() {
        return Some(first.error.clone());
    }
    let mut of_commit = failures.iter().filter(|one| one.error.name.is_of_commit());
    let name = of_commit.next().unwrap_or(first).error.name;
    let (detailed, named) = failures.split_at(failures.len().min(DETAILED));
    let head = format!("{} failures", failures.len());
    let rest = (!named.is_empty()).then(|| {
        let names: Vec<&str> = named.iter().map(|failed| failed.what.as_str()).collect();
        text::line(&format!("and {}", names.join(", ")), NAMES_LIMIT)
    });
    // One for the end of each line.
    let length = |line: &String| line.chars().count() + 1;
    let taken = length(&head) + rest.as_ref().map_or(0, length);
    let each = (CAUSE_LIMIT.saturating_sub(taken) / detailed.len()).saturating_sub(1);
    let lines = detailed
        .iter()
        .map(|failed| shorten(&format!("{}: {}", failed.what, failed.error), each));
    let lines: Vec<String> = std::iter::once(head).chain(lines).chain(rest).collect();
    Some(StepError::new(name, lines.join("\n")))
}

/// Shortens a text in its middle: its start says what failed, and a build's log ends with the cause.
fn shorten(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let half = limit.saturating_sub(3) / 2;
    let start: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(length - half).collect();
    format!("{start} … {end}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use crate::error::ErrorName;
    use crate::step::CaughtError;

    fn failed(what: &str, name: ErrorName, message: &str) -> Failed {
        Failed {
            what: what.into(),
            error: StepError::new(name, message),
        }
    }

    #[test]
    fn failures_of_the_same_time_are_one_error() {
        assert_eq!(together(&[]), None);
        let network = failed(
            "stack network",
            ErrorName::PlanFailed,
            "Invalid resource type\nmain.tf:3",
        );
        assert_eq!(
            together(std::slice::from_ref(&network)),
            Some(network.error.clone())
        );
        let data = failed("stack data", ErrorName::StateLocked, "locked by mona");
        let both = together(&[data, network]).unwrap();
        assert_eq!(
            both.to_string(),
            "PlanFailed: 2 failures\nstack data: StateLocked: locked by mona\n\
             stack network: PlanFailed: Invalid resource type\nmain.tf:3"
        );
    }

    #[test]
    fn every_failure_is_named_within_the_limit() {
        let text = format!("{}the end", "long ".repeat(600));
        let failures: Vec<Failed> = (0..20)
            .map(|n| {
                let what = format!("stack stack-{n}");
                failed(&what, ErrorName::PlanFailed, &text)
            })
            .collect();
        let error = together(&failures).unwrap();
        for failed in &failures {
            assert!(error.message.contains(&failed.what), "{error}");
        }
        assert!(error.message.chars().count() <= CAUSE_LIMIT);
        assert_eq!(error.message.matches("the end\n").count(), DETAILED);
        // It is kept whole when the next step reads it.
        let caught = CaughtError {
            error: error.name.to_string(),
            cause: serde_json::json!({ "errorMessage": error.message }).to_string(),
        };
        assert_eq!(caught.to_step_error(), error);
    }
}
