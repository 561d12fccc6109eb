//! What a plan may remove without an approval.

use super::Checker;
use crate::plan::ResourceChange;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use std::fmt;

/// The most entries of `policies.protect`, and the longest one in bytes. A run's record keeps them
/// twice.
const MAX_PROTECTED: usize = 50;
const MAX_LENGTH: usize = 200;

/// What a plan may remove without an approval. It can only tighten what always needs one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// Resources whose deletion or replacement needs an approval, besides those that may hold data.
    pub protect: Vec<Protected>,
    /// The most resources that a plan deletes without an approval.
    pub max_deletions: u32,
    /// The largest part of a stack's resources that a plan deletes without an approval, in percent.
    pub max_deletion_percent: u32,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            protect: Vec::new(),
            max_deletions: 10,
            max_deletion_percent: 20,
        }
    }
}

impl Policies {
    /// Returns whether `protect` names a resource.
    #[must_use]
    pub fn protects(&self, change: &ResourceChange) -> bool {
        self.protect.iter().any(|entry| entry.matches(change))
    }
}

/// An entry of `policies.protect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Protected {
    /// Every resource of a type, such as `aws_vpc`.
    Type(String),
    /// A resource or a module with everything in it, with every instance: `module.edge.aws_lb.this`.
    Address(String),
}

impl Protected {
    /// Parses an entry. A text with a dot is an address.
    ///
    /// # Errors
    /// Returns what is wrong, phrased to follow the entry in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.len() > MAX_LENGTH {
            return Err(format!("is longer than {MAX_LENGTH} bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err("has a control character".to_owned());
        }
        let identifier = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        if identifier(text) {
            return Ok(Self::Type(text.to_owned()));
        }
        // Keys of instances may have any character, so only the beginning is checked.
        match text.split_once('.') {
            Some((first, rest)) if identifier(first) && !rest.is_empty() => {
                Ok(Self::Address(text.to_owned()))
            }
            _ => Err("is neither a resource type nor an address".to_owned()),
        }
    }

    fn matches(&self, change: &ResourceChange) -> bool {
        match self {
            Self::Type(kind) => *kind == change.resource_type,
            Self::Address(address) => change
                .address
                .strip_prefix(address.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])),
        }
    }
}

impl fmt::Display for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(text) | Self::Address(text) => f.write_str(text),
        }
    }
}

impl TryFrom<String> for Protected {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Protected> for String {
    fn from(entry: Protected) -> Self {
        entry.to_string()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicies {
    #[serde(default)]
    protect: Vec<Spanned<String>>,
    max_deletions: Option<Spanned<u32>>,
    max_deletion_percent: Option<Spanned<u32>>,
}

impl Checker {
    pub(super) fn policies(&mut self, raw: &RawPolicies) -> Policies {
        let mut policies = Policies::default();
        for (n, entry) in raw.protect.iter().enumerate() {
            let key = format!("policies.protect[{n}]");
            match Protected::parse(&entry.value) {
                Ok(parsed) => policies.protect.push(parsed),
                Err(why) => {
                    let message = format!(
                        "{:?} {why}; expected a type such as aws_vpc, or an address such as \
                         module.edge.aws_lb.this",
                        entry.value
                    );
                    self.error("CF054", entry.referenced, &key, message);
                }
            }
            if n == MAX_PROTECTED {
                let message = format!("expected at most {MAX_PROTECTED} entries");
                self.error("CF054", entry.referenced, "policies.protect", message);
            }
        }
        if let Some(limit) = &raw.max_deletions {
            policies.max_deletions = limit.value;
        }
        if let Some(percent) = &raw.max_deletion_percent {
            if percent.value > 100 {
                let message = format!("found {}, expected 0..100", percent.value);
                let key = "policies.max_deletion_percent";
                self.error("CF055", percent.referenced, key, message);
            }
            policies.max_deletion_percent = percent.value;
        }
        policies
    }
}
