//! An environment: who owns it, who waits for it, what it last ran well, what it must not run.
//!
//! The whole environment is one record, written with optimistic concurrency. Every decision is a
//! function over it; what has to be told to waiting runs is kept in the record until it was told,
//! so a process that dies between the write and the call loses nothing.

use crate::error::StepError;
use crate::ids::{
    BranchRef, CommitId, EnvironmentName, ImageDigest, RepositoryId, RunId, StackName,
};
use crate::plan::ObjectRef;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many runs may wait for one environment. Each holds a task token of up to 2 KiB, and a
/// record holds at most 400 KiB.
pub const QUEUE_LIMIT: usize = 100;

/// How many bad commits an environment remembers, the newest last.
const BAD_LIMIT: usize = 200;

/// What happens to runs that wait while another one is busy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueRule {
    /// The newest waits; older ones are superseded.
    #[default]
    Newest,
    /// Each waits and runs, in the order of arrival.
    Every,
}

/// An environment's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The record's version; 1.
    pub schema: u32,
    /// The repository that it belongs to.
    pub repository: RepositoryId,
    /// Its name.
    pub name: EnvironmentName,
    /// The run that owns it.
    pub owner: Option<Owner>,
    /// Counts owners; a later owner has a higher one.
    pub fence: u64,
    /// The runs that wait, the next one first.
    pub queue: Vec<Waiter>,
    /// What has to be told to runs, oldest first.
    pub untold: Vec<Tell>,
    /// The last commit that was deployed and verified.
    pub last_good: Option<LastGood>,
    /// Commits that were rolled back.
    pub bad: Vec<BadCommit>,
    /// Set when a rollback failed: nothing runs until a person thawed it.
    pub frozen: Option<Frozen>,
}

/// The owner of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The run.
    pub run: RunId,
    /// Its commit.
    pub commit: CommitId,
    /// The value of the environment's fence when it became the owner.
    pub fence: u64,
    /// When it became the owner.
    pub since: Timestamp,
    /// When its event was received.
    pub received_at: Timestamp,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiter {
    /// The run.
    pub run: RunId,
    /// Its commit.
    pub commit: CommitId,
    /// When its event was received; the order of the queue.
    pub received_at: Timestamp,
    /// The task token of its wait.
    pub token: String,
}

/// The word that ends a wait for the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockWord {
    /// The run owns the environment.
    Held,
    /// A newer commit took its place.
    Superseded,
    /// The environment is frozen.
    Frozen,
    /// This commit was rolled back here before.
    Bad,
}

/// Something that has to be told to a waiting run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tell {
    /// The run.
    pub run: RunId,
    /// Its task token.
    pub token: String,
    /// The word.
    pub word: LockWord,
}

/// The last commit that was deployed and verified, with all that a way back to it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastGood {
    /// The run that verified it.
    pub run: RunId,
    /// The commit.
    pub commit: CommitId,
    /// Its branch.
    pub branch: BranchRef,
    /// Its sealed source archive.
    pub source: ObjectRef,
    /// Its configuration.
    pub config: crate::config::Config,
    /// Its image, when it has one.
    pub image: Option<ImageDigest>,
    /// Its task definition, when it was deployed to ECS.
    pub task_definition: Option<String>,
    /// The outputs of its stacks.
    pub outputs: BTreeMap<StackName, ObjectRef>,
    /// When its event was received.
    pub received_at: Timestamp,
    /// When it was verified.
    pub verified_at: Timestamp,
}

/// A commit that was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadCommit {
    /// The commit.
    pub commit: CommitId,
    /// The run that rolled it back.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
}

/// Why an environment is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// The run whose rollback failed.
    pub run: RunId,
    /// What failed.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Environment {
    /// An environment that nobody used yet.
    #[must_use]
    pub fn new(repository: RepositoryId, name: EnvironmentName) -> Self {
        Self {
            schema: 1,
            repository,
            name,
            owner: None,
            fence: 0,
            queue: Vec::new(),
            untold: Vec::new(),
            last_good: None,
            bad: Vec::new(),
            frozen: None,
        }
    }

    /// Lets a run ask for the environment. The answer is among [`Self::untold`] as soon as there
    /// is one; a run that asks again, with a new token, is answered on the new token.
    pub fn acquire(&mut self, waiter: Waiter, rule: QueueRule, now: Timestamp) {
        self.queue.retain(|other| other.run != waiter.run);
        self.untold.retain(|tell| tell.run != waiter.run);
        if self
            .owner
            .as_ref()
            .is_some_and(|owner| owner.run == waiter.run)
        {
            self.tell(&waiter, LockWord::Held);
        } else if self.frozen.is_some() {
            self.tell(&waiter, LockWord::Frozen);
        } else if self.is_bad(&waiter.commit) {
            self.tell(&waiter, LockWord::Bad);
        } else if self.is_overtaken(&waiter, rule) {
            self.tell(&waiter, LockWord::Superseded);
        } else {
            let place = self
                .queue
                .partition_point(|other| other.received_at <= waiter.received_at);
            self.queue.insert(place, waiter);
            if rule == QueueRule::Newest || self.queue.len() > QUEUE_LIMIT {
                self.supersede_all_but_newest(rule);
            }
            self.hand_over(now);
        }
    }

    /// Ends a run's ownership or wait, and hands the environment to the next run.
    pub fn release(&mut self, run: &RunId, now: Timestamp) {
        self.queue.retain(|waiter| &waiter.run != run);
        self.untold.retain(|tell| &tell.run != run);
        if self.owner.as_ref().is_some_and(|owner| &owner.run == run) {
            self.owner = None;
        }
        self.hand_over(now);
    }

    /// Takes note that a run was told, or that nobody listens on its token any more. That alone
    /// does not say that the run is over: another process may have told it before. So the
    /// environment stays with it until it is released.
    pub fn told(&mut self, tell: &Tell) {
        self.untold.retain(|other| other != tell);
    }

    /// Whether this run owns the environment.
    #[must_use]
    pub fn is_owned_by(&self, run: &RunId) -> bool {
        self.owner.as_ref().is_some_and(|owner| &owner.run == run)
    }

    /// Whether this commit was rolled back here.
    #[must_use]
    pub fn is_bad(&self, commit: &CommitId) -> bool {
        self.bad.iter().any(|bad| &bad.commit == commit)
    }

    /// Moves *last good* to a commit that was deployed and verified.
    pub fn promote(&mut self, good: LastGood) {
        self.last_good = Some(good);
    }

    /// Remembers that a commit was rolled back.
    pub fn mark_bad(&mut self, commit: CommitId, run: RunId, now: Timestamp) {
        if !self.is_bad(&commit) {
            self.bad.push(BadCommit {
                commit,
                run,
                at: now,
            });
        }
        let surplus = self.bad.len().saturating_sub(BAD_LIMIT);
        self.bad.drain(..surplus);
    }

    /// Freezes the environment after a run that could not be undone. A second call for the same
    /// run changes nothing.
    pub fn freeze_after(&mut self, run: &RunId, error: &StepError, now: Timestamp) {
        if self
            .frozen
            .as_ref()
            .is_some_and(|frozen| &frozen.run == run)
        {
            return;
        }
        let reason = format!(
            "run {run} could not be undone: {error}. Look at `sluicegate show {run}`, mend the \
             environment by hand, then run `sluicegate unfreeze {} {}`",
            self.repository, self.name
        );
        self.freeze(Frozen {
            run: run.clone(),
            reason,
            at: now,
        });
    }

    /// Lets runs use the environment again. The first one that waits, if any, has it at once.
    pub fn unfreeze(&mut self, now: Timestamp) -> Option<Frozen> {
        let frozen = self.frozen.take();
        self.hand_over(now);
        frozen
    }

    /// Freezes the environment: every run that waits is told so.
    pub fn freeze(&mut self, frozen: Frozen) {
        self.frozen = Some(frozen);
        for waiter in std::mem::take(&mut self.queue) {
            self.tell(&waiter, LockWord::Frozen);
        }
    }

    /// A run is overtaken when what runs, waits or was verified last is newer than it.
    fn is_overtaken(&self, waiter: &Waiter, rule: QueueRule) -> bool {
        let older_than = |at: Timestamp| waiter.received_at < at;
        self.last_good
            .as_ref()
            .is_some_and(|good| older_than(good.received_at))
            || self
                .owner
                .as_ref()
                .is_some_and(|owner| older_than(owner.received_at))
            || (rule == QueueRule::Newest
                && self.queue.iter().any(|other| older_than(other.received_at)))
    }

    fn supersede_all_but_newest(&mut self, rule: QueueRule) {
        let keep = if rule == QueueRule::Newest {
            1
        } else {
            QUEUE_LIMIT
        };
        while self.queue.len() > keep {
            let oldest = self.queue.remove(0);
            self.tell(&oldest, LockWord::Superseded);
        }
    }

    fn hand_over(&mut self, now: Timestamp) {
        if self.owner.is_some() || self.frozen.is_some() || self.queue.is_empty() {
            return;
        }
        let next = self.queue.remove(0);
        self.fence += 1;
        self.tell(&next, LockWord::Held);
        self.owner = Some(Owner {
            run: next.run,
            commit: next.commit,
            fence: self.fence,
            since: now,
            received_at: next.received_at,
        });
    }

    fn tell(&mut self, waiter: &Waiter, word: LockWord) {
        self.untold.push(Tell {
            run: waiter.run.clone(),
            token: waiter.token.clone(),
            word,
        });
    }
}

/// Whether a run that was told something was still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was.
    Yes,
    /// Its token is gone: it was told before, or its execution ended or gave up waiting.
    Gone,
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
