//! Events on the bus, and the records that Terraform hands to the functions.

use crate::error::{ErrorName, StepError};
use crate::ids::{BranchRef, CommitId, DeliveryId, RepositoryKey, RepositoryName, RunId, RunKind};
use crate::run::Trigger;
use serde::{Deserialize, Serialize};

/// The version of [`PushEvent`] that this code writes and reads.
pub const EVENT_SCHEMA: u32 = 1;

/// The event's source on the bus.
pub const SOURCE_GITHUB: &str = "github.com";

/// The detail type of a push, which is GitHub's own event name.
pub const DETAIL_TYPE_PUSH: &str = "push";

/// A push, projected from the forge's payload: small, closed, checked. It is the state machine's
/// input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushEvent {
    /// [`EVENT_SCHEMA`].
    pub schema: u32,
    /// Why a run starts.
    pub kind: RunKind,
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
    pub pushed_at: Option<jiff::Timestamp>,
    /// Who pushed, as the forge names them; at most 100 characters.
    pub pusher: String,
    /// When the webhook took it.
    pub received_at: jiff::Timestamp,
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
    /// The run that this event asks for.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        RunId::derive(
            self.repository.key,
            &self.repository.full_name,
            &self.branch,
            self.before.as_ref(),
            &self.after,
            self.pushed_at,
            self.kind,
        )
    }
}

impl PushEvent {
    /// What the run's record keeps of the event.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        let event = self.clone();
        Trigger {
            kind: event.kind,
            delivery: event.delivery,
            repository_key: event.repository.key,
            repository: event.repository.full_name,
            branch: event.branch,
            commit: event.after,
            before: event.before,
            pusher: event.pusher,
            received_at: event.received_at,
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
        let key = trigger.repository_key;
        known.iter().find(|one| one.key == key).ok_or_else(|| {
            let name = &trigger.repository;
            let message = format!("repository {name} ({key}) is not enrolled");
            StepError::new(ErrorName::NotEnrolled, message)
        })
    }
}
