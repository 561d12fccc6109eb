//! A run: what one trigger leads to, from the claim to its end.
//!
//! The whole run is one record, written with optimistic concurrency. Each step of the state
//! machine loads it, lets one function here decide, and saves it. A step that is repeated finds
//! its own decision in the record and answers the same.
//!
//! The state is private. Every change is a function in this module or below it, and every one of
//! them refuses once the run has ended; only [`Run::audited`] completes the end itself.

mod apply;
mod leg;
mod outcome;
mod plan;
mod release;
mod rollback;
mod stack;

pub use crate::event::Trigger;
pub use apply::StalePlan;
pub use leg::{Leg, Wave};
pub use outcome::{End, Outcome};
pub(crate) use release::releases;
pub use rollback::{ErrorDecision, HandledError, RollbackOutcome};
pub use stack::{Approval, ApprovalDecision, REPLANS, StackRun, StackState};

use crate::config::Config;
use crate::error::{ErrorName, StepError};
use crate::ids::{CommitId, EnvironmentName, RunId};
use crate::plan::ObjectRef;
use crate::release::Artifact;
use jiff::Timestamp;
use rollback::RollbackEnd;
use serde::{Deserialize, Serialize};

/// The version of [`Run`] that this code writes and reads.
pub const RUN_SCHEMA: u32 = 2;

/// A run's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    schema: u32,
    id: RunId,
    trigger: Trigger,
    goal: Goal,
    /// The Step Functions execution that claimed it.
    execution: String,
    started_at: Timestamp,
    /// None until `validate` accepted the commit.
    accepted: Option<Accepted>,
    build: Build,
    lock: Lock,
    /// Towards the goal, and after an error the rollback: one leg or two, in this order. They are
    /// two fields, so that no record has none, or three.
    forward: Leg,
    rollback: Option<Leg>,
    failure: Option<Failure>,
    rollback_end: Option<RollbackEnd>,
    handled: Vec<HandledError>,
    promoted_at: Option<Timestamp>,
    end: Option<End>,
}

/// What a run is for. A preview, a drift check and a destroy are one variant each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The environment runs the commit.
    Deliver,
}

/// What `validate` found in the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    at: Timestamp,
    config: Config,
    build_tree: Option<CommitId>,
    author: String,
    subject: String,
}

/// The sealed source of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The archive.
    pub archive: ObjectRef,
    /// Git's digest of the build context's tree: what the image is made from.
    pub build_tree: Option<CommitId>,
    /// The commit's author, as git has it; at most 100 characters.
    pub author: String,
    /// The first line of the commit's message; at most 200 characters.
    pub subject: String,
}

/// The state of a run's artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Build {
    /// Not decided yet, or the repository builds nothing.
    None,
    /// CodeBuild was asked.
    Started {
        /// When.
        at: Timestamp,
    },
    /// The artifact is in its registry.
    Ready {
        /// The artifact.
        artifact: Artifact,
        /// Whether this run built it.
        origin: ArtifactOrigin,
        /// When it was found there.
        at: Timestamp,
    },
    /// The tests or the build failed.
    Failed {
        /// When that was noticed.
        at: Timestamp,
    },
}

/// Where an artifact comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactOrigin {
    /// This run built it.
    Built,
    /// An earlier run built it from the same files.
    Reused,
}

/// The state of a run's wait for its environment. It stays as it was when the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Lock {
    /// Not asked for yet.
    None,
    /// Asked for.
    Waiting {
        /// Since when.
        since: Timestamp,
    },
    /// The run holds the environment until it ends.
    Held {
        /// The fence of its ownership.
        fence: u64,
        /// Since when.
        since: Timestamp,
    },
    /// A newer commit took its place.
    Superseded {
        /// When.
        at: Timestamp,
    },
}

/// The first error of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Name and message.
    pub error: StepError,
    /// When it was noticed.
    pub at: Timestamp,
}

/// Why a run does not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// It has ended.
    #[error("run {run} ended at {at}: nothing changes it any more")]
    Ended {
        /// The run.
        run: RunId,
        /// When.
        at: Timestamp,
    },
    /// Its state does not allow the change.
    #[error(transparent)]
    Refused(#[from] StepError),
}

impl From<RunError> for StepError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Ended { .. } => Self::new(ErrorName::LockLost, error.to_string()),
            RunError::Refused(error) => error,
        }
    }
}

/// What a change of a run returns.
pub type Change<T = ()> = Result<T, RunError>;

// Creation, and what `validate` finds.
impl Run {
    /// A run as it is claimed.
    #[must_use]
    pub fn claim(trigger: Trigger, execution: String, now: Timestamp) -> Self {
        Self {
            schema: RUN_SCHEMA,
            id: trigger.run_id(),
            goal: Goal::Deliver,
            execution,
            started_at: now,
            accepted: None,
            build: Build::None,
            lock: Lock::None,
            forward: Leg::forward(trigger.commit().clone(), now),
            rollback: None,
            failure: None,
            rollback_end: None,
            handled: Vec::new(),
            promoted_at: None,
            end: None,
            trigger,
        }
    }

    /// Accepts the commit, with its sealed source and its configuration. A commit that was
    /// accepted already stays as it is.
    ///
    /// # Errors
    /// [`RunError::Ended`].
    pub fn accept(&mut self, source: Source, config: Config, now: Timestamp) -> Change {
        self.open()?;
        if self.accepted.is_none() {
            self.forward.accept(source.archive, &config.stacks, now);
            self.accepted = Some(Accepted {
                at: now,
                config,
                build_tree: source.build_tree,
                author: source.author,
                subject: source.subject,
            });
        }
        Ok(())
    }

    /// Refuses a change of a run that has ended.
    fn open(&self) -> Change {
        match &self.end {
            None => Ok(()),
            Some(end) => Err(RunError::Ended {
                run: self.id.clone(),
                at: end.at,
            }),
        }
    }

    fn refused(&self, name: ErrorName, what: &str) -> StepError {
        StepError::new(name, format!("run {} {what}", self.id))
    }
}

// The build and the environment's lock.
impl Run {
    /// A build was asked for. A repeated call keeps the first time.
    ///
    /// # Errors
    /// [`RunError::Ended`].
    pub fn build_started(&mut self, now: Timestamp) -> Change {
        self.open()?;
        if self.build == Build::None {
            self.build = Build::Started { at: now };
        }
        Ok(())
    }

    /// The artifact is there. A run keeps the first one that it found.
    ///
    /// # Errors
    /// [`RunError::Ended`].
    pub fn artifact_ready(
        &mut self,
        artifact: Artifact,
        origin: ArtifactOrigin,
        now: Timestamp,
    ) -> Change {
        self.open()?;
        if !matches!(self.build, Build::Ready { .. }) {
            self.build = Build::Ready {
                artifact,
                origin,
                at: now,
            };
        }
        Ok(())
    }

    /// The tests or the build failed.
    ///
    /// # Errors
    /// [`RunError::Ended`].
    pub fn build_failed(&mut self, now: Timestamp) -> Change {
        self.open()?;
        if !matches!(self.build, Build::Ready { .. } | Build::Failed { .. }) {
            self.build = Build::Failed { at: now };
        }
        Ok(())
    }

    /// The run asks for its environment. A repeated call keeps the first time.
    ///
    /// # Errors
    /// [`RunError::Ended`].
    pub fn lock_requested(&mut self, now: Timestamp) -> Change {
        self.open()?;
        if self.lock == Lock::None {
            self.lock = Lock::Waiting { since: now };
        }
        Ok(())
    }

    /// The run holds its environment. A repeated call with the same fence keeps the first time.
    ///
    /// # Errors
    /// [`RunError::Ended`].
    pub fn lock_held(&mut self, fence: u64, now: Timestamp) -> Change {
        self.open()?;
        if !matches!(self.lock, Lock::Held { fence: known, .. } if known == fence) {
            self.lock = Lock::Held { fence, since: now };
        }
        Ok(())
    }

    /// A newer commit took the run's place in the queue.
    ///
    /// # Errors
    /// [`RunError::Ended`].
    pub fn superseded(&mut self, now: Timestamp) -> Change {
        self.open()?;
        if !matches!(self.lock, Lock::Superseded { .. }) {
            self.lock = Lock::Superseded { at: now };
        }
        Ok(())
    }
}

// What others read.
impl Run {
    /// The id that its trigger gives it.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// What started it.
    #[must_use]
    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// What it is for.
    #[must_use]
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// The ARN of the Step Functions execution that claimed it.
    #[must_use]
    pub fn execution(&self) -> &str {
        &self.execution
    }

    /// When it was claimed.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// When `validate` accepted the commit.
    #[must_use]
    pub fn accepted_at(&self) -> Option<Timestamp> {
        self.accepted.as_ref().map(|accepted| accepted.at)
    }

    fn accepted(&self) -> Result<&Accepted, StepError> {
        self.accepted
            .as_ref()
            .ok_or_else(|| self.refused(ErrorName::Internal, "was not accepted yet"))
    }

    /// The configuration at the commit.
    ///
    /// # Errors
    /// `Internal` before the commit was accepted.
    pub fn config(&self) -> Result<&Config, StepError> {
        self.accepted().map(|accepted| &accepted.config)
    }

    /// The environment; none before the commit was accepted.
    #[must_use]
    pub fn environment(&self) -> Option<&EnvironmentName> {
        let accepted = self.accepted.as_ref();
        accepted.map(|accepted| &accepted.config.environment)
    }

    /// The commit's author; none before the commit was accepted.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        let accepted = self.accepted.as_ref();
        accepted.map(|accepted| accepted.author.as_str())
    }

    /// The first line of the commit's message; none before the commit was accepted.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        let accepted = self.accepted.as_ref();
        accepted.map(|accepted| accepted.subject.as_str())
    }

    /// Git's digest of the build context's tree.
    ///
    /// # Errors
    /// `Internal` when the commit was not accepted, or builds nothing.
    pub fn build_tree(&self) -> Result<&CommitId, StepError> {
        let tree = self.accepted()?.build_tree.as_ref();
        tree.ok_or_else(|| self.refused(ErrorName::Internal, "has no tree of a build context"))
    }

    /// The state of its artifact.
    #[must_use]
    pub fn build(&self) -> &Build {
        &self.build
    }

    /// Its artifact, once that is in the registry.
    #[must_use]
    pub fn artifact(&self) -> Option<&Artifact> {
        match &self.build {
            Build::Ready { artifact, .. } => Some(artifact),
            Build::None | Build::Started { .. } | Build::Failed { .. } => None,
        }
    }

    /// Its wait for the environment.
    #[must_use]
    pub fn lock(&self) -> Lock {
        self.lock
    }

    /// The first error.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// When the environment's *last good* moved to its commit.
    #[must_use]
    pub fn promoted_at(&self) -> Option<Timestamp> {
        self.promoted_at
    }

    /// Its end.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.end.is_some()
    }
}

#[cfg(test)]
mod approval_tests;
#[cfg(test)]
mod end_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
