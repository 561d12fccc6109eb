//! A watched branch: its last claimed commit, and a tip for which no push was claimed.

use crate::event::{EVENT_SCHEMA, EventRepository, MissedPush};
use crate::ids::{BranchRef, CommitId, RepositoryKey, RepositoryName};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The version of the item's format.
const SCHEMA: u32 = 1;

/// How long a tip may be unclaimed before its push counts as missed. A delivery of the forge and
/// the start of its execution take seconds.
pub const MISSED_AFTER: SignedDuration = SignedDuration::from_mins(4);

/// How often a missed push is published: its run may end before `validate` can claim it.
pub const TRIES: u32 = 3;

/// Whether a missed push is published again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// After [`MISSED_AFTER`], as another run.
    Later,
    /// No more: the tip counts as claimed.
    GivenUp,
}

/// A watched branch, as stored in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedBranch {
    schema: u32,
    repository: RepositoryKey,
    branch: BranchRef,
    /// The commit of the newest claimed run; before the first, the tip at the first look.
    claimed: Option<CommitId>,
    /// When the webhook accepted that run's trigger, or when the tip was first seen.
    claimed_at: Option<Timestamp>,
    unclaimed: Option<Unclaimed>,
}

/// A tip of a branch that no run was claimed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unclaimed {
    tip: CommitId,
    since: Timestamp,
    /// The number of published pushes whose runs ended before they were accepted.
    failures: u32,
}

impl WatchedBranch {
    /// Returns a branch for which no run was claimed.
    #[must_use]
    pub fn new(repository: RepositoryKey, branch: BranchRef) -> Self {
        Self {
            schema: SCHEMA,
            repository,
            branch,
            claimed: None,
            claimed_at: None,
            unclaimed: None,
        }
    }

    /// Returns the repository's key.
    #[must_use]
    pub fn repository(&self) -> RepositoryKey {
        self.repository
    }

    /// Returns the branch.
    #[must_use]
    pub fn branch(&self) -> &BranchRef {
        &self.branch
    }

    /// Returns the commit of the newest claimed run.
    #[must_use]
    pub fn claimed(&self) -> Option<&CommitId> {
        self.claimed.as_ref()
    }

    /// Records a claimed run. A run whose trigger is older than that of another claimed run changes
    /// nothing: its push arrived late.
    pub fn claim(&mut self, commit: &CommitId, received_at: Timestamp) {
        if self.claimed_at.is_some_and(|known| received_at < known) {
            return;
        }
        self.claimed = Some(commit.clone());
        self.claimed_at = Some(received_at);
        self.unclaimed = None;
    }

    /// Records that the run of a published push ended before it was accepted, so that it never claimed
    /// the branch. Its push is published again as another run, at most [`TRIES`] times.
    pub fn not_accepted(&mut self, tip: &CommitId, now: Timestamp) -> Retry {
        match &mut self.unclaimed {
            Some(known) if known.tip == *tip && known.failures + 1 < TRIES => {
                known.failures += 1;
                known.since = now;
                Retry::Later
            }
            _ => {
                self.claim(tip, now);
                Retry::GivenUp
            }
        }
    }

    /// Compares the branch's tip at the forge with the last claimed commit. Returns the push that
    /// was missed, if the same tip has been unclaimed for [`MISSED_AFTER`]. A repeated call returns
    /// the same push until its run is claimed. The first look at a branch without a claimed run
    /// takes the tip as known: enrolling a repository delivers nothing.
    pub fn observe(
        &mut self,
        tip: Option<&CommitId>,
        name: &RepositoryName,
        now: Timestamp,
    ) -> Option<MissedPush> {
        let Some(tip) = tip else {
            self.unclaimed = None;
            return None;
        };
        let Some(claimed) = self.claimed.clone() else {
            self.claim(tip, now);
            return None;
        };
        if claimed == *tip {
            self.unclaimed = None;
            return None;
        }
        let since = match &self.unclaimed {
            Some(known) if known.tip == *tip => known.since,
            _ => {
                // Not before the last claim by another clock: the claim of this push must count.
                let since = self
                    .claimed_at
                    .map_or(now, |claimed_at| claimed_at.max(now));
                self.unclaimed = Some(Unclaimed {
                    tip: tip.clone(),
                    since,
                    failures: 0,
                });
                since
            }
        };
        (now.duration_since(since) >= MISSED_AFTER).then(|| MissedPush {
            schema: EVENT_SCHEMA,
            repository: EventRepository {
                key: self.repository,
                full_name: name.clone(),
            },
            branch: self.branch.clone(),
            before: claimed,
            after: tip.clone(),
            found_at: since,
        })
    }
}

#[cfg(test)]
#[path = "branch_tests.rs"]
mod tests;
