//! Stacks that the file no longer has, or has under another name.

use super::{Checker, MAX_STACKS, RawStack, Stack};
use crate::ids::StackName;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::fmt;

/// What happens to the resources of a stack that the file no longer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removed {
    /// They are destroyed, after an approval.
    Destroy,
    /// They stay as they are, and so does the stack's state. No run changes them.
    Keep,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Destroy => "destroy",
            Self::Keep => "keep",
        })
    }
}

impl Stack {
    /// Returns the name that the stack's state goes by: the stack's first name.
    #[must_use]
    pub fn state(&self) -> &StackName {
        self.renamed_from.as_ref().unwrap_or(&self.name)
    }
}

pub(super) type RawRemoved = BTreeMap<String, Spanned<Removed>>;

impl Checker {
    pub(super) fn renamed_from(
        &mut self,
        i: usize,
        raw: &RawStack,
        all: &[RawStack],
    ) -> Option<StackName> {
        let from = raw.renamed_from.as_ref()?;
        let key = format!("stacks[{i}].renamed_from");
        let state = |stack: &RawStack| {
            let from = stack.renamed_from.as_ref();
            from.map_or_else(|| stack.name.value.clone(), |from| from.value.clone())
        };
        let others = all.iter().enumerate().filter(|(n, _)| *n != i);
        if from.value == raw.name.value {
            let message = format!("{:?} is the stack's own name; remove the key", from.value);
            self.error("CF037", from.referenced, &key, message);
        } else if let Some((_, other)) = others
            .into_iter()
            .find(|(_, other)| state(other) == from.value)
        {
            let message = format!(
                "the state {:?} is that of stack {:?}; expected a name that no stack has",
                from.value, other.name.value
            );
            self.error("CF037", from.referenced, &key, message);
        }
        self.id("CF026", &key, from, StackName::parse)
    }

    pub(super) fn removed(
        &mut self,
        raw: &RawRemoved,
        stacks: &[Stack],
    ) -> BTreeMap<StackName, Removed> {
        let mut removed = BTreeMap::new();
        for (text, what) in raw {
            let (key, at) = (format!("removed.{text}"), what.referenced);
            let name = match StackName::parse(text) {
                Ok(name) => name,
                Err(error) => {
                    self.error("CF026", at, &key, error.to_string());
                    continue;
                }
            };
            let in_use = |stack: &&Stack| stack.name == name || *stack.state() == name;
            if let Some(stack) = stacks.iter().find(in_use) {
                let message = format!(
                    "stack {} is in the file and has this state; remove the key",
                    stack.name
                );
                self.error("CF036", at, &key, message);
            }
            removed.insert(name, what.value);
            if stacks.len() + removed.len() == MAX_STACKS + 1 {
                let message = format!(
                    "more than {MAX_STACKS} stacks with those in `stacks`; remove some of them first"
                );
                self.error("CF032", at, "removed", message);
            }
        }
        removed
    }
}
