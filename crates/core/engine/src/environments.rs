//! The queue, the lock and the outbox of each environment.
//!
//! Every change to an environment goes through this module. A step reports what happened to its
//! run. This module writes the environment and sends the notifications in its outbox. A
//! notification stays in the outbox until it is sent, so if a process stops in between, the next
//! call sends it.

use crate::announce::Announcer;
use crate::documents::{environment_key, load, load_run, run_key, update_environment, update_run};
use crate::status::Transition;
use crate::{Clock, Result, Table, TokenState, Tokens};
use domain::environment::{
    Environment, Frozen, Infrastructure, LastGood, LockVerdict, Notification, QUEUE_LIMIT, Reply,
    Waiter, freezing_error,
};
use domain::error::{ErrorName, NamedError, StepError};
use domain::ids::{EnvironmentName, RepositoryKey, RunId};
use domain::json;
use domain::run::{Run, RunError};
use domain::step::LockAnswer;
use jiff::Timestamp;

/// The maximum number of notifications that one call sends. One goes to each waiting run, and one
/// to each run that gets the environment because the run before it has ended.
const SENT_LIMIT: usize = 4 * QUEUE_LIMIT;

/// An outbox that one call cannot empty, which is a defect.
#[derive(Debug, thiserror::Error)]
#[error(
    "environment {environment} of repository {repository} had more than {SENT_LIMIT} notifications \
     to send at once"
)]
pub struct TooManyNotifications {
    repository: RepositoryKey,
    environment: EnvironmentName,
}

impl NamedError for TooManyNotifications {
    fn name(&self) -> ErrorName {
        ErrorName::Internal
    }
}

/// Proof that a run holds its environment. Only [`owned`] creates it, from the environment's item.
#[derive(Debug, Clone)]
pub struct Owned {
    environment: Environment,
    run: RunId,
    fence: u64,
}

impl Owned {
    /// Returns the environment, as it was when the proof was created.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the fence under which the run holds the environment.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }
}

/// Reads a run's environment, and checks that the run holds it.
///
/// # Errors
/// Fails with `LockLost` when the run has ended or does not hold its environment, with `Internal`
/// before the commit is accepted, and when the table cannot be read.
pub async fn owned(table: &dyn Table, run: &Run) -> Result<Owned> {
    let (repository, name) = place(run)?;
    let environment: Environment = load(table, &environment_key(repository, name))
        .await?
        .unwrap_or_else(|| Environment::new(repository, name.clone()));
    let fence = environment.fence_of(run)?;
    Ok(Owned {
        environment,
        run: run.id().clone(),
        fence,
    })
}

/// Reads a run's environment. Returns none before the commit is accepted, and none if no run has
/// requested the environment yet.
///
/// # Errors
/// Fails when the table cannot be read.
pub async fn of_run(table: &dyn Table, run: &Run) -> Result<Option<Environment>> {
    match place(run) {
        Ok((repository, name)) => load(table, &environment_key(repository, name)).await,
        Err(_) => Ok(None),
    }
}

/// Reads an environment. Returns none if no run has requested it yet.
///
/// # Errors
/// Fails when the table cannot be read.
pub async fn find(
    table: &dyn Table,
    repository: RepositoryKey,
    name: &EnvironmentName,
) -> Result<Option<Environment>> {
    load(table, &environment_key(repository, name)).await
}

/// Records that the run begins to change infrastructure. Writes nothing if it is recorded already.
///
/// # Errors
/// Fails with `LockLost` when the run no longer holds the environment, and when the table cannot be
/// read or written.
pub async fn begin_changes(table: &dyn Table, owned: &Owned) -> Result<()> {
    if owned.environment.infrastructure() != Infrastructure::LastGood {
        return Ok(());
    }
    change(table, &owned.environment, |environment| {
        Ok(environment.begin_changes(&owned.run, owned.fence)?)
    })
    .await
}

/// Moves *last good* to the commit that the run deployed and verified.
///
/// # Errors
/// Fails with `LockLost` when the run no longer holds the environment, and when the table cannot be
/// read or written.
pub async fn promote(table: &dyn Table, owned: &Owned, good: &LastGood) -> Result<()> {
    change(table, &owned.environment, |environment| {
        Ok(environment.promote(owned.fence, good.clone())?)
    })
    .await
}

/// Records that the run rolled its commit back, and the outputs of the stacks after the rollback.
///
/// # Errors
/// Fails with `LockLost` when the run no longer holds the environment, and when the table cannot be
/// read or written.
pub async fn record_rollback(
    table: &dyn Table,
    owned: &Owned,
    run: &Run,
    now: Timestamp,
) -> Result<()> {
    change(table, &owned.environment, |environment| {
        let (outputs, modules) = (run.outputs(), run.restored_dependencies());
        let (holder, fence, blame) = (&owned.run, owned.fence, run.blame());
        Ok(environment.record_rollback(holder, fence, outputs, modules, blame, now)?)
    })
    .await
}

/// Freezes the environment of a run whose rollback failed with `error`, if the run holds it. The
/// next call that drains the outbox notifies the waiting runs.
///
/// # Errors
/// Fails when the table cannot be read or written.
pub async fn freeze(table: &dyn Table, run: &Run, error: &StepError, now: Timestamp) -> Result<()> {
    let Ok((repository, name)) = place(run) else {
        return Ok(());
    };
    update_environment(table, repository, name, |environment| {
        environment.freeze(run.id(), error, now);
        Ok(())
    })
    .await
}

/// The environments, and the runs that wait for them.
#[derive(Clone, Copy)]
pub struct Environments<'a> {
    /// The table with the runs and the environments.
    pub table: &'a dyn Table,
    /// The task tokens of the waits.
    pub tokens: &'a dyn Tokens,
    /// The source of the current time.
    pub clock: &'a dyn Clock,
}

impl Environments<'_> {
    /// Queues a run for its environment, and drains the outbox, which often contains the run's own
    /// reply. A run that asks again with a new token gets its reply on the new token. Returns the
    /// runs that were superseded, for the caller to announce.
    ///
    /// A wait is announced before the run is queued: from then on another process can end the wait,
    /// and its announcement must be the last one.
    ///
    /// # Errors
    /// Fails when the table cannot be read or written, and when Step Functions cannot be called.
    pub async fn acquire(
        &self,
        run: &RunId,
        token: &str,
        announcer: &Announcer,
    ) -> Result<Vec<Run>> {
        let now = self.clock.now();
        let run = update_run(self.table, run, |run| {
            match run.lock_requested(now) {
                // A failed build may already have ended the run.
                Ok(()) | Err(RunError::Ended { .. }) => Ok(run.clone()),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        let (repository, name) = place(&run)?;
        let rule = run.config()?.queue;
        // The end of a run is its last announcement.
        let mut announced = run.is_ended();
        while let Some(holder) = update_environment(self.table, repository, name, |environment| {
            let waiter = Waiter {
                run: run.id().clone(),
                commit: run.trigger().commit().clone(),
                received_at: run.trigger().received_at(),
                token: token.to_owned(),
            };
            // An earlier attempt of this call announced the wait before it queued the run.
            announced |= environment.waits_for(run.id()).is_some();
            let mut queued = environment.clone();
            queued.acquire(waiter, rule, now);
            let holder = queued.waits_for(run.id()).filter(|_| !announced).cloned();
            if holder.is_none() {
                *environment = queued;
            }
            Ok(holder)
        })
        .await?
        {
            let transition = Transition::LockWaiting(holder);
            announcer.announce(&run, transition).await;
            announced = true;
        }
        // A failed build can end the run during this call. The run's end is written before the
        // environment is released, so the later of the two processes removes the wait.
        let run = load_run(self.table, run.id()).await?;
        if run.is_ended() {
            update_environment(self.table, repository, name, |environment| {
                environment.release(run.id(), now);
                Ok(())
            })
            .await?;
        }
        self.drain(repository, name).await
    }

    /// Releases the environment of a run that has ended, or removes its wait, and hands the
    /// environment to the next run. Freezes the environment first if the run left it in an unknown
    /// state. Returns the runs that were superseded, for the caller to announce.
    ///
    /// # Errors
    /// Fails when the table cannot be read or written, and when Step Functions cannot be called.
    pub async fn release(&self, run: &Run) -> Result<Vec<Run>> {
        let Ok((repository, name)) = place(run) else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        update_environment(self.table, repository, name, |environment| {
            if let Some(error) = freezing_error(run) {
                environment.freeze(run.id(), error, now);
            }
            environment.release(run.id(), now);
            Ok(())
        })
        .await?;
        self.drain(repository, name).await
    }

    /// Lets runs use a frozen environment again. Returns why it was frozen, or none if it was not.
    ///
    /// # Errors
    /// Fails when the table cannot be read or written, and when Step Functions cannot be called.
    pub async fn unfreeze(
        &self,
        repository: RepositoryKey,
        name: &EnvironmentName,
    ) -> Result<Option<Frozen>> {
        let now = self.clock.now();
        let frozen = update_environment(self.table, repository, name, |environment| {
            Ok(environment.unfreeze(now))
        })
        .await?;
        // No run waits for a frozen environment, so none is superseded.
        self.drain(repository, name).await?;
        Ok(frozen)
    }

    /// Records that an operator replaces the state of a stack, so that the next run plans every
    /// stack.
    ///
    /// # Errors
    /// Fails with `LockLost` when a run holds the environment, and when the table cannot be read or
    /// written.
    pub async fn state_replaced(
        &self,
        repository: RepositoryKey,
        name: &EnvironmentName,
    ) -> Result<()> {
        update_environment(self.table, repository, name, |environment| {
            Ok(environment.state_replaced()?)
        })
        .await
    }

    /// Sends the notifications that a process left in an environment's outbox. Returns the runs that
    /// were superseded, for the caller to announce.
    ///
    /// # Errors
    /// Fails when the table cannot be read and written, and when Step Functions cannot be called.
    pub async fn notify(&self, environment: &Environment) -> Result<Vec<Run>> {
        self.drain(environment.repository(), environment.name())
            .await
    }

    /// Sends the notifications in an environment's outbox until it is empty. Returns the runs that
    /// were superseded.
    ///
    /// If two processes drain at the same time, both may send a notification, and the second finds
    /// the token closed. A run with a closed token therefore keeps the environment, unless its
    /// record says that it has ended. If an execution was stopped, `record` releases its
    /// environment. An event of Step Functions starts it, or a later call of `reconcile` does it.
    async fn drain(&self, repository: RepositoryKey, name: &EnvironmentName) -> Result<Vec<Run>> {
        let mut superseded = Vec::new();
        let key = environment_key(repository, name);
        for _ in 0..SENT_LIMIT {
            let environment: Option<Environment> = load(self.table, &key).await?;
            let Some(next) = environment.and_then(|it| it.outbox().first().cloned()) else {
                return Ok(superseded);
            };
            if next.reply == Reply::Succeed(LockVerdict::Superseded) {
                superseded.extend(self.mark_superseded(&next.run).await?);
            }
            let token = self.send(&next).await?;
            let ended = token == TokenState::Closed && self.has_ended(&next.run).await?;
            update_environment(self.table, repository, name, |environment| {
                environment.mark_sent(&next);
                if ended {
                    environment.release(&next.run, self.clock.now());
                }
                Ok(())
            })
            .await?;
        }
        let environment = name.clone();
        Err(TooManyNotifications {
            repository,
            environment,
        }
        .into())
    }

    async fn send(&self, notification: &Notification) -> Result<TokenState> {
        let token = &notification.token;
        match &notification.reply {
            Reply::Succeed(verdict) => {
                let answer = LockAnswer { verdict: *verdict };
                let output = json::to_text("the answer to a wait", &answer)?;
                self.tokens.succeed(token, &output).await
            }
            Reply::Fail(error) => self.tokens.fail(token, error.name, &error.message).await,
        }
    }

    /// Records that a newer commit superseded the run. This happens before the run is notified,
    /// because its outcome is read from its record.
    async fn mark_superseded(&self, run: &RunId) -> Result<Option<Run>> {
        let marked = update_run(self.table, run, |run| {
            match run.superseded(self.clock.now()) {
                Ok(()) => Ok(Some(run.clone())),
                // The run ended while it waited.
                Err(RunError::Ended { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await;
        match marked {
            Err(error) if error.name == ErrorName::RunNotFound => Ok(None),
            other => other,
        }
    }

    async fn has_ended(&self, run: &RunId) -> Result<bool> {
        let run: Option<Run> = load(self.table, &run_key(run)).await?;
        Ok(run.is_none_or(|run| run.is_ended()))
    }
}

/// Returns the repository and the environment's name of a run.
fn place(run: &Run) -> Result<(RepositoryKey, &EnvironmentName)> {
    Ok((run.trigger().repository_key(), &run.config()?.environment))
}

async fn change(
    table: &dyn Table,
    environment: &Environment,
    decide: impl FnMut(&mut Environment) -> Result<()>,
) -> Result<()> {
    let (repository, name) = (environment.repository(), environment.name());
    update_environment(table, repository, name, decide).await
}

#[cfg(test)]
mod tests;
