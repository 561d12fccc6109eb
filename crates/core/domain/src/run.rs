//! A run: one delivery of one commit, from the claim to its end.
//!
//! The whole run is one record, written with optimistic concurrency. Each step of the state
//! machine loads it, lets one function here decide, and saves it. A step that is repeated finds
//! its own decision in the record and answers the same.

mod outcome;
mod stack;

pub use outcome::Outcome;
pub use stack::{Approval, ApprovalDecision, REPLANS, StackRun, StackState};

use crate::config::Config;
use crate::environment::LastGood;
use crate::error::{ErrorName, StepError};
use crate::ids::{
    BranchRef, CommitId, DeliveryId, ImageDigest, RepositoryKey, RepositoryName, RunId, RunKind,
    StackName,
};
use crate::plan::{LegKind, ObjectRef, PlanKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A run's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The record's version; 1.
    pub schema: u32,
    /// The run's id.
    pub id: RunId,
    /// What started it.
    pub trigger: Trigger,
    /// The Step Functions execution that claimed it.
    pub execution: String,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// The sealed source; none until `validate` fetched it.
    pub source: Option<Source>,
    /// The configuration at the commit; none until `validate` read it.
    pub config: Option<Config>,
    /// The image.
    pub build: Build,
    /// The environment's lock.
    pub lock: Lock,
    /// Which way the run goes.
    pub mode: LegKind,
    /// The stacks on the way to the commit.
    pub stacks: Vec<StackRun>,
    /// The way back, once the run took it.
    pub restore: Option<Restore>,
    /// The rollout towards the commit.
    pub deploy: Option<Rollout>,
    /// The first error.
    pub failure: Option<Failure>,
    /// What came of the way back.
    pub rollback: Option<Rollback>,
    /// The errors that the run was asked to turn at, and what came of each.
    pub turns: Vec<HandledError>,
    /// Whether the environment's *last good* moved to this commit.
    pub promoted_at: Option<Timestamp>,
    /// The end.
    pub end: Option<End>,
}

/// What started a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Why.
    pub kind: RunKind,
    /// The forge's delivery.
    pub delivery: DeliveryId,
    /// The repository's id.
    pub repository_key: RepositoryKey,
    /// The repository's name.
    pub repository: RepositoryName,
    /// The branch.
    pub branch: BranchRef,
    /// The commit.
    pub commit: CommitId,
    /// The commit before it on the branch.
    pub before: Option<CommitId>,
    /// Who pushed.
    pub pusher: String,
    /// When the webhook took the event.
    pub received_at: Timestamp,
}

/// The sealed source of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// The state of a run's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Build {
    /// Not decided yet, or the repository has no image.
    None,
    /// CodeBuild was asked.
    Started {
        /// When.
        at: Timestamp,
    },
    /// The image is in the registry.
    Ready {
        /// Its digest.
        digest: ImageDigest,
        /// Whether it was made by this run or stood there before.
        origin: ImageOrigin,
    },
    /// The tests or the build failed.
    Failed,
}

/// Where an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageOrigin {
    /// This run built it.
    Built,
    /// An earlier run built it from the same files.
    Reused,
}

/// The state of a run's wait for its environment.
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
    /// The run owns the environment.
    Held {
        /// The fence of its ownership.
        fence: u64,
    },
    /// A newer commit took its place.
    Superseded,
    /// The run gave it back.
    Released,
}

/// The way back to the last good commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Where to.
    pub target: LastGood,
    /// The stacks on the way back.
    pub stacks: Vec<StackRun>,
    /// The rollout of the previous image.
    pub deploy: Option<Rollout>,
    /// When the run turned round.
    pub since: Timestamp,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The ECS cluster.
    pub cluster: String,
    /// The ECS service.
    pub service: String,
    /// The task definition that it rolls out; an ARN.
    pub task_definition: String,
    /// The image.
    pub image: ImageDigest,
    /// The commit that the version path must answer.
    pub commit: CommitId,
    /// The service's address, without a path.
    pub url: String,
    /// When it started.
    pub since: Timestamp,
    /// When it must be healthy.
    pub deadline: Timestamp,
    /// When it was healthy.
    pub healthy_at: Option<Timestamp>,
}

/// A decision about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandledError {
    /// When the state machine entered the state that asked. Retries of that state have the same
    /// time, a later error has another one.
    pub entered_at: Timestamp,
    /// The decision.
    pub turn: ErrorDecision,
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

/// What came of the way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rollback {
    /// The run had changed nothing yet.
    NotNeeded,
    /// There is no last good commit to go back to.
    NoLastGood,
    /// The environment is that of the last good commit again.
    Restored,
    /// It would lose protected data: a person decides.
    Refused {
        /// Name and message.
        error: StepError,
    },
    /// It failed; the environment is frozen.
    Failed {
        /// Name and message.
        error: StepError,
    },
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// The lowest number that the audit entry can have in its chain: where a retry looks for it.
    pub audit_from: u64,
    /// The audit entry's number in its chain; none until it was written.
    pub audit_seq: Option<u64>,
}

/// What to do next with the stacks.
#[derive(Debug, PartialEq, Eq)]
pub enum Wave {
    /// Plan these at the same time.
    Plan(Vec<StackName>),
    /// All are done.
    Done,
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorDecision {
    /// Record how the run ended.
    Record,
    /// Roll back to the last good commit.
    RollBack,
}

impl Run {
    /// A run as it is claimed.
    #[must_use]
    pub fn new(id: RunId, trigger: Trigger, execution: String, now: Timestamp) -> Self {
        Self {
            schema: 1,
            id,
            trigger,
            execution,
            started_at: now,
            source: None,
            config: None,
            build: Build::None,
            lock: Lock::None,
            mode: LegKind::Forward,
            stacks: Vec::new(),
            restore: None,
            deploy: None,
            failure: None,
            rollback: None,
            turns: Vec::new(),
            promoted_at: None,
            end: None,
        }
    }

    /// Takes the sealed source and the configuration.
    pub fn seal(&mut self, source: Source, config: Config) {
        self.stacks = config
            .stacks
            .iter()
            .map(|stack| StackRun::new(stack, PlanKind::Normal))
            .collect();
        self.source = Some(source);
        self.config = Some(config);
    }

    /// The configuration of the commit.
    ///
    /// # Errors
    /// `Internal` before the run was sealed.
    pub fn config(&self) -> Result<&Config, StepError> {
        self.config
            .as_ref()
            .ok_or_else(|| self.not_yet("configuration"))
    }

    /// The sealed source of the commit.
    ///
    /// # Errors
    /// `Internal` before the run was sealed.
    pub fn source(&self) -> Result<&Source, StepError> {
        self.source
            .as_ref()
            .ok_or_else(|| self.not_yet("sealed source"))
    }

    fn not_yet(&self, what: &str) -> StepError {
        StepError::new(
            ErrorName::Internal,
            format!("run {} has no {what} yet", self.id),
        )
    }

    /// The stacks of the way that the run goes now.
    #[must_use]
    pub fn way(&self) -> &[StackRun] {
        match (&self.mode, &self.restore) {
            (LegKind::Rollback, Some(restore)) => &restore.stacks,
            _ => &self.stacks,
        }
    }

    fn way_mut(&mut self) -> &mut Vec<StackRun> {
        match (self.mode, &mut self.restore) {
            (LegKind::Rollback, Some(restore)) => &mut restore.stacks,
            _ => &mut self.stacks,
        }
    }

    /// What is to be planned next: every stack whose needs are done, and those whose plan job
    /// was made already, so that a repeated question gets the same answer.
    #[must_use]
    pub fn next_wave(&self) -> Wave {
        let way = self.way();
        let done = |name: &StackName| {
            way.iter()
                .filter(|other| &other.stack.name == name)
                .all(|other| other.state.is_done())
        };
        // What is destroyed goes last, once nothing that stays uses it any more: after all that is
        // restored, after those that need it, and so before those that it needs.
        let in_use = |stack: &StackRun| {
            way.iter().any(|other| {
                let uses = other.plan_kind == PlanKind::Normal
                    || other.stack.needs.contains(&stack.stack.name);
                uses && !other.state.is_done()
            })
        };
        let ready: Vec<StackName> = way
            .iter()
            .filter(|stack| {
                matches!(
                    stack.state,
                    StackState::Pending | StackState::Planning { .. }
                )
            })
            .filter(|stack| match stack.plan_kind {
                PlanKind::Normal => stack.stack.needs.iter().all(done),
                PlanKind::Destroy => !in_use(stack),
            })
            .map(|stack| stack.stack.name.clone())
            .collect();
        if ready.is_empty() {
            Wave::Done
        } else {
            Wave::Plan(ready)
        }
    }

    /// A stack on the way that the run goes now.
    ///
    /// # Errors
    /// `ContractViolation` when the way has no such stack.
    pub fn stack(&self, name: &StackName) -> Result<&StackRun, StepError> {
        self.way()
            .iter()
            .find(|stack| &stack.stack.name == name)
            .ok_or_else(|| {
                StepError::new(
                    ErrorName::ContractViolation,
                    format!("run {} has no stack {name} on its way", self.id),
                )
            })
    }

    /// A stack on the way that the run goes now, to change it.
    ///
    /// # Errors
    /// `ContractViolation` when the way has no such stack.
    pub fn stack_mut(&mut self, name: &StackName) -> Result<&mut StackRun, StepError> {
        let error = StepError::new(
            ErrorName::ContractViolation,
            format!("run {} has no stack {name} on its way", self.id),
        );
        self.way_mut()
            .iter_mut()
            .find(|stack| &stack.stack.name == name)
            .ok_or(error)
    }

    /// The source that a stack is planned from. What the last good commit does not have can only
    /// be destroyed from the source that created it.
    ///
    /// # Errors
    /// `Internal` before the run was sealed.
    pub fn source_of(&self, stack: &StackRun) -> Result<(&ObjectRef, &CommitId), StepError> {
        match (&self.mode, &self.restore, stack.plan_kind) {
            (LegKind::Rollback, Some(restore), PlanKind::Normal) => {
                Ok((&restore.target.source, &restore.target.commit))
            }
            _ => Ok((&self.source()?.archive, &self.trigger.commit)),
        }
    }

    /// The outputs of the stacks on this way, as far as they are known.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<StackName, ObjectRef> {
        let mut outputs = BTreeMap::new();
        if let (LegKind::Rollback, Some(restore)) = (&self.mode, &self.restore) {
            outputs.clone_from(&restore.target.outputs);
            // What this run found unchanged is as the last good run left it, whose own objects may
            // have expired since.
            let unchanged = |stack: &&StackRun| stack.state == StackState::Unchanged;
            outputs.extend(stack::outputs(self.stacks.iter().filter(unchanged)));
        }
        outputs.extend(stack::outputs(self.way()));
        outputs
    }

    /// The outputs that a stack on this way takes as its variables. What is destroyed was made by
    /// this run's commit, whose other stacks the last good commit may not have.
    #[must_use]
    pub fn inputs(&self, stack: &StackRun) -> BTreeMap<StackName, ObjectRef> {
        let mut inputs = self.outputs();
        if stack.plan_kind == PlanKind::Destroy {
            inputs.extend(stack::outputs(&self.stacks));
        }
        inputs.retain(|other, _| stack.stack.needs.contains(other));
        inputs
    }

    /// Whether this run may have changed infrastructure or the application.
    #[must_use]
    pub fn touched_anything(&self) -> bool {
        self.deploy.is_some() || self.stacks.iter().any(StackRun::was_touched)
    }

    /// Takes note of the first error; later ones do not hide it. A run that was promoted did what
    /// it was for: a reply that is lost afterwards does not make it a failure.
    pub fn fail(&mut self, error: StepError, now: Timestamp) {
        if self.failure.is_none() && self.promoted_at.is_none() {
            self.failure = Some(Failure { error, at: now });
        }
    }

    /// Decides what an error leads to, once for each time that the state machine enters the state
    /// that asks: a retry gets the same answer and changes nothing. See [`Self::turn`].
    pub fn handle_error(
        &mut self,
        entered_at: Timestamp,
        error: StepError,
        last_good: Option<&LastGood>,
        now: Timestamp,
    ) -> ErrorDecision {
        let before = self
            .turns
            .iter()
            .find(|turned| turned.entered_at == entered_at);
        if let Some(turned) = before {
            return turned.turn;
        }
        let turn = self.turn(error, last_good, now);
        self.turns.push(HandledError { entered_at, turn });
        turn
    }

    /// Decides what an error leads to. The first error of a run that changed something turns it
    /// round; an error on the way back, or a run that was promoted, goes nowhere else.
    pub fn turn(
        &mut self,
        error: StepError,
        last_good: Option<&LastGood>,
        now: Timestamp,
    ) -> ErrorDecision {
        if self.end.is_some() {
            return ErrorDecision::Record;
        }
        if self.mode == LegKind::Rollback {
            if self.rollback.is_none() {
                self.rollback = Some(match error.name {
                    ErrorName::PlanRefused => Rollback::Refused { error },
                    _ => Rollback::Failed { error },
                });
            }
            return ErrorDecision::Record;
        }
        // The environment's record is the truth; the run's own may lag behind it.
        if last_good.is_some_and(|good| good.run == self.id) {
            self.promoted_at.get_or_insert(now);
        }
        if self.promoted_at.is_some() {
            return ErrorDecision::Record;
        }
        self.fail(error, now);
        if !self.touched_anything() {
            self.rollback = Some(Rollback::NotNeeded);
            return ErrorDecision::Record;
        }
        let Some(target) = last_good else {
            self.rollback = Some(Rollback::NoLastGood);
            return ErrorDecision::Record;
        };
        let stacks = stack::restore_stacks(&self.stacks, target);
        self.mode = LegKind::Rollback;
        self.restore = Some(Restore {
            target: target.clone(),
            stacks,
            deploy: None,
            since: now,
        });
        ErrorDecision::RollBack
    }

    /// Takes note that the way back was walked and verified.
    pub fn restored(&mut self) {
        if self.mode == LegKind::Rollback && self.rollback.is_none() {
            self.rollback = Some(Rollback::Restored);
        }
    }

    /// How the run ends, from all that was written down.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if let Some(end) = &self.end {
            return end.outcome;
        }
        match (&self.failure, &self.rollback) {
            (Some(_), Some(Rollback::Restored)) => Outcome::RolledBack,
            (Some(_), Some(Rollback::Refused { .. } | Rollback::Failed { .. })) => {
                Outcome::NeedsOperator
            }
            // The way back was begun and never ended: a person has to look.
            (Some(_), None) if self.touched_anything() => Outcome::NeedsOperator,
            (Some(failure), _) if failure.error.name.rejects() && !self.touched_anything() => {
                Outcome::Rejected
            }
            (Some(_), _) => Outcome::Failed,
            (None, _) if self.lock == Lock::Superseded => Outcome::Superseded,
            (None, _) if self.changed_anything() => Outcome::Applied,
            (None, _) => Outcome::NoOp,
        }
    }

    fn changed_anything(&self) -> bool {
        self.deploy.is_some()
            || self
                .stacks
                .iter()
                .any(|stack| matches!(stack.state, StackState::Applied { .. }))
    }
}

#[cfg(test)]
mod limit_tests;
#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
