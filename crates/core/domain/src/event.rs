//! What starts a run, and the records that Terraform hands to the functions.

use crate::error::{ErrorName, StepError};
use crate::ids::{BranchRef, CommitId, DeliveryId, RepositoryKey, RepositoryName, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of [`Trigger`] that this code writes and reads.
pub const EVENT_SCHEMA: u32 = 2;

/// The event's source on the bus.
pub const SOURCE_GITHUB: &str = "github.com";

/// The detail type of a push, which is GitHub's own event name.
pub const DETAIL_TYPE_PUSH: &str = "push";

/// What starts a run, and the state machine's input: small, closed, checked. The tag `kind` names
/// the variant. A tag, a change request, a comment, a schedule and so on are one variant each; what
/// the rest of the pipeline needs of a trigger, it asks through the functions below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Trigger {
    /// A push to a watched branch.
    Push(PushEvent),
}

/// The kind of a [`Trigger`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerKind {
    /// [`Trigger::Push`].
    Push,
}

impl TriggerKind {
    /// The stable spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
        }
    }
}

impl fmt::Display for TriggerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A push, projected from the forge's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushEvent {
    /// [`EVENT_SCHEMA`].
    pub schema: u32,
    /// The forge's delivery id.
    pub delivery: DeliveryId,
    /// The repository.
    pub repository: EventRepository,
    /// The branch.
    #[serde(rename = "ref")]
    pub branch: BranchRef,
    /// The commit before; none when the branch is new.
    pub before: Option<CommitId>,
    /// The commit to deliver.
    pub after: CommitId,
    /// When it was pushed, as the forge says, to the second; none where it does not say.
    pub pushed_at: Option<Timestamp>,
    /// Who pushed, as the forge names them; at most 100 characters.
    pub pusher: String,
    /// When the webhook accepted it.
    pub received_at: Timestamp,
}

/// A repository in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRepository {
    /// Its identity, which survives a rename.
    pub key: RepositoryKey,
    /// The name.
    pub full_name: RepositoryName,
}

impl PushEvent {
    /// What makes a push one of its own. A second copy of an event has the same text. The commit
    /// before and the time count: a branch that is put back to a commit that was delivered once, or
    /// forward to it again, is delivered again.
    fn identity(&self) -> String {
        let before = self.before.as_ref().map_or("new", CommitId::as_str);
        let pushed_at = self.pushed_at.map_or(0, Timestamp::as_second);
        format!(
            "v2|push|{}|{}|{before}|{}|{pushed_at}",
            self.repository.key, self.branch, self.after
        )
    }
}

impl Trigger {
    /// The version that wrote it.
    #[must_use]
    pub fn schema(&self) -> u32 {
        match self {
            Self::Push(push) => push.schema,
        }
    }

    /// Which variant it is.
    #[must_use]
    pub fn kind(&self) -> TriggerKind {
        match self {
            Self::Push(_) => TriggerKind::Push,
        }
    }

    /// The run that it asks for. Two copies of an event ask for the same run.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        match self {
            Self::Push(push) => {
                RunId::derive(&push.repository.full_name, &push.after, &push.identity())
            }
        }
    }

    /// The repository, as it was named when the event was received.
    #[must_use]
    pub fn repository(&self) -> &EventRepository {
        match self {
            Self::Push(push) => &push.repository,
        }
    }

    /// The repository's key.
    #[must_use]
    pub fn repository_key(&self) -> RepositoryKey {
        self.repository().key
    }

    /// The branch that holds the commit.
    #[must_use]
    pub fn branch(&self) -> &BranchRef {
        match self {
            Self::Push(push) => &push.branch,
        }
    }

    /// The commit that the run is about.
    #[must_use]
    pub fn commit(&self) -> &CommitId {
        match self {
            Self::Push(push) => &push.after,
        }
    }

    /// The forge's delivery id.
    #[must_use]
    pub fn delivery(&self) -> &DeliveryId {
        match self {
            Self::Push(push) => &push.delivery,
        }
    }

    /// Who caused it, as the forge names them.
    #[must_use]
    pub fn actor(&self) -> &str {
        match self {
            Self::Push(push) => &push.pusher,
        }
    }

    /// When the webhook accepted it; the order of an environment's queue.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        match self {
            Self::Push(push) => push.received_at,
        }
    }
}

/// A repository that the pipeline delivers, as Terraform enrolled it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolledRepository {
    /// Its identity, which survives a rename.
    pub key: RepositoryKey,
    /// The name.
    pub full_name: RepositoryName,
    /// Where to clone it; never taken from an event.
    pub clone_url: String,
    /// The watched branches, without `refs/heads/`.
    pub branches: Vec<String>,
    /// Where its images go: `registry/repository`.
    pub image: String,
}

impl EnrolledRepository {
    /// The enrolled repository that a run's trigger names, by its id: a name may change.
    ///
    /// # Errors
    /// `NotEnrolled` if there is none, or none any more.
    pub fn of<'known>(known: &'known [Self], trigger: &Trigger) -> Result<&'known Self, StepError> {
        let EventRepository {
            key,
            full_name: name,
        } = trigger.repository();
        known.iter().find(|one| one.key == *key).ok_or_else(|| {
            let message = format!("repository {name} ({key}) is not enrolled");
            StepError::new(ErrorName::NotEnrolled, message)
        })
    }
}
