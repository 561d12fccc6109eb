//! Warnings of Terraform, and `check` blocks that failed.

use crate::text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most warnings of a stack that a record keeps.
pub const WARNINGS: usize = 2;

/// The longest text of a warning that is kept, in bytes. The job's log has all of it.
const TEXT_LIMIT: usize = 160;

/// The kind of a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningKind {
    /// The assertion of a `check` block failed.
    Check,
    /// Terraform or a provider warns.
    Other,
}

/// A warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// The kind.
    pub kind: WarningKind,
    /// Where and what, in one line. At most 160 bytes.
    pub text: String,
}

impl Warning {
    /// Returns a warning. The text becomes one line, and is cut.
    #[must_use]
    pub fn new(kind: WarningKind, text: &str) -> Self {
        let text = text::cut(&text::line(text, usize::MAX), TEXT_LIMIT);
        Self { kind, text }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The warnings of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warnings {
    /// The number of `check` blocks that failed.
    pub failed_checks: u32,
    /// The number of other warnings.
    pub others: u32,
    /// The first warnings, at most [`WARNINGS`]; those of `check` blocks first.
    pub first: Vec<Warning>,
}

impl Warnings {
    /// Returns the warnings of a command, each once.
    #[must_use]
    pub fn new(warnings: impl IntoIterator<Item = Warning>) -> Self {
        let mut all: Vec<Warning> = Vec::new();
        for warning in warnings {
            if !all.contains(&warning) {
                all.push(warning);
            }
        }
        let is_check = |warning: &&Warning| warning.kind == WarningKind::Check;
        let failed_checks = all.iter().filter(is_check).count();
        let others = all.len() - failed_checks;
        all.sort_by_key(|warning| warning.kind == WarningKind::Other);
        all.truncate(WARNINGS);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            failed_checks: count(failed_checks),
            others: count(others),
            first: all,
        }
    }

    /// Returns these warnings, and others that Terraform does not know. They come first, after failed
    /// `check` blocks.
    #[must_use]
    pub fn and(self, more: impl IntoIterator<Item = Warning>) -> Self {
        let more: Vec<Warning> = more.into_iter().collect();
        let counted = Self::new(more.iter().cloned());
        Self {
            failed_checks: self.failed_checks.saturating_add(counted.failed_checks),
            others: self.others.saturating_add(counted.others),
            first: Self::new(more.into_iter().chain(self.first)).first,
        }
    }

    /// Returns the warnings of an apply together with those of its plan. The apply runs every
    /// `check` block again, so those of the plan do not count; other warnings may occur in only one
    /// of the two.
    #[must_use]
    pub fn applied(&self, apply: &Self) -> Self {
        let of_plan = self
            .first
            .iter()
            .filter(|warning| warning.kind == WarningKind::Other);
        let both = Self::new(apply.first.iter().chain(of_plan).cloned());
        Self {
            failed_checks: apply.failed_checks,
            // Exact unless more occurred than a record keeps.
            others: both.others.max(self.others).max(apply.others),
            first: both.first,
        }
    }

    /// Returns the number of warnings, failed `check` blocks included.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.failed_checks.saturating_add(self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Warning {
        Warning::new(WarningKind::Check, text)
    }

    fn other(text: &str) -> Warning {
        Warning::new(WarningKind::Other, text)
    }

    #[test]
    fn a_warning_is_one_short_line() {
        let warning = other(&format!("main.tf:1:\n\u{1b}[31m {}", "ü".repeat(200)));
        assert!(warning.text.starts_with("main.tf:1: ü"), "{warning}");
        assert!(warning.text.len() <= TEXT_LIMIT && warning.text.ends_with('…'));
    }

    #[test]
    fn each_warning_counts_once_and_failed_checks_come_first() {
        let found = Warnings::new([other("a"), other("b"), other("a"), check("c")]);
        assert_eq!(
            (found.failed_checks, found.others, found.count()),
            (1, 2, 3)
        );
        assert_eq!(found.first, [check("c"), other("a")]);
    }

    #[test]
    fn other_warnings_are_added_behind_failed_checks() {
        let found = Warnings::new([other("a"), other("b"), check("c")]).and([other("d")]);
        assert_eq!((found.failed_checks, found.others), (1, 3));
        assert_eq!(found.first, [check("c"), other("d")]);
        assert_eq!(found.clone().and([]), found);
    }

    #[test]
    fn a_check_counts_as_it_ended_after_the_apply() {
        let plan = Warnings::new([check("before"), other("deprecated")]);
        let repaired = plan.applied(&Warnings::default());
        assert_eq!((repaired.failed_checks, repaired.others), (0, 1));
        assert_eq!(repaired.first, [other("deprecated")]);
        let again = plan.applied(&Warnings::new([check("after"), other("deprecated")]));
        assert_eq!((again.failed_checks, again.others), (1, 1));
        assert_eq!(again.first, [check("after"), other("deprecated")]);
    }
}
