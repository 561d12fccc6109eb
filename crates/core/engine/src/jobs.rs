//! Batch jobs: their specs and their results.

use crate::announce::Announcer;
use crate::documents::update_run;
use crate::enrolment::{Enrolments, enrolled_environment};
use crate::environments::{self, Owned};
use crate::status::Transition;
use crate::{BatchJob, BatchJobs, JobProgress, Objects, Result, Table, Written};
use domain::error::{ErrorClass, ErrorName, NamedError, StepError};
use domain::ids::{JobId, RunId, StackName};
use domain::job::{APPLY_SECONDS, Backend, JOB_SCHEMA, JobResult, JobSpec, PLAN_SECONDS, Verb};
use domain::keys::{self, JobFile};
use domain::plan::SideEffects;
use domain::reconcile::awaited_jobs;
use domain::run::{Run, StackState};
use domain::step::{CaughtError, StackJob};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The maximum number of diagnostics in an error's message.
const SHOWN: usize = 3;

/// The end of the key of a result.
const RESULT_NAME: &str = "result.json";

/// The reason for terminating a job that its run no longer waits for.
const ORPHANED: &str = "its run no longer waits for it";

/// Why a job cannot be made, or its result cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum JobError {
    #[error("stack {stack} of run {run} has no plan to apply")]
    NoPlan { run: RunId, stack: StackName },
    #[error("job {job} of stack {stack} left no result: {why}{description}")]
    NoResult {
        stack: StackName,
        job: JobId,
        why: String,
        description: String,
    },
    #[error("job {job} was ended and is still there: {description}")]
    StillOpen { job: JobId, description: String },
    #[error("{key} is not a result that this version reads: {source}")]
    OtherFormat {
        key: String,
        source: serde_json::Error,
    },
    #[error(
        "the result of job {job} of stack {stack} names {object}, which is not an object of this job"
    )]
    ForeignObject {
        stack: StackName,
        job: JobId,
        object: String,
    },
    #[error("{key} holds the result of run {run}, job {job}, schema {schema}")]
    OtherJob {
        key: String,
        run: RunId,
        job: JobId,
        schema: u32,
    },
    #[error(
        "job {job} of stack {stack} of run {run} left the result of another verb than {}",
        expected.as_str()
    )]
    OtherVerb {
        run: RunId,
        stack: StackName,
        job: JobId,
        expected: Verb,
    },
}

impl NamedError for JobError {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoResult { .. } => ErrorName::JobLost,
            Self::StillOpen { .. } => ErrorName::JobEnding,
            Self::ForeignObject { .. } => ErrorName::PlanTampered,
            Self::NoPlan { .. }
            | Self::OtherFormat { .. }
            | Self::OtherJob { .. }
            | Self::OtherVerb { .. } => ErrorName::ContractViolation,
        }
    }
}

/// The bucket of the stacks' Terraform states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateBucket {
    /// The bucket's name.
    pub name: String,
    /// The bucket's region.
    pub region: String,
}

/// Returns the spec of a stack's next job. Only the run that holds the environment can get one. The
/// spec of an apply contains the sealed plan.
///
/// # Errors
/// Fails with `ContractViolation` when the run does not have the stack or an apply has no plan, and
/// with `Internal` before the commit is accepted.
pub fn spec(
    run: &Run,
    owned: &Owned,
    name: &StackName,
    verb: Verb,
    states: &StateBucket,
) -> Result<JobSpec> {
    let stack = run.stack(name)?;
    let environment = owned.environment().name().clone();
    let (source, commit) = run.source_of(stack)?;
    let (plan, dependencies, timeout_seconds) = match (verb, stack.plan_to_apply()) {
        (Verb::Plan | Verb::Validate, _) => (None, stack.dependencies().cloned(), PLAN_SECONDS),
        (Verb::Apply, Some(plan)) => (Some(plan.clone()), None, APPLY_SECONDS),
        (Verb::Apply, None) => {
            let (run, stack) = (run.id().clone(), name.clone());
            return Err(JobError::NoPlan { run, stack }.into());
        }
    };
    Ok(JobSpec {
        schema: JOB_SCHEMA,
        run: run.id().clone(),
        verb,
        plan_kind: stack.plan_kind(),
        attempt: stack.attempt(verb),
        repository_key: run.trigger().repository_key(),
        repository: run.trigger().repository().full_name.clone(),
        commit: commit.clone(),
        backend: Backend::S3 {
            bucket: states.name.clone(),
            key: keys::state(
                run.trigger().repository_key(),
                &environment,
                stack.spec().state(),
            ),
            region: states.region.clone(),
        },
        environment,
        stack: name.clone(),
        dir: stack.spec().dir.clone(),
        source: source.clone(),
        inputs: match verb {
            Verb::Plan | Verb::Apply => run.inputs(stack),
            // Not all of them are known yet, and `terraform validate` reads no values.
            Verb::Validate => BTreeMap::new(),
        },
        plan,
        dependencies,
        undo: run.undo(name),
        timeout_seconds,
    })
}

/// Reads a job's result.
///
/// If there is none, Batch is asked first. The reply to a submission may have been lost, and an
/// orphaned job would apply its plan after the run has moved on. Such a job is terminated, and
/// nothing is decided until it has ended.
///
/// # Errors
/// Fails with `JobLost` and Batch's description when the job left no result, with `JobEnding`
/// while a terminated job has not ended yet, with `ContractViolation` when the result is another
/// job's or of another version, and when the bucket or Batch cannot be called.
pub async fn result(
    objects: &dyn Objects,
    batch: &dyn BatchJobs,
    run: &Run,
    stack: &StackName,
    job: &JobId,
    error: Option<&CaughtError>,
) -> Result<JobResult> {
    let key = run.objects()?.job(job, JobFile::Result);
    let mut found = objects.get(&key).await?;
    let mut description = String::new();
    if found.is_none() {
        let jobs = end(batch, job).await?;
        for job in &jobs {
            description.push_str("; ");
            description.push_str(&job.description);
        }
        // The result may have been written while Batch was asked.
        found = objects.get(&key).await?;
    }
    let Some(bytes) = found else {
        let why = error.map_or_else(
            || "Batch says that it succeeded".to_owned(),
            |error| error.to_step_error().message,
        );
        return Err(JobError::NoResult {
            stack: stack.clone(),
            job: job.clone(),
            why,
            description,
        }
        .into());
    };
    let read = serde_json::from_slice(&bytes);
    let result: JobResult = match read {
        Ok(result) => result,
        Err(source) => return Err(JobError::OtherFormat { key, source }.into()),
    };
    if result.schema != JOB_SCHEMA || result.run != *run.id() || result.job != *job {
        return Err(JobError::OtherJob {
            key,
            run: result.run,
            job: result.job,
            schema: result.schema,
        }
        .into());
    }
    // A step reads the named objects with its own rights, which reach those of every repository.
    let own = key.strip_suffix(RESULT_NAME).unwrap_or(&key);
    let given = run.stack(stack)?.dependencies();
    let mut objects = result.outcome.objects();
    let foreign = objects.find(|object| !object.key.starts_with(own) && Some(*object) != given);
    if let Some(object) = foreign {
        let (stack, job, object) = (stack.clone(), job.clone(), object.key.clone());
        return Err(JobError::ForeignObject { stack, job, object }.into());
    }
    drop(objects);
    Ok(result)
}

/// The content of `started.json` for a job that never started. The runner does nothing when it
/// finds a start that is not its own.
const NEVER_STARTED: &[u8] = b"{\"never_started\":true}";

/// Returns whether a job that left no result may have changed resources. A container claims a job
/// before it does anything. A job that none has claimed is claimed here, so that it cannot start
/// any more.
async fn side_effects_of_lost(
    objects: &dyn Objects,
    run: &Run,
    job: &JobId,
) -> Result<SideEffects> {
    let key = run.objects()?.job(job, JobFile::Started);
    let claimed = objects.put_if_absent(&key, NEVER_STARTED.to_vec()).await?;
    let is_own = match claimed {
        Written::Yes => true,
        // A repeated call.
        Written::No => objects.get(&key).await?.as_deref() == Some(NEVER_STARTED),
    };
    Ok(if is_own {
        SideEffects::None
    } else {
        SideEffects::Unrecorded
    })
}

/// A job that left no result.
#[derive(Debug, Clone, Copy)]
pub struct LostJob<'a> {
    /// The run.
    pub run: &'a Run,
    /// The stack.
    pub stack: &'a StackName,
    /// The job's work.
    pub verb: Verb,
    /// The job.
    pub job: &'a JobId,
    /// What Step Functions caught.
    pub error: Option<&'a CaughtError>,
}

/// What becomes of a job that left no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostJobEnd {
    /// It never started, and another job of the stack replaces it.
    Replaced(StackJob),
    /// It is not replaced.
    Failed(SideEffects),
}

/// Replaces jobs that never started.
#[derive(Clone, Copy)]
pub struct Replacements<'a> {
    /// The table.
    pub table: &'a dyn Table,
    /// The bucket of jobs.
    pub objects: &'a dyn Objects,
    /// The bucket of states.
    pub states: &'a StateBucket,
    /// The enrolled repositories.
    pub enrolments: &'a dyn Enrolments,
    /// Announces the replacement.
    pub announcer: &'a Announcer,
}

impl Replacements<'_> {
    /// Decides what becomes of a job that left no result. A job that never started cannot start any more
    /// after this call, and is replaced, unless it waited in its queue until the state's time limit or another
    /// job of the stack was replaced before. A repeated call returns the same, and announces it again.
    ///
    /// # Errors
    /// Fails when the table or the bucket cannot be called.
    pub async fn replace(&self, lost: LostJob<'_>, now: Timestamp) -> Result<LostJobEnd> {
        let run = lost.run;
        let side_effects = side_effects_of_lost(self.objects, run, lost.job).await?;
        if side_effects.are_possible() {
            return Ok(LostJobEnd::Failed(side_effects));
        }
        let Some((job, attempt)) = self.start_again(lost, now).await? else {
            return Ok(LostJobEnd::Failed(side_effects));
        };
        let environment = enrolled_environment(self.enrolments, run).await?;
        let definition = environment.jobs.of(lost.verb).clone();
        let (leg, stack) = (run.leg().kind(), lost.stack.clone());
        let started = match lost.verb {
            Verb::Validate => Transition::ValidationStarted(stack.clone(), attempt),
            Verb::Plan => Transition::PlanStarted(leg, stack.clone(), attempt),
            Verb::Apply => Transition::ApplyStarted(leg, stack.clone(), attempt),
        };
        self.announcer.announce(run, started).await;
        Ok(LostJobEnd::Replaced(StackJob {
            stack,
            job,
            definition,
        }))
    }

    /// Writes the replacement of a job and its number. Returns none if the job is not replaced.
    async fn start_again(&self, lost: LostJob<'_>, now: Timestamp) -> Result<Option<(JobId, u32)>> {
        let waits = matches!(
            lost.run.stack(lost.stack)?.state(),
            StackState::Validating { .. }
                | StackState::Planning { .. }
                | StackState::Applying { .. }
        );
        if !waits || lost.error.is_some_and(CaughtError::is_timeout) {
            return Ok(None);
        }
        let owned = match environments::owned(self.table, lost.run).await {
            Ok(owned) => owned,
            Err(error) if error.name == ErrorName::LockLost => return Ok(None),
            Err(error) => return Err(error),
        };
        let spec = spec(lost.run, &owned, lost.stack, lost.verb, self.states)?;
        let (next, key, bytes) = spec.sealed()?;
        self.objects.put(&key, bytes).await?;
        update_run(self.table, lost.run.id(), |run| {
            Ok(run.start_again(lost.stack, lost.job, next.clone(), spec.attempt, now)?)
        })
        .await
    }
}

/// Terminates every job with this name that has not ended. Returns the jobs once all have ended.
///
/// # Errors
/// Fails with `JobEnding` while a job has not ended yet, and with Batch's transient errors. A
/// permanent error is logged and returns no jobs, so that a lost job cannot block the rollback.
async fn end(batch: &dyn BatchJobs, name: &JobId) -> Result<Vec<BatchJob>> {
    let jobs = match terminate_open(batch, name).await {
        Err(error) if error.name.class() == ErrorClass::Permanent => {
            tracing::error!(job = %name, %error, "Batch does not say what became of the job");
            return Ok(Vec::new());
        }
        jobs => jobs?,
    };
    all_ended(name, &jobs)?;
    Ok(jobs)
}

/// Terminates the jobs with this name that have not ended. Returns all jobs as they were found.
///
/// # Errors
/// Fails when Batch cannot be called.
pub async fn terminate_open(batch: &dyn BatchJobs, name: &JobId) -> Result<Vec<BatchJob>> {
    let jobs = batch.find(name).await?;
    for open in jobs.iter().filter(|job| job.progress == JobProgress::Open) {
        tracing::warn!(job = %name, id = open.id, description = open.description, "ended: {ORPHANED}");
        batch.terminate(&open.id, ORPHANED).await?;
    }
    Ok(jobs)
}

/// Ends the jobs of a run whose execution does nothing more, so that none of them can change anything
/// any more. A job that never started cannot start after this call, whatever Batch does with it, and its
/// stack is recorded as not changed. Returns the run.
///
/// # Errors
/// Fails with `JobEnding` while a job that started has not ended, and when the table, the bucket or Batch
/// cannot be called. A repeated call continues.
pub async fn end_all(
    table: &dyn Table,
    objects: &dyn Objects,
    batch: &dyn BatchJobs,
    run: &Run,
    now: Timestamp,
) -> Result<Run> {
    let (mut never_started, mut problem) = (Vec::new(), None);
    for job in awaited_jobs(run) {
        let side_effects = side_effects_of_lost(objects, run, job).await?;
        let terminated = terminate_open(batch, job).await;
        if side_effects == SideEffects::None {
            if let Err(error) = terminated {
                tracing::warn!(run = %run.id(), %job, %error, "a job that cannot start is still in Batch");
            }
            never_started.push(job.clone());
            continue;
        }
        let ended = terminated.and_then(|jobs| all_ended(job, &jobs));
        if let Err(error) = ended {
            problem.get_or_insert(error);
        }
    }
    let run = if never_started.is_empty() {
        run.clone()
    } else {
        update_run(table, run.id(), |run| {
            if !run.is_ended() {
                run.never_started(&never_started, now)?;
            }
            Ok(run.clone())
        })
        .await?
    };
    problem.map_or(Ok(run), Err)
}

/// Fails with `JobEnding` if one of the jobs has not ended.
fn all_ended(name: &JobId, jobs: &[BatchJob]) -> Result<()> {
    match jobs.iter().find(|job| job.progress == JobProgress::Open) {
        None => Ok(()),
        Some(open) => Err(JobError::StillOpen {
            job: name.clone(),
            description: open.description.clone(),
        }
        .into()),
    }
}

/// Returns the jobs of a run that have not ended.
///
/// # Errors
/// Fails when Batch cannot be called.
pub async fn open(batch: &dyn BatchJobs, run: &Run) -> Result<Vec<JobId>> {
    let mut open = Vec::new();
    for job in awaited_jobs(run) {
        let found = batch.find(job).await?;
        if found.iter().any(|job| job.progress == JobProgress::Open) {
            open.push(job.clone());
        }
    }
    Ok(open)
}

/// Returns the error with the first diagnostics added to its message.
#[must_use]
pub fn with_diagnostics(error: &StepError, diagnostics: &[String]) -> StepError {
    let shown = diagnostics
        .iter()
        .take(SHOWN)
        .filter(|line| !error.message.contains(*line));
    let lines: Vec<&str> = std::iter::once(error.message.as_str())
        .chain(shown.map(String::as_str))
        .collect();
    StepError::new(error.name, lines.join("\n"))
}
