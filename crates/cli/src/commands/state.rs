//! `sluicegate state`: the Terraform state of a stack, and its lock.

mod unwritten;

use crate::args::StateOf;
use crate::failure::{Failure, Kind, Outcome};
use crate::output::Output;
use crate::pipeline::{Pipeline, Recovery};
use crate::text;
use domain::environment::Environment;
use domain::error::StepError;
use domain::ids::{EnvironmentName, RepositoryKey};
use domain::keys;
use domain::run::Run;
use domain::state_lock::{Candidate, JobStart, LockHeld, Progress, StateLock, ended_holder};
use engine::documents::{OPEN_RUNS, Pages, RUNS, environment_key, load};
use engine::environments::Environments;
use engine::{JobProgress, Objects, Order, Written};
use serde_json::json;

/// What an operator knows about the holder of a lock that is not a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nothing.
    Unknown,
    /// A `sluicegate state restore` that has ended.
    EndedRestore,
}

/// A state, as its run and stack select it.
struct Selected {
    repository: RepositoryKey,
    environment: EnvironmentName,
    key: String,
}

impl Selected {
    async fn of(pipeline: &Pipeline, of: &StateOf) -> Outcome<Self> {
        let run = super::run(&*pipeline.table, &of.run).await?;
        let stack = super::stack_of(&run, &of.stack)?;
        let Some(environment) = run.environment().cloned() else {
            let what = format!("run {} ended before its environment was known", run.id());
            let next = "Name another run of the environment.";
            return Err(Failure::new(Kind::EnvironmentNotFound, what, next));
        };
        let repository = run.trigger().repository_key();
        let key = keys::state(repository, &environment, stack.spec().state());
        Ok(Self {
            repository,
            environment,
            key,
        })
    }

    /// Fails if a run holds the environment: it may be writing the state.
    async fn check_free(&self, pipeline: &Pipeline) -> Outcome {
        let key = environment_key(self.repository, &self.environment);
        let environment: Option<Environment> = load(&*pipeline.table, &key).await?;
        let holder = environment.as_ref().and_then(Environment::holder);
        let Some(holder) = holder else {
            return Ok(());
        };
        let (name, run) = (&self.environment, &holder.run);
        let next = format!(
            "Wait for it with `sluicegate watch {run}`; if it has stopped, run `sluicegate unlock {} \
             {name}` first.",
            self.repository
        );
        let what = format!("run {run} holds environment {name}");
        Err(Failure::new(Kind::StillInUse, what, next))
    }
}

/// Removes the lock that an ended job left beside a state. The lock of a `sluicegate state restore` is removed only if
/// the operator says that the command has ended: nothing shows it.
///
/// # Errors
/// Fails with `StillInUse` if the holder may still work, with `LockNotFound` if the state is not
/// locked, and with the errors of AWS and of the output.
pub async fn unlock(
    pipeline: &Pipeline,
    of: &StateOf,
    known: Holder,
    out: &mut Output<'_>,
) -> Outcome {
    let selected = Selected::of(pipeline, of).await?;
    let recovery = pipeline.recovery()?;
    let lock = lock_of(recovery, &selected.key).await?.ok_or_else(|| {
        let what = format!("state {} is not locked", selected.key);
        let next = "Nothing to do: the next run can lock it.";
        Failure::new(Kind::LockNotFound, what, next)
    })?;
    let age = text::age(pipeline.clock.now(), lock.created);
    let held = format!(
        "state {} is locked by {} for {age} (lock id {}, {})",
        selected.key, lock.who, lock.id, lock.operation
    );
    selected
        .check_free(pipeline)
        .await
        .map_err(|failure| Failure {
            what: format!("{held}, and {}", failure.what),
            ..failure
        })?;
    let in_use = |why: &LockHeld| {
        let next = next_for(why, &selected, of, &lock);
        Failure::new(Kind::StillInUse, format!("{held}: {why}"), next)
    };
    let candidates = if lock.is_of_restore() {
        if known != Holder::EndedRestore {
            let who = lock.who.clone();
            return Err(in_use(&LockHeld::Restore { who }));
        }
        Vec::new()
    } else {
        candidates(pipeline, recovery, &selected, &lock).await?
    };
    let holder = match ended_holder(&lock, &candidates) {
        Ok(job) => Some(job),
        Err(LockHeld::NotAJob { .. }) if lock.is_of_restore() => None,
        Err(why) => return Err(in_use(&why)),
    };
    // Another operator may have removed it, and a new job may hold its own lock by now.
    if lock_of(recovery, &selected.key).await?.as_ref() != Some(&lock) {
        let what = format!("the lock of state {} changed meanwhile", selected.key);
        return Err(Failure::new(
            Kind::LockNotFound,
            what,
            "Run the command again.",
        ));
    }
    recovery
        .states
        .remove(&keys::state_lock(&selected.key))
        .await?;
    if out.json {
        return out.value(&json!({
            "state": selected.key, "lock": lock.id, "by": lock.who, "since": lock.created,
            "run": holder.map(|job| &job.run), "job": holder.map(|job| &job.job),
        }));
    }
    let was = match holder {
        Some(Candidate { run, job, .. }) => format!("job {job} of run {run}, which has ended"),
        None => format!(
            "`sluicegate state restore` of {}, which has ended as you say",
            lock.who
        ),
    };
    out.text(&format!(
        "{held}\nits holder was {was}: the lock is removed\n"
    ))
}

async fn lock_of(recovery: &Recovery, state: &str) -> Outcome<Option<StateLock>> {
    let key = keys::state_lock(state);
    let Some(bytes) = recovery.states.get(&key).await? else {
        return Ok(None);
    };
    let lock = StateLock::parse(&bytes).map_err(|error| {
        let what = format!("{key} is not a lock of Terraform: {error}");
        Failure::new(Kind::LockNotFound, what, "Look at the object in S3.")
    })?;
    Ok(Some(lock))
}

/// Finds the jobs that may hold a lock, in the runs of the environment that were open when it was acquired. Of the
/// recorded runs, the newest come first, and only one of them can have held the environment then.
async fn candidates(
    pipeline: &Pipeline,
    recovery: &Recovery,
    selected: &Selected,
    lock: &StateLock,
) -> Outcome<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for index in [OPEN_RUNS, RUNS] {
        let mut pages = Pages::of(&*pipeline.table, index, Order::Descending);
        while let Some(runs) = pages.next::<Run>().await? {
            let own = runs.iter().filter(|run| {
                run.trigger().repository_key() == selected.repository
                    && run.environment() == Some(&selected.environment)
                    && lock.fits_run(run.started_at(), run.end().map(|end| end.at))
            });
            for run in own {
                candidates.extend(of_run(pipeline, recovery, run, lock).await?);
            }
            if index == RUNS && !candidates.is_empty() {
                break;
            }
        }
    }
    Ok(candidates)
}

/// Finds the jobs of a run that may hold a lock.
async fn of_run(
    pipeline: &Pipeline,
    recovery: &Recovery,
    run: &Run,
    lock: &StateLock,
) -> Outcome<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for (job, start) in starts(&*pipeline.artifacts, run).await? {
        if !lock.fits(&start) {
            continue;
        }
        let found = recovery.batch.find(&job).await?;
        let open = found.iter().any(|job| job.progress == JobProgress::Open);
        candidates.push(Candidate {
            run: run.id().clone(),
            job,
            started_at: start.at,
            run_progress: progress(!run.is_ended()),
            job_progress: progress(open),
        });
    }
    Ok(candidates)
}

fn progress(open: bool) -> Progress {
    if open {
        Progress::Open
    } else {
        Progress::Ended
    }
}

/// Returns the jobs of a run that started, with their starts.
async fn starts(
    artifacts: &dyn Objects,
    run: &Run,
) -> Outcome<Vec<(domain::ids::JobId, JobStart)>> {
    let mut starts = Vec::new();
    let Ok(objects) = run.objects() else {
        return Ok(starts);
    };
    for key in artifacts.list(&objects.jobs()).await? {
        let Some(job) = keys::started_job(&key) else {
            continue;
        };
        let bytes = artifacts.get(&key).await?.unwrap_or_default();
        if let Ok(start) = serde_json::from_slice(&bytes) {
            starts.push((job, start));
        }
    }
    Ok(starts)
}

fn next_for(why: &LockHeld, selected: &Selected, of: &StateOf, lock: &StateLock) -> String {
    match why {
        LockHeld::NotAJob { who } => format!(
            "Find out whether {who} still works on it: no job of a run that was open at {} holds this lock. \
             If that process has ended, run `terraform force-unlock {}` with this state as the backend.",
            lock.created, lock.id
        ),
        LockHeld::Restore { who } => format!(
            "Ask {who}. If the command has ended, run `sluicegate state unlock {} {} --restore-ended`.",
            of.run, of.stack
        ),
        LockHeld::RunOpen { run, .. } => format!(
            "Wait for it with `sluicegate watch {run}`; if it has stopped, run `sluicegate unlock {} \
             {}` first.",
            selected.repository, selected.environment
        ),
        LockHeld::JobOpen { job, .. } => format!(
            "Wait until AWS Batch shows job {job} as SUCCEEDED or FAILED, then run the command again."
        ),
    }
}

/// Lists the versions of a state, the newest first.
///
/// # Errors
/// Fails with the errors of AWS and of the output.
pub async fn versions(pipeline: &Pipeline, of: &StateOf, out: &mut Output<'_>) -> Outcome {
    let selected = Selected::of(pipeline, of).await?;
    let versions = pipeline.recovery()?.states.versions(&selected.key).await?;
    if out.json {
        let listed = versions.iter().map(
            |version| json!({"version": version.id, "at": version.at, "bytes": version.bytes}),
        );
        return out.value(&listed.collect::<Vec<_>>());
    }
    if versions.is_empty() {
        return out.text(&format!("state {} has no version\n", selected.key));
    }
    let rows: Vec<Vec<String>> = versions
        .iter()
        .map(|version| {
            vec![
                version.id.clone(),
                text::time(version.at),
                version.bytes.to_string(),
            ]
        })
        .collect();
    out.text(&text::table(&["VERSION", "WRITTEN", "BYTES"], &rows))
}

/// What `restore` makes the newest version of a state.
#[derive(Debug, Clone, Copy)]
pub enum Restored<'a> {
    /// The earlier version with this id.
    Version(&'a str),
    /// The state that a job of the run could not write.
    Unwritten,
}

/// Makes an earlier version of a state its newest one, or writes the one that a job could not write. The
/// next run plans every stack.
///
/// # Errors
/// Fails with `StillInUse` if a run holds the environment or the state is locked, with
/// `VersionNotFound` if the state has no such version or no job kept a newer state, and with the errors
/// of AWS and of the output.
pub async fn restore(
    pipeline: &Pipeline,
    of: &StateOf,
    restored: Restored<'_>,
    by: &str,
    out: &mut Output<'_>,
) -> Outcome {
    let selected = Selected::of(pipeline, of).await?;
    let recovery = pipeline.recovery()?;
    let (key, states) = (&selected.key, &recovery.states);
    let content = match restored {
        Restored::Version(version) => {
            let known = states.versions(key).await?;
            if !known.iter().any(|one| one.id == version) {
                let what = format!("state {key} has no version {version}");
                let next = format!(
                    "`sluicegate state versions {} {}` lists them.",
                    of.run, of.stack
                );
                return Err(Failure::new(Kind::VersionNotFound, what, next));
            }
            Content::Version(version)
        }
        Restored::Unwritten => Content::Kept(unwritten::find(pipeline, of, key).await?),
    };
    selected.check_free(pipeline).await?;
    let own = StateLock::of_restore(&domain::text::line(by, 100), pipeline.clock.now());
    lock(recovery, key, of, &own).await?;
    let replaced = replace(pipeline, &selected, &content).await;
    // Why the state was not restored matters more than a lock that stays.
    let unlocked = unlock_own(recovery, key, &own).await;
    replaced?;
    unlocked?;
    if out.json {
        return out.value(&match &content {
            Content::Version(version) => json!({"state": key, "restored": version}),
            Content::Kept(kept) => json!({"state": key, "written": kept.key}),
        });
    }
    let what = match &content {
        Content::Version(version) => format!("is version {version} again, as a new version"),
        Content::Kept(kept) => format!("is what {} has", kept.key),
    };
    out.text(&format!(
        "state {key} {what}; the next run plans every stack of environment {}\n",
        selected.environment
    ))
}

/// What a state becomes.
enum Content<'a> {
    Version(&'a str),
    Kept(unwritten::Kept),
}

/// Removes a lock, unless another holder has replaced it.
async fn unlock_own(recovery: &Recovery, state: &str, own: &StateLock) -> Outcome {
    if lock_of(recovery, state)
        .await?
        .is_some_and(|it| it.id == own.id)
    {
        recovery.states.remove(&keys::state_lock(state)).await?;
    }
    Ok(())
}

/// Locks a state, so that no Terraform writes it.
async fn lock(recovery: &Recovery, state: &str, of: &StateOf, own: &StateLock) -> Outcome {
    let bytes = domain::json::to_bytes("a lock", own).map_err(StepError::from)?;
    let key = keys::state_lock(state);
    if recovery.states.create(&key, bytes).await? == Written::Yes {
        return Ok(());
    }
    let holder = lock_of(recovery, state).await?;
    let who = holder.map_or_else(|| "someone".to_owned(), |lock| lock.who);
    let what = format!("state {state} is locked by {who}");
    let next = format!(
        "Run `sluicegate state unlock {} {}` first.",
        of.run, of.stack
    );
    Err(Failure::new(Kind::StillInUse, what, next))
}

/// Replaces a locked state.
async fn replace(pipeline: &Pipeline, selected: &Selected, content: &Content<'_>) -> Outcome {
    let (key, states) = (&selected.key, &pipeline.recovery()?.states);
    if let Content::Kept(kept) = content {
        kept.check_newer(key, states.get(key).await?.as_deref())?;
    }
    let environments = Environments {
        table: &*pipeline.table,
        tokens: &*pipeline.tokens,
        clock: &*pipeline.clock,
    };
    environments
        .state_replaced(selected.repository, &selected.environment)
        .await?;
    match content {
        Content::Version(version) => states.restore(key, version).await?,
        Content::Kept(kept) => states.put(key, kept.bytes.clone()).await?,
    }
    Ok(())
}
