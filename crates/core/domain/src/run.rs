//! A run: one pass of the state machine for one trigger, from the claim to its end.
//!
//! A run is one record, written with optimistic concurrency. Each step of the state machine loads
//! it, lets one function decide, and saves it. A repeated step finds its own decision in the record
//! and returns the same result.
//!
//! The state is private and changes only through the functions in this module and its submodules.
//! They all fail after the run has ended, except those of its announcement and of its audit entry, which
//! complete the end.

mod apply;
mod error;
mod leg;
mod outcome;
mod plan;
mod release;
mod removed;
mod rollback;
mod skip;
mod stack;

pub use crate::event::Trigger;
pub use apply::StalePlan;
pub use error::{JobEvent, RunError};
pub use leg::{Leg, Wave};
pub use outcome::{Conclusion, End, Outcome};
pub use plan::JudgedPlan;
pub(crate) use release::releases;
pub use rollback::{Blame, ErrorDecision, HandledError, RollbackOutcome};
pub use skip::SameStack;
pub use stack::{Approval, ApprovalDecision, REPLANS, RESTARTS, StackRun, StackState};

use crate::config::{self, Config};
use crate::error::StepError;
use crate::ids::{BuildId, CommitId, EnvironmentName, RunId, StackName};
use crate::keys::RunObjects;
use crate::plan::ObjectRef;
use crate::release::Artifact;
use crate::stack_digest::StackDigest;
use jiff::Timestamp;
use rollback::RollbackEnd;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of [`Run`] that this code writes and reads.
pub const RUN_SCHEMA: u32 = 6;

/// A run, as stored in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    schema: u32,
    id: RunId,
    trigger: Trigger,
    goal: Goal,
    /// The ARN of the Step Functions execution that claimed the run.
    execution: String,
    started_at: Timestamp,
    /// None until `validate` accepts the commit.
    accepted: Option<Accepted>,
    build: Build,
    lock: Lock,
    /// The forward leg, then after an error the rollback leg. They are two fields because every run
    /// has the first and at most one of the second.
    forward: Leg,
    rollback: Option<Leg>,
    failure: Option<Failure>,
    rollback_end: Option<RollbackEnd>,
    handled: Vec<HandledError>,
    promoted_at: Option<Timestamp>,
    end: Option<End>,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The environment runs the commit.
    Deliver,
}

/// What `validate` read from the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    at: Timestamp,
    config: Config,
    build_tree: Option<CommitId>,
    author: String,
    subject: String,
}

/// The sealed source of a commit, and what is read from the commit with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The sealed archive.
    pub archive: ObjectRef,
    /// The digests of the stacks. A stack without a digest is planned in every run.
    pub digests: BTreeMap<StackName, StackDigest>,
    /// Git's digest of the build context's tree. None if the repository builds nothing.
    pub build_tree: Option<CommitId>,
    /// The name of the commit's author. At most 100 characters.
    pub author: String,
    /// The first line of the commit's message. At most 200 characters.
    pub subject: String,
}

/// The state of a run's artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Build {
    /// Not decided yet, or the repository builds nothing.
    None,
    /// CodeBuild was asked for a build.
    Started {
        /// When the build was requested.
        at: Timestamp,
    },
    /// The artifact is in its registry.
    Ready {
        /// The artifact.
        artifact: Artifact,
        /// Whether this run built the artifact.
        origin: ArtifactOrigin,
        /// When the artifact was found in its registry.
        at: Timestamp,
    },
    /// The tests or the build failed.
    Failed {
        /// The build, if CodeBuild started one.
        build: Option<BuildId>,
        /// Why the commit has no artifact.
        error: StepError,
        /// When the failure was detected.
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

/// The state of a run's lock on its environment. It does not change after the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Lock {
    /// Not requested yet.
    None,
    /// Requested.
    Waiting {
        /// When the lock was requested.
        since: Timestamp,
    },
    /// The run holds the environment until it ends.
    Held {
        /// The fence under which the run holds the environment.
        fence: u64,
        /// When the run acquired the environment.
        since: Timestamp,
    },
    /// A newer commit superseded the run.
    Superseded {
        /// When the run was superseded.
        at: Timestamp,
    },
}

/// The first error of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The error's name and message.
    pub error: StepError,
    /// When the error was recorded.
    pub at: Timestamp,
}

/// The result of a change to a run, or of a question to it.
pub type Change<T = ()> = Result<T, RunError>;

// Claiming and accepting.
impl Run {
    /// Returns a run as it is claimed.
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

    /// Accepts the commit, with its sealed source and its configuration. Does nothing if the commit
    /// is already accepted.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
    pub fn accept(&mut self, source: Source, config: Config, now: Timestamp) -> Change {
        self.open()?;
        if self.accepted.is_none() {
            self.forward
                .accept(source.archive, &config.stacks, &source.digests, now);
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

    /// Fails when the run has ended.
    fn open(&self) -> Change {
        match &self.end {
            None => Ok(()),
            Some(end) => Err(RunError::Ended {
                run: self.id.clone(),
                at: end.at,
            }),
        }
    }
}

// The build and the lock.
impl Run {
    /// Records that a build was requested. A repeated call keeps the first time.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
    pub fn build_started(&mut self, now: Timestamp) -> Change {
        self.open()?;
        if self.build == Build::None {
            self.build = Build::Started { at: now };
        }
        Ok(())
    }

    /// Records that the artifact is in its registry. A repeated call keeps the first artifact.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
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

    /// Records that the tests or the build failed. Does nothing if the artifact is already in its
    /// registry.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
    pub fn build_failed(
        &mut self,
        build: Option<BuildId>,
        error: StepError,
        now: Timestamp,
    ) -> Change {
        self.open()?;
        if !matches!(self.build, Build::Ready { .. } | Build::Failed { .. }) {
            self.build = Build::Failed {
                build,
                error,
                at: now,
            };
        }
        Ok(())
    }

    /// Returns why the forward leg has no artifact and must not be applied.
    #[must_use]
    pub fn build_error(&self) -> Option<&StepError> {
        match &self.build {
            Build::Failed { error, .. } if self.rollback.is_none() => Some(error),
            _ => None,
        }
    }

    /// Returns whether the run's first plans are made now or were made. They take minutes, so a build
    /// that fails waits for their errors. A run that waits for its environment can wait for weeks.
    #[must_use]
    pub fn is_planning(&self) -> bool {
        matches!(self.lock, Lock::Held { .. })
    }

    /// Records that the run requested its environment. A repeated call keeps the first time. A run
    /// that was superseded, but whose wait was not ended, requests it anew: the environment decides
    /// again.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
    pub fn lock_requested(&mut self, now: Timestamp) -> Change {
        self.open()?;
        if matches!(self.lock, Lock::None | Lock::Superseded { .. }) {
            self.lock = Lock::Waiting { since: now };
        }
        Ok(())
    }

    /// Records that the run holds its environment. A repeated call with the same fence keeps the
    /// first time.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
    pub fn lock_held(&mut self, fence: u64, now: Timestamp) -> Change {
        self.open()?;
        if !matches!(self.lock, Lock::Held { fence: known, .. } if known == fence) {
            self.lock = Lock::Held { fence, since: now };
        }
        Ok(())
    }

    /// Records that a newer commit superseded the run. A repeated call keeps the first time. A run
    /// that holds its environment by now stays as it is.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
    pub fn superseded(&mut self, now: Timestamp) -> Change {
        self.open()?;
        if !matches!(self.lock, Lock::Superseded { .. } | Lock::Held { .. }) {
            self.lock = Lock::Superseded { at: now };
        }
        Ok(())
    }
}

// Accessors.
impl Run {
    /// Returns the run's id, which is derived from its trigger.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Returns what started the run.
    #[must_use]
    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Returns what the run is for.
    #[must_use]
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// Returns the ARN of the Step Functions execution that claimed the run.
    #[must_use]
    pub fn execution(&self) -> &str {
        &self.execution
    }

    /// Returns when the run was claimed.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Returns when `validate` accepted the commit.
    #[must_use]
    pub fn accepted_at(&self) -> Option<Timestamp> {
        self.accepted.as_ref().map(|accepted| accepted.at)
    }

    fn accepted(&self) -> Change<&Accepted> {
        let accepted = self.accepted.as_ref();
        accepted.ok_or_else(|| RunError::NotAccepted {
            run: self.id.clone(),
        })
    }

    /// Returns the configuration of the run's commit.
    ///
    /// # Errors
    /// Fails with `Internal` before the commit is accepted.
    pub fn config(&self) -> Change<&Config> {
        self.accepted().map(|accepted| &accepted.config)
    }

    /// Returns the environment, or none before the commit is accepted.
    #[must_use]
    pub fn environment(&self) -> Option<&EnvironmentName> {
        let accepted = self.accepted.as_ref();
        accepted.map(|accepted| &accepted.config.environment)
    }

    /// Returns the run's objects in the artifacts bucket.
    ///
    /// # Errors
    /// Fails with `Internal` before the commit is accepted.
    pub fn objects(&self) -> Change<RunObjects> {
        let environment = self.config()?.environment.clone();
        let (repository, run) = (self.trigger.repository_key(), self.id.clone());
        Ok(RunObjects::new(repository, environment, run))
    }

    /// Returns the commit's author, or none before the commit is accepted.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        let accepted = self.accepted.as_ref();
        accepted.map(|accepted| accepted.author.as_str())
    }

    /// Returns the first line of the commit's message, or none before the commit is accepted.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        let accepted = self.accepted.as_ref();
        accepted.map(|accepted| accepted.subject.as_str())
    }

    /// Returns how the image is built.
    ///
    /// # Errors
    /// Fails with `Internal` when the commit is not accepted yet, or the repository builds nothing.
    pub fn build_config(&self) -> Change<&config::Build> {
        let build = self.accepted()?.config.build.as_ref();
        build.ok_or_else(|| RunError::NoBuildTree {
            run: self.id.clone(),
        })
    }

    /// Returns git's digest of the build context's tree.
    ///
    /// # Errors
    /// Fails with `Internal` when the commit is not accepted yet, or the repository builds nothing.
    pub fn build_tree(&self) -> Change<&CommitId> {
        let tree = self.accepted()?.build_tree.as_ref();
        tree.ok_or_else(|| RunError::NoBuildTree {
            run: self.id.clone(),
        })
    }

    /// Returns the state of the run's artifact.
    #[must_use]
    pub fn build(&self) -> &Build {
        &self.build
    }

    /// Returns the artifact, or none if it is not in its registry yet.
    #[must_use]
    pub fn artifact(&self) -> Option<&Artifact> {
        match &self.build {
            Build::Ready { artifact, .. } => Some(artifact),
            Build::None | Build::Started { .. } | Build::Failed { .. } => None,
        }
    }

    /// Returns the state of the run's lock on its environment.
    #[must_use]
    pub fn lock(&self) -> Lock {
        self.lock
    }

    /// Returns the run's first error.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Returns when the environment's *last good* moved to the run's commit.
    #[must_use]
    pub fn promoted_at(&self) -> Option<Timestamp> {
        self.promoted_at
    }

    /// Returns how and when the run ended.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Returns whether the run has ended.
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
mod removed_tests;
#[cfg(test)]
mod rollback_tests;
#[cfg(test)]
mod skip_tests;
#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
#[cfg(test)]
mod wave_tests;
