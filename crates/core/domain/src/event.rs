//! Triggers of runs.

use crate::ids::{BranchRef, CommitId, DeliveryId, ForgeId, RepositoryKey, RepositoryName, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of [`Trigger`] that this code writes and reads.
pub const EVENT_SCHEMA: u32 = 2;

/// Returns the source of a forge's events on the bus, such as `github.com`.
#[must_use]
pub fn source(forge: ForgeId) -> String {
    format!("{forge}.com")
}

/// The detail type of a push, which is GitHub's name for the event.
pub const DETAIL_TYPE_PUSH: &str = "push";

/// The detail type of a push that was missed.
pub const DETAIL_TYPE_RECONCILIATION: &str = "reconciliation";

/// What started a run, and the input of the state machine. The field `kind` selects the variant.
/// The rest of the pipeline reads a trigger only through the functions below, so a new kind of
/// trigger is one new variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Trigger {
    /// A push to a watched branch.
    Push(PushEvent),
    /// A push to a watched branch that no delivery reported.
    Reconciliation(MissedPush),
}

/// The kind of a [`Trigger`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerKind {
    /// [`Trigger::Push`].
    Push,
    /// [`Trigger::Reconciliation`].
    Reconciliation,
}

impl TriggerKind {
    /// Returns the kind as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Reconciliation => "reconciliation",
        }
    }
}

impl fmt::Display for TriggerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A push, reduced to the fields that the pipeline uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushEvent {
    /// [`EVENT_SCHEMA`].
    pub schema: u32,
    /// The forge's id of the webhook delivery.
    pub delivery: DeliveryId,
    /// The repository that was pushed to.
    pub repository: EventRepository,
    /// The branch that was pushed to.
    #[serde(rename = "ref")]
    pub branch: BranchRef,
    /// The branch's previous commit. None if the branch is new.
    pub before: Option<CommitId>,
    /// The commit to deliver.
    pub after: CommitId,
    /// When the commit was pushed, to the second. None if the forge does not report it.
    pub pushed_at: Option<Timestamp>,
    /// The user who pushed, as the forge names them. At most 100 characters.
    pub pusher: String,
    /// When the webhook accepted the push.
    pub received_at: Timestamp,
}

/// A push that no delivery reported. It is found by comparing the branch's tip with the last claimed
/// commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissedPush {
    /// [`EVENT_SCHEMA`].
    pub schema: u32,
    /// The repository that was pushed to.
    pub repository: EventRepository,
    /// The branch that was pushed to.
    #[serde(rename = "ref")]
    pub branch: BranchRef,
    /// The branch's last claimed commit.
    pub before: CommitId,
    /// The commit to deliver: the branch's tip.
    pub after: CommitId,
    /// When the tip was first seen.
    pub found_at: Timestamp,
}

/// A repository, as an event names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRepository {
    /// The repository's key, which survives a rename.
    pub key: RepositoryKey,
    /// The repository's full name when the event was received.
    pub full_name: RepositoryName,
}

impl PushEvent {
    /// Returns a text that identifies the push. Every copy of one event has the same text. It
    /// includes the previous commit and the time, so a branch that is reset to a commit that was
    /// already delivered, or moved forward to it again, is delivered again.
    fn identity(&self) -> String {
        let before = self.before.as_ref().map_or("new", CommitId::as_str);
        let pushed_at = self.pushed_at.map_or(0, Timestamp::as_second);
        format!(
            "v2|push|{}|{}|{before}|{}|{pushed_at}",
            self.repository.key, self.branch, self.after
        )
    }
}

impl MissedPush {
    /// Returns a text that identifies the missed push. Every copy of one event has the same text.
    fn identity(&self) -> String {
        format!(
            "v2|reconciliation|{}|{}|{}|{}|{}",
            self.repository.key,
            self.branch,
            self.before,
            self.after,
            self.found_at.as_second()
        )
    }
}

impl Trigger {
    /// Returns the schema version of the trigger's document.
    #[must_use]
    pub fn schema(&self) -> u32 {
        match self {
            Self::Push(push) => push.schema,
            Self::Reconciliation(push) => push.schema,
        }
    }

    /// Returns which variant the trigger is.
    #[must_use]
    pub fn kind(&self) -> TriggerKind {
        match self {
            Self::Push(_) => TriggerKind::Push,
            Self::Reconciliation(_) => TriggerKind::Reconciliation,
        }
    }

    /// Returns the id of the run for this trigger. Every copy of one event has the same run id.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        match self {
            Self::Push(push) => {
                RunId::derive(&push.repository.full_name, &push.after, &push.identity())
            }
            Self::Reconciliation(push) => {
                RunId::derive(&push.repository.full_name, &push.after, &push.identity())
            }
        }
    }

    /// Returns the repository, as it was named when the event was received.
    #[must_use]
    pub fn repository(&self) -> &EventRepository {
        match self {
            Self::Push(push) => &push.repository,
            Self::Reconciliation(push) => &push.repository,
        }
    }

    /// Returns the repository's key.
    #[must_use]
    pub fn repository_key(&self) -> RepositoryKey {
        self.repository().key
    }

    /// Returns the branch that contains the commit.
    #[must_use]
    pub fn branch(&self) -> &BranchRef {
        match self {
            Self::Push(push) => &push.branch,
            Self::Reconciliation(push) => &push.branch,
        }
    }

    /// Returns the commit that the run is for.
    #[must_use]
    pub fn commit(&self) -> &CommitId {
        match self {
            Self::Push(push) => &push.after,
            Self::Reconciliation(push) => &push.after,
        }
    }

    /// Returns the forge's id of the webhook delivery, or none if no delivery reported the event.
    #[must_use]
    pub fn delivery(&self) -> Option<&DeliveryId> {
        match self {
            Self::Push(push) => Some(&push.delivery),
            Self::Reconciliation(_) => None,
        }
    }

    /// Returns the user who caused the event, as the forge names them. The forge does not say who
    /// moved a branch.
    #[must_use]
    pub fn actor(&self) -> &str {
        match self {
            Self::Push(push) => &push.pusher,
            Self::Reconciliation(_) => "unknown",
        }
    }

    /// Returns when the event was accepted. The environment queue is ordered by this time.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        match self {
            Self::Push(push) => push.received_at,
            Self::Reconciliation(push) => push.found_at,
        }
    }
}
