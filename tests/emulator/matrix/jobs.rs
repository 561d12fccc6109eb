//! Checks of the Batch jobs, from Batch's own data instead of the runs' records.

use anyhow::{Context as _, ensure};
use domain::env_vars;
use domain::ids::{EnvironmentName, JobId, RepositoryKey, RunId};
use domain::job::{JobOutcome, JobResult, JobSpec, Verb};
use domain::keys::{JobFile, RunObjects};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use story::Harness;

/// A job in `DescribeJobs`. Times are milliseconds since 1970.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    job_name: String,
    started_at: Option<i64>,
    stopped_at: Option<i64>,
    container: Container,
}

#[derive(Debug, Clone, Deserialize)]
struct Container {
    command: Vec<String>,
    environment: Vec<Variable>,
}

/// A variable of the job definition.
#[derive(Debug, Clone, Deserialize)]
struct Variable {
    name: String,
    value: String,
}

const DONE: [&str; 2] = ["SUCCEEDED", "FAILED"];
const UNDER_WAY: [&str; 5] = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"];

/// Checks invariants 1, 2 and 8 for all jobs since the local run began, and that no job is running.
/// Jobs must have started twice in exactly the `repeated` runs, where Step Functions repeated the request.
/// Returns the number of applies.
pub(super) async fn check(harness: &Harness, repeated: &BTreeSet<RunId>) -> anyhow::Result<usize> {
    for queue in queues(harness).await? {
        for status in UNDER_WAY {
            let jobs = list(harness, &queue, status).await?;
            ensure!(jobs.is_empty(), "{jobs:?} are {status} after their run");
        }
    }
    let (mut names, mut twice) = (BTreeSet::new(), BTreeSet::new());
    let (mut plans, mut applies) = (BTreeMap::new(), Vec::new());
    for job in done(harness).await? {
        let (id, record) = record(harness, &job).await?;
        if !names.insert(job.job_name.clone()) {
            ensure!(
                repeated.contains(&record.run),
                "job {} was started twice",
                job.job_name
            );
            // The second job waited for the first and did nothing itself.
            twice.insert(record.run);
            continue;
        }
        match record.verb {
            Verb::Plan => {
                let objects = record.objects();
                let result = objects.job(&id, JobFile::Result);
                plans.insert(objects.job(&id, JobFile::Plan), (record, result));
            }
            Verb::Validate => {}
            Verb::Apply => applies.push((job, record)),
        }
    }
    ensure!(
        &twice == repeated,
        "expected jobs that were started twice in {repeated:?}, found some in {twice:?}"
    );
    each_from_a_plan_of_its_own(harness, &applies, &plans).await?;
    one_at_a_time(&applies)?;
    one_each_way(&applies)?;
    Ok(applies.len())
}

/// Returns when a run's jobs started and stopped, by verb and stack.
pub(super) async fn spans(
    harness: &Harness,
    run: &RunId,
) -> anyhow::Result<BTreeMap<(&'static str, String), (i64, i64)>> {
    let mut spans = BTreeMap::new();
    for job in done(harness).await? {
        let (_, record) = record(harness, &job).await?;
        if let (true, Some(from), Some(to)) = (record.run == *run, job.started_at, job.stopped_at) {
            let known = spans.insert((record.verb.as_str(), record.stack.to_string()), (from, to));
            ensure!(
                known.is_none(),
                "run {run} has another job like {}",
                job.job_name
            );
        }
    }
    Ok(spans)
}

/// A run applies a stack at most once in each leg.
fn one_each_way(applies: &[(Job, JobSpec)]) -> anyhow::Result<()> {
    let mut ways = BTreeSet::new();
    for (job, record) in applies {
        let way = (
            record.run.clone(),
            record.stack.clone(),
            record.commit.clone(),
        );
        ensure!(
            ways.insert(way),
            "{} is a second apply of stack {} at commit {} in run {}",
            job.job_name,
            record.stack,
            record.commit,
            record.run
        );
    }
    Ok(())
}

/// Each apply used a plan that no other apply used, of the same repository, commit and stack, with the
/// digest and the state serial in the result of the plan's job. `plans` has, by the plan's key, the
/// job's specification and the key of its result.
async fn each_from_a_plan_of_its_own(
    harness: &Harness,
    applies: &[(Job, JobSpec)],
    plans: &BTreeMap<String, (JobSpec, String)>,
) -> anyhow::Result<()> {
    let mut used = BTreeSet::new();
    for (job, apply) in applies {
        let name = &job.job_name;
        let sealed = apply.plan.as_ref();
        let sealed = sealed.with_context(|| format!("{name} has no sealed plan"))?;
        let key = &sealed.file.key;
        ensure!(used.insert(key), "plan {key} was used twice");
        let (plan, result) = plans
            .get(key)
            .with_context(|| format!("{name} used {key}, which no plan job made"))?;
        let same = plan.repository_key == apply.repository_key
            && plan.commit == apply.commit
            && plan.environment == apply.environment
            && plan.stack == apply.stack
            && plan.source == apply.source;
        ensure!(same, "{name} used {key}, a plan of something else");
        let artifacts = &harness.local.installed.buckets.artifacts;
        let said = harness.object(artifacts, result).await?;
        let said = said.with_context(|| format!("{result} is missing"))?;
        let said: JobResult = serde_json::from_slice(&said)?;
        let JobOutcome::Planned {
            plan,
            state,
            dependencies,
            ..
        } = said.outcome
        else {
            anyhow::bail!("{name} used {key}, whose job ended with {:?}", said.outcome);
        };
        ensure!(
            plan == sealed.file && state == sealed.state && dependencies == sealed.dependencies,
            "{name} was given {sealed:?}, its plan is {plan:?} of {state:?} with {dependencies:?}"
        );
    }
    Ok(())
}

/// At most one apply of a stack runs at any time.
fn one_at_a_time(applies: &[(Job, JobSpec)]) -> anyhow::Result<()> {
    let mut spans: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for (job, record) in applies {
        let stack = format!("{}/{}", record.environment, record.stack);
        // A job that ended before it started changed nothing.
        if let (Some(from), Some(to)) = (job.started_at, job.stopped_at) {
            spans.entry(stack).or_default().push((from, to));
        }
    }
    for (stack, mut spans) in spans {
        spans.sort_unstable();
        for (earlier, later) in spans.iter().zip(spans.iter().skip(1)) {
            ensure!(
                earlier.1 <= later.0,
                "two applies of {stack} ran at once: {earlier:?} and {later:?}"
            );
        }
    }
    Ok(())
}

/// Returns the sealed job spec that a job received.
async fn record(harness: &Harness, job: &Job) -> anyhow::Result<(JobId, JobSpec)> {
    let command = &job.container.command;
    let run = command
        .iter()
        .skip_while(|word| *word != "--run")
        .nth(1)
        .with_context(|| format!("job {} names no run: {command:?}", job.job_name))?;
    let id = JobId::parse(&job.job_name)?;
    let variable = |name: &str| {
        let mut variables = job.container.environment.iter();
        let found = variables.find(|one| one.name == name);
        found.with_context(|| format!("job {} has no {name}", job.job_name))
    };
    let repository = RepositoryKey::parse(&variable(env_vars::REPOSITORY)?.value)?;
    let environment = EnvironmentName::parse(&variable(env_vars::ENVIRONMENT)?.value)?;
    let objects = RunObjects::new(repository, environment, RunId::parse(run)?);
    let key = objects.job(&id, JobFile::Spec);
    let bytes = harness
        .object(&harness.local.installed.buckets.artifacts, &key)
        .await?
        .with_context(|| format!("{key} is missing"))?;
    ensure!(id.seals(&bytes), "{key} is not what job {id} was made from");
    Ok((id, serde_json::from_slice(&bytes)?))
}

async fn queues(harness: &Harness) -> anyhow::Result<Vec<String>> {
    let query = ["--query", "jobQueues[].jobQueueName"];
    let said = harness
        .aws(&[&["batch", "describe-job-queues"], &query[..]].concat())
        .await?;
    let queues: Vec<String> = serde_json::from_str(&said)?;
    ensure!(
        queues.len() == 2,
        "expected two job queues, found {queues:?}"
    );
    Ok(queues)
}

/// Returns all ended jobs.
async fn done(harness: &Harness) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for queue in queues(harness).await? {
        for status in DONE {
            let ids = list(harness, &queue, status).await?;
            jobs.extend(describe(harness, &ids).await?);
        }
    }
    Ok(jobs)
}

/// Returns the ids of a queue's jobs.
async fn list(harness: &Harness, queue: &str, status: &str) -> anyhow::Result<Vec<String>> {
    let args = [
        "batch",
        "list-jobs",
        "--job-queue",
        queue,
        "--job-status",
        status,
        "--query",
        "jobSummaryList[].jobId",
    ];
    Ok(serde_json::from_str(&harness.aws(&args).await?)?)
}

async fn describe(harness: &Harness, ids: &[String]) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    // DescribeJobs accepts at most 100 ids.
    for ids in ids.chunks(100) {
        let mut args = vec!["batch", "describe-jobs", "--query", "jobs", "--jobs"];
        args.extend(ids.iter().map(String::as_str));
        let some: Vec<Job> = serde_json::from_str(&harness.aws(&args).await?)?;
        ensure!(some.len() == ids.len(), "Batch forgot some of {ids:?}");
        jobs.extend(some);
    }
    Ok(jobs)
}
