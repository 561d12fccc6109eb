//! An environment: the run that holds it, the runs that wait for it, its last good commit and its
//! bad commits.
//!
//! An environment is one item of the table, written with optimistic concurrency. Its state is
//! private and changes only through the functions in this module. The outbox keeps each reply to a
//! waiting run until it is sent, so a process that stops between the write and the call loses none.

mod error;
mod freeze;
mod restore;

use crate::error::StepError;
use crate::ids::{BranchRef, CommitId, EnvironmentName, RepositoryKey, RunId, StackName};
use crate::plan::ObjectRef;
use crate::release::{Artifact, Release};
use crate::run::{Blame, Lock, Run};
use crate::stack_digest::StackDigest;
use crate::text;
pub use error::EnvironmentError;
pub use freeze::freezing_error;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The maximum number of runs that wait for one environment. Each has a task token of up to 2 KiB,
/// and an item holds at most 400 KiB.
pub const QUEUE_LIMIT: usize = 100;

/// The version of the item's format.
const SCHEMA: u32 = 4;

/// The maximum number of bad commits that an environment remembers.
const BAD_LIMIT: usize = 200;

/// The maximum length of the error in a freeze's reason, in bytes as JSON writes it.
const REASON_LIMIT: usize = 300;

/// What happens to runs that wait while another run holds the environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueRule {
    /// Only the newest run waits. Older ones are superseded.
    #[default]
    Newest,
    /// Every run waits, and runs in the order of arrival.
    Every,
}

/// An environment, as stored in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    schema: u32,
    repository: RepositoryKey,
    name: EnvironmentName,
    holder: Option<Holder>,
    /// Increases each time a run acquires the environment.
    fence: u64,
    /// Ordered by `received_at`.
    queue: Vec<Waiter>,
    outbox: Vec<Notification>,
    last_good: Option<LastGood>,
    infrastructure: Infrastructure,
    bad: Vec<BadCommit>,
    frozen: Option<Frozen>,
}

/// What is known about an environment's infrastructure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Infrastructure {
    /// It is as *last good* left it.
    LastGood,
    /// It was as *last good* left it until the holder began to change it.
    Changing,
    /// It may differ from *last good*: a run changed it and was not verified, or an operator
    /// repaired it.
    Unknown,
}

/// The run that holds an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The holder's run id.
    pub run: RunId,
    /// The commit that it delivers.
    pub commit: CommitId,
    /// The environment's fence when the run acquired it.
    pub fence: u64,
    /// When the run acquired the environment.
    pub since: Timestamp,
    /// When the webhook accepted the run's trigger.
    pub received_at: Timestamp,
}

/// A run that waits for the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiter {
    /// The run's id.
    pub run: RunId,
    /// The commit that it delivers.
    pub commit: CommitId,
    /// When the webhook accepted the run's trigger. The queue is ordered by this time.
    pub received_at: Timestamp,
    /// The task token of the run's wait.
    pub token: String,
}

/// The successful results of a wait for an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockVerdict {
    /// The run holds the environment.
    Held,
    /// A newer commit superseded the run.
    Superseded,
}

/// The reply that ends a run's wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The task succeeds with this verdict.
    Succeed(LockVerdict),
    /// The task fails with this error: `EnvironmentFrozen` or `CommitIsBad`.
    Fail(StepError),
}

/// A reply that is still to be sent to a waiting run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// The run's id.
    pub run: RunId,
    /// The task token of the run's wait.
    pub token: String,
    /// The reply to send.
    pub reply: Reply,
}

/// The last commit that was deployed and verified, with everything that a rollback to it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastGood {
    /// The run that verified the commit.
    pub run: RunId,
    /// The commit id.
    pub commit: CommitId,
    /// The commit's branch.
    pub branch: BranchRef,
    /// The commit's sealed source archive.
    pub source: ObjectRef,
    /// The commit's configuration.
    pub config: crate::config::Config,
    /// The commit's artifact. None if the repository builds nothing.
    pub artifact: Option<Artifact>,
    /// The commit's releases, by service.
    pub releases: Vec<Release>,
    /// The outputs of the commit's stacks.
    pub outputs: BTreeMap<StackName, ObjectRef>,
    /// The sealed modules and lock files of the commit's stacks. A stack whose source archive has
    /// all of them has none.
    pub dependencies: BTreeMap<StackName, ObjectRef>,
    /// The digests of the commit's stacks. A stack without a digest is planned in every run.
    pub digests: BTreeMap<StackName, StackDigest>,
    /// When the webhook accepted the run's trigger.
    pub received_at: Timestamp,
    /// When the run verified the commit.
    pub verified_at: Timestamp,
}

/// A commit that was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadCommit {
    /// The commit id.
    pub commit: CommitId,
    /// The run that rolled the commit back.
    pub run: RunId,
    /// When the commit was rolled back.
    pub at: Timestamp,
}

/// Why an environment is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// The run that left the environment in an unknown state.
    pub run: RunId,
    /// The run's error, for a person.
    pub reason: String,
    /// When the environment was frozen.
    pub at: Timestamp,
}

impl Environment {
    /// Returns an environment that no run has used.
    #[must_use]
    pub fn new(repository: RepositoryKey, name: EnvironmentName) -> Self {
        Self {
            schema: SCHEMA,
            repository,
            name,
            holder: None,
            fence: 0,
            queue: Vec::new(),
            outbox: Vec::new(),
            last_good: None,
            infrastructure: Infrastructure::Unknown,
            bad: Vec::new(),
            frozen: None,
        }
    }

    /// Returns the repository that the environment belongs to.
    #[must_use]
    pub fn repository(&self) -> RepositoryKey {
        self.repository
    }

    /// Returns the name, which is unique within the repository.
    #[must_use]
    pub fn name(&self) -> &EnvironmentName {
        &self.name
    }

    /// Returns the run that holds the environment.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// Returns the runs that wait, the next one first.
    #[must_use]
    pub fn queue(&self) -> &[Waiter] {
        &self.queue
    }

    /// Returns the notifications that are still to be sent, the oldest first.
    #[must_use]
    pub fn outbox(&self) -> &[Notification] {
        &self.outbox
    }

    /// Returns the last commit that was deployed and verified.
    #[must_use]
    pub fn last_good(&self) -> Option<&LastGood> {
        self.last_good.as_ref()
    }

    /// Returns what is known about the infrastructure.
    #[must_use]
    pub fn infrastructure(&self) -> Infrastructure {
        self.infrastructure
    }

    /// Returns the last good commit, if every stack that this run has not changed is as that commit
    /// left it.
    #[must_use]
    pub fn last_good_base(&self, run: &RunId) -> Option<&LastGood> {
        let known = match self.infrastructure {
            Infrastructure::LastGood | Infrastructure::Changing => self.is_held_by(run),
            Infrastructure::Unknown => false,
        };
        self.last_good.as_ref().filter(|_| known)
    }

    /// Returns the commits that were rolled back, the newest last.
    #[must_use]
    pub fn bad(&self) -> &[BadCommit] {
        &self.bad
    }

    /// Returns why the environment is frozen, or none if it is not.
    #[must_use]
    pub fn frozen(&self) -> Option<&Frozen> {
        self.frozen.as_ref()
    }

    /// Returns every run that holds the environment, waits for it or has a notification in the
    /// outbox. A run can appear more than once.
    pub fn runs(&self) -> impl Iterator<Item = &RunId> {
        let holder = self.holder.iter().map(|holder| &holder.run);
        let waiting = self.queue.iter().map(|waiter| &waiter.run);
        let notified = self.outbox.iter().map(|notification| &notification.run);
        holder.chain(waiting).chain(notified)
    }

    /// Returns whether this run holds the environment.
    #[must_use]
    pub fn is_held_by(&self, run: &RunId) -> bool {
        self.holder
            .as_ref()
            .is_some_and(|holder| &holder.run == run)
    }

    /// Returns the run that holds the environment, if this run waits for it in the queue.
    #[must_use]
    pub fn waits_for(&self, run: &RunId) -> Option<&RunId> {
        let waits = self.queue.iter().any(|waiter| &waiter.run == run);
        let holder = self.holder.as_ref().filter(|_| waits);
        holder.map(|holder| &holder.run)
    }

    /// Returns whether this commit was rolled back in the environment.
    #[must_use]
    pub fn is_bad(&self, commit: &CommitId) -> bool {
        self.bad.iter().any(|bad| &bad.commit == commit)
    }

    /// Returns the fence under which a run holds the environment.
    ///
    /// # Errors
    /// Fails with `LockLost` when the run has ended, when it does not hold the environment, or when
    /// the fence in its record differs from the environment's.
    pub fn fence_of(&self, run: &Run) -> Result<u64, EnvironmentError> {
        let id = run.id();
        if let Some(end) = run.end() {
            return Err(EnvironmentError::RunEnded {
                environment: self.name.clone(),
                run: id.clone(),
                at: end.at,
            });
        }
        let holder = self.held_by(id)?;
        match run.lock() {
            Lock::Held { fence, .. } => self.check_holder(id, fence).map(|holder| holder.fence),
            // The environment decides; the run's own record may lag behind it.
            Lock::None | Lock::Waiting { .. } | Lock::Superseded { .. } => Ok(holder.fence),
        }
    }

    /// Queues a run for the environment. The reply is put in the outbox as soon as it is known. A
    /// run that asks again with a new token gets its reply on the new token.
    pub fn acquire(&mut self, waiter: Waiter, rule: QueueRule, now: Timestamp) {
        self.forget(&waiter.run);
        if self.is_held_by(&waiter.run) {
            self.notify(waiter, Reply::Succeed(LockVerdict::Held));
        } else if let Some(error) = self.refusal(&waiter.commit) {
            self.notify(waiter, Reply::Fail(error.into()));
        } else if self.is_overtaken(&waiter, rule) {
            self.notify(waiter, Reply::Succeed(LockVerdict::Superseded));
        } else {
            let place = self
                .queue
                .partition_point(|other| other.received_at <= waiter.received_at);
            self.queue.insert(place, waiter);
            self.supersede_surplus(rule);
            self.hand_over(now);
        }
    }

    /// Ends a run's hold or wait, and hands the environment to the next run.
    pub fn release(&mut self, run: &RunId, now: Timestamp) {
        self.forget(run);
        if self.is_held_by(run) {
            self.holder = None;
            // The changes were neither verified nor rolled back.
            if self.infrastructure == Infrastructure::Changing {
                self.infrastructure = Infrastructure::Unknown;
            }
        }
        self.hand_over(now);
    }

    /// Removes a notification that was sent, or whose token is closed. The run keeps the
    /// environment until it is released: a closed token does not mean that the run has ended,
    /// because another process may have sent the same notification.
    pub fn mark_sent(&mut self, notification: &Notification) {
        self.outbox.retain(|other| other != notification);
    }

    /// Records that the holder begins to change infrastructure. This is recorded before the first
    /// apply, so that a run that stops in the middle leaves [`Infrastructure::Unknown`].
    ///
    /// # Errors
    /// Fails with `LockLost` when the run does not hold the environment under this fence.
    pub fn begin_changes(&mut self, run: &RunId, fence: u64) -> Result<(), EnvironmentError> {
        self.check_holder(run, fence)?;
        if self.infrastructure == Infrastructure::LastGood {
            self.infrastructure = Infrastructure::Changing;
        }
        Ok(())
    }

    /// Moves *last good* to the commit that the holder deployed and verified.
    ///
    /// # Errors
    /// Fails with `LockLost` when the run of `good` does not hold the environment under this fence.
    pub fn promote(&mut self, fence: u64, good: LastGood) -> Result<(), EnvironmentError> {
        self.check_holder(&good.run, fence)?;
        self.last_good = Some(good);
        self.infrastructure = Infrastructure::LastGood;
        Ok(())
    }

    /// Records that the holder rolled its commit back: marks the commit as bad if it caused the error, and sets the
    /// outputs of *last good*. Resources that the rollback recreated may have new ids and
    /// addresses. A stack that needs an output which changed loses its digest. The infrastructure is
    /// as *last good* left it, if it was so before the run: a rollback restores only what its own
    /// run changed.
    ///
    /// # Errors
    /// Fails with `LockLost` when the run does not hold the environment under this fence.
    pub fn record_rollback(
        &mut self,
        run: &RunId,
        fence: u64,
        outputs: BTreeMap<StackName, ObjectRef>,
        dependencies: BTreeMap<StackName, ObjectRef>,
        blame: Blame,
        now: Timestamp,
    ) -> Result<(), EnvironmentError> {
        let commit = self.check_holder(run, fence)?.commit.clone();
        if blame == Blame::Commit {
            self.mark_bad(commit, run.clone(), now);
        }
        if let Some(good) = &mut self.last_good {
            good.set_outputs(outputs);
            // Those that had expired were resolved again.
            good.dependencies.extend(dependencies);
            if self.infrastructure == Infrastructure::Changing {
                self.infrastructure = Infrastructure::LastGood;
            }
        }
        Ok(())
    }

    /// Marks a commit as bad. The waits of runs with the same commit fail.
    pub fn mark_bad(&mut self, commit: CommitId, run: RunId, now: Timestamp) {
        if self.is_bad(&commit) {
            return;
        }
        self.bad.push(BadCommit {
            commit,
            run,
            at: now,
        });
        let surplus = self.bad.len().saturating_sub(BAD_LIMIT);
        self.bad.drain(..surplus);
        self.refuse_waiting();
    }

    /// Freezes the environment after an error that left it in an unknown state, and fails every
    /// wait. Only the holder can freeze it, and only once: a late repeat must neither undo an
    /// operator's repair nor stop the run that holds the environment by then.
    pub fn freeze(&mut self, run: &RunId, error: &StepError, now: Timestamp) {
        let by_this_run = |frozen: &Frozen| &frozen.run == run;
        if !self.is_held_by(run) || self.frozen.as_ref().is_some_and(by_this_run) {
            return;
        }
        self.infrastructure = Infrastructure::Unknown;
        // Every waiting run gets this text, and all of them share one item of at most 400 KiB.
        let error = text::cut(&error.to_string(), REASON_LIMIT);
        self.frozen = Some(Frozen {
            run: run.clone(),
            reason: format!(
                "run {run} left it in an unknown state ({error}). Read `sluicegate show {run}`, \
                 repair the environment, then run `sluicegate unfreeze {} {}`",
                self.repository, self.name
            ),
            at: now,
        });
        self.refuse_waiting();
    }

    /// Lets runs use the environment again. Returns why it was frozen, or none if it was not.
    pub fn unfreeze(&mut self, now: Timestamp) -> Option<Frozen> {
        let frozen = self.frozen.take();
        if frozen.is_some() {
            // An operator may have repaired it by hand.
            self.infrastructure = Infrastructure::Unknown;
        }
        self.hand_over(now);
        frozen
    }

    /// Returns why a run with this commit cannot have the environment.
    fn refusal(&self, commit: &CommitId) -> Option<EnvironmentError> {
        let environment = self.name.clone();
        if let Some(frozen) = &self.frozen {
            let reason = frozen.reason.clone();
            return Some(EnvironmentError::Frozen {
                environment,
                reason,
            });
        }
        let bad = self.bad.iter().find(|bad| &bad.commit == commit)?;
        Some(EnvironmentError::CommitIsBad {
            environment,
            commit: commit.clone(),
            run: bad.run.clone(),
            at: bad.at,
        })
    }

    /// Returns whether the holder or *last good* is newer than this run. With `QueueRule::Newest`,
    /// a newer run in the queue counts too.
    fn is_overtaken(&self, waiter: &Waiter, rule: QueueRule) -> bool {
        let is_newer = |at: Timestamp| waiter.received_at < at;
        let good = self.last_good.iter().map(|good| good.received_at);
        let holder = self.holder.iter().map(|holder| holder.received_at);
        let mut queue = self.queue.iter().map(|other| other.received_at);
        good.chain(holder).any(is_newer) || (rule == QueueRule::Newest && queue.any(is_newer))
    }

    fn supersede_surplus(&mut self, rule: QueueRule) {
        let keep = match rule {
            QueueRule::Newest => 1,
            QueueRule::Every => QUEUE_LIMIT,
        };
        let surplus = self.queue.len().saturating_sub(keep);
        let oldest: Vec<Waiter> = self.queue.drain(..surplus).collect();
        for waiter in oldest {
            self.notify(waiter, Reply::Succeed(LockVerdict::Superseded));
        }
    }

    /// Removes every run from the queue that can no longer have the environment.
    fn refuse_waiting(&mut self) {
        for waiter in std::mem::take(&mut self.queue) {
            match self.refusal(&waiter.commit) {
                Some(error) => self.notify(waiter, Reply::Fail(error.into())),
                None => self.queue.push(waiter),
            }
        }
    }

    fn hand_over(&mut self, now: Timestamp) {
        if self.holder.is_some() || self.frozen.is_some() || self.queue.is_empty() {
            return;
        }
        let next = self.queue.remove(0);
        self.fence += 1;
        self.holder = Some(Holder {
            run: next.run.clone(),
            commit: next.commit.clone(),
            fence: self.fence,
            since: now,
            received_at: next.received_at,
        });
        self.notify(next, Reply::Succeed(LockVerdict::Held));
    }

    fn notify(&mut self, waiter: Waiter, reply: Reply) {
        self.outbox.push(Notification {
            run: waiter.run,
            token: waiter.token,
            reply,
        });
    }

    /// Removes a run's wait and its notifications.
    fn forget(&mut self, run: &RunId) {
        self.queue.retain(|waiter| &waiter.run != run);
        self.outbox.retain(|notification| &notification.run != run);
    }

    /// Returns the holder, which must be this run.
    fn held_by(&self, run: &RunId) -> Result<&Holder, EnvironmentError> {
        let (environment, run) = (self.name.clone(), run.clone());
        match &self.holder {
            Some(holder) if holder.run == run => Ok(holder),
            Some(holder) => Err(EnvironmentError::HeldByOther {
                environment,
                run,
                holder: holder.run.clone(),
                since: holder.since,
            }),
            None => Err(EnvironmentError::NotHeld { environment, run }),
        }
    }

    /// Returns the holder, which must be this run under this fence.
    fn check_holder(&self, run: &RunId, fence: u64) -> Result<&Holder, EnvironmentError> {
        let holder = self.held_by(run)?;
        if holder.fence == fence {
            return Ok(holder);
        }
        Err(EnvironmentError::OtherFence {
            environment: self.name.clone(),
            run: run.clone(),
            recorded: fence,
            current: holder.fence,
        })
    }
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
