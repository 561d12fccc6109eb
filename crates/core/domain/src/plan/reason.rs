//! Why a plan needs an approval.

use super::{Action, ApprovalRule, brief_address};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most reasons with an address that a record keeps.
pub const REASONS: usize = 4;

/// Why a plan needs an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "reason",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Reason {
    /// The plan deletes or replaces a resource that `policies.protect` names.
    Protected {
        /// The resource's address.
        address: String,
        /// Delete or replace.
        action: Action,
    },
    /// The plan deletes or replaces a resource of a type that is not in
    /// [`STATELESS_TYPES`](super::STATELESS_TYPES).
    Stateful {
        /// The resource's address.
        address: String,
        /// Delete or replace.
        action: Action,
    },
    /// The plan replaces a resource because an earlier apply left it tainted.
    Tainted {
        /// The resource's address.
        address: String,
    },
    /// The plan destroys the whole stack, as `removed` says.
    DestroysStack,
    /// The plan deletes more resources than `policies.max_deletions`.
    ManyDeletions {
        /// The number of deletions, without replacements.
        deletions: usize,
        /// The configured limit.
        limit: u32,
    },
    /// The plan deletes a larger part of the stack than `policies.max_deletion_percent`.
    LargePart {
        /// The number of deletions, without replacements.
        deletions: usize,
        /// The number of resources in the state.
        resources: usize,
        /// The configured limit.
        percent: u32,
    },
    /// The configuration's approval rule.
    Rule {
        /// The rule: always, or on destroy.
        rule: ApprovalRule,
    },
}

impl Reason {
    /// Returns the address, if the reason is a single resource.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Protected { address, .. }
            | Self::Stateful { address, .. }
            | Self::Tainted { address } => Some(address),
            Self::DestroysStack
            | Self::ManyDeletions { .. }
            | Self::LargePart { .. }
            | Self::Rule { .. } => None,
        }
    }

    fn cut(mut self) -> Self {
        match &mut self {
            Self::Protected { address, .. }
            | Self::Stateful { address, .. }
            | Self::Tainted { address } => *address = brief_address(address),
            Self::DestroysStack
            | Self::ManyDeletions { .. }
            | Self::LargePart { .. }
            | Self::Rule { .. } => {}
        }
        self
    }
}

/// Returns the verb of an action that removes the existing resource.
fn verb(action: Action) -> &'static str {
    match action {
        Action::Replace => "replaces",
        _ => "deletes",
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected { address, action } => {
                let verb = verb(*action);
                write!(f, "{verb} {address}, which `policies.protect` names")
            }
            Self::Stateful { address, action } => {
                write!(f, "{} {address}, which may hold data", verb(*action))
            }
            Self::Tainted { address } => {
                write!(f, "replaces {address}, which an earlier apply left tainted")
            }
            Self::DestroysStack => f.write_str("destroys the whole stack, as `removed` says"),
            Self::ManyDeletions { deletions, limit } => write!(
                f,
                "deletes {deletions} resources, more than {limit} (`policies.max_deletions`)"
            ),
            Self::LargePart {
                deletions,
                resources,
                percent,
            } => write!(
                f,
                "deletes {deletions} of {resources} resources, more than {percent} % (`policies.max_deletion_percent`)"
            ),
            Self::Rule { rule } => write!(f, "`approval: {}`", rule.as_str()),
        }
    }
}

/// The reasons that a run's record keeps. Empty if the plan needs no approval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasons {
    /// At most [`REASONS`] with an address, then those of the whole plan. The plan's JSON has all
    /// changes.
    pub kept: Vec<Reason>,
    /// The number of further resources that are a reason.
    pub more: usize,
}

impl Reasons {
    /// Keeps the first reasons with an address, and all others.
    #[must_use]
    pub fn new(reasons: Vec<Reason>) -> Self {
        let (mut kept, others): (Vec<_>, Vec<_>) = reasons
            .into_iter()
            .partition(|reason| reason.address().is_some());
        let more = kept.len().saturating_sub(REASONS);
        kept.truncate(REASONS);
        Self {
            kept: kept.into_iter().chain(others).map(Reason::cut).collect(),
            more,
        }
    }

    /// Returns the first reason, and how many there are besides it; empty without a reason.
    #[must_use]
    pub fn in_brief(&self) -> String {
        let Some(first) = self.kept.first() else {
            return String::new();
        };
        match self.kept.len() - 1 + self.more {
            0 => first.to_string(),
            1 => format!("{first}; and 1 more reason"),
            others => format!("{first}; and {others} more reasons"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_few_addresses_and_every_reason_of_the_whole_plan() {
        let long = "k".repeat(500);
        let tables = (0..7).map(|n| Reason::Stateful {
            address: format!("aws_dynamodb_table.this[\"{n}{long}\"]"),
            action: Action::Delete,
        });
        let limit = Reason::ManyDeletions {
            deletions: 11,
            limit: 10,
        };
        let reasons = Reasons::new(tables.chain([limit.clone()]).collect());
        assert_eq!((reasons.kept.len(), reasons.more), (REASONS + 1, 3));
        assert_eq!(reasons.kept.last(), Some(&limit));
        let addresses = reasons.kept.iter().filter_map(Reason::address);
        assert!(addresses.into_iter().all(|it| it.chars().count() <= 121));
        assert!(reasons.in_brief().ends_with("; and 7 more reasons"));
        assert_eq!(Reasons::default().in_brief(), "");
    }

    #[test]
    fn each_reason_says_what_the_plan_does_and_where() {
        let address = || "module.a.aws_s3_bucket.this".to_owned();
        let reasons = [
            Reason::Protected {
                address: address(),
                action: Action::Delete,
            },
            Reason::Stateful {
                address: address(),
                action: Action::Replace,
            },
            Reason::Tainted { address: address() },
            Reason::DestroysStack,
            Reason::ManyDeletions {
                deletions: 11,
                limit: 10,
            },
            Reason::LargePart {
                deletions: 3,
                resources: 12,
                percent: 20,
            },
            Reason::Rule {
                rule: ApprovalRule::OnDestroy,
            },
        ];
        insta::assert_snapshot!(reasons.map(|it| it.to_string()).join("\n"));
    }
}
