//! Sluicegate's side: a push, and what is known about its run afterwards.

use super::history::{History, Visit};
use super::sample::{ENVIRONMENT, STACKS};
use crate::{Ended, Harness};
use anyhow::{Context as _, ensure};
use domain::ids::{CommitId, RunId};
use domain::run::Outcome;
use engine::{Clock as _, SystemClock};
use jiff::Timestamp;
use local_run::Sample;
use serde::Deserialize;

/// The message of a job whose commands share one provider process.
const SHARED: &str = "runs for all commands";

/// A measured delivery.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Seconds from the request with the webhook to the end of the run in its record.
    pub seconds: f64,
    /// Seconds from the request to the start of the execution.
    pub start_seconds: f64,
    /// The state transitions of the execution.
    pub transitions: usize,
    /// The visited states.
    pub visits: Vec<Visit>,
    /// The Terraform jobs in order.
    pub jobs: Vec<Job>,
    /// The judged plan of each stack, as `terraform show -json` printed it. Empty without jobs.
    pub plans: Vec<Vec<u8>>,
    /// The state file of each stack after the run.
    pub states: Vec<Vec<u8>>,
}

/// A Terraform job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    /// The verb and the stack: `plan data`.
    pub name: String,
    /// How long the runner ran, in seconds.
    pub seconds: f64,
    /// The runner's steps, in seconds.
    pub phases: Vec<(String, f64)>,
    /// Whether the commands shared one provider process.
    pub shared_provider: bool,
}

/// A line of a job's log.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "@message")]
    message: String,
    #[serde(rename = "@timestamp")]
    at: Timestamp,
    #[serde(rename = "type", default)]
    kind: String,
}

/// The measured part of a job's result.
#[derive(Deserialize)]
struct JobEnd {
    duration_ms: u64,
}

/// Pushes a commit, waits for its run, and reads what the run left.
///
/// # Errors
/// When the run does not end with the expected outcome.
pub(super) async fn deliver(
    harness: &Harness,
    sample: &Sample,
    commit: &CommitId,
    outcome: Outcome,
) -> anyhow::Result<Delivery> {
    let sent = SystemClock.now();
    let ended = harness.deliver(sample, commit).await?;
    harness.expect(&ended, outcome)?;
    let end = ended.run.end().context("the run has no end")?;
    let seconds = end.at.duration_since(sent).as_secs_f64();
    let history = history(harness, &ended).await?;
    let started = history.started().context("the history has no event")?;
    let mut jobs = Vec::new();
    let mut plans = Vec::new();
    let names = job_ids(harness, ended.run.id()).await?;
    for (stack, _) in STACKS {
        for verb in ["plan", "apply"] {
            let prefix = format!("{verb}-{stack}-");
            for id in names.iter().filter(|name| name.starts_with(&prefix)) {
                let file = |file: &str| format!("runs/{}/jobs/{id}/{file}", ended.run.id());
                let log = artifact(harness, &file("log.jsonl")).await?;
                let end: JobEnd =
                    serde_json::from_slice(&artifact(harness, &file("result.json")).await?)?;
                let name = format!("{verb} {stack}");
                jobs.push(job(name, &String::from_utf8_lossy(&log), end.duration_ms));
                if verb == "plan" {
                    plans.push(artifact(harness, &file("plan.json")).await?);
                }
            }
        }
    }
    let mut states = Vec::new();
    for (stack, _) in STACKS {
        let key = format!("github-{}/{ENVIRONMENT}/{stack}.tfstate", sample.id);
        let state = harness
            .object(&harness.local.installed.buckets.state, &key)
            .await?;
        states.push(state.with_context(|| format!("stack {stack} has no state at {key}"))?);
    }
    Ok(Delivery {
        seconds,
        start_seconds: started - sent.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64(),
        transitions: history.transitions(),
        visits: history.visits(),
        jobs,
        plans,
        states,
    })
}

async fn history(harness: &Harness, ended: &Ended) -> anyhow::Result<History> {
    let arn = ended.run.execution();
    let said = harness
        .aws(&[
            "stepfunctions",
            "get-execution-history",
            "--execution-arn",
            arn,
        ])
        .await?;
    serde_json::from_str(&said).context("the history of the execution")
}

/// Returns the ids of a run's jobs, sorted.
async fn job_ids(harness: &Harness, run: &RunId) -> anyhow::Result<Vec<String>> {
    let prefix = format!("runs/{run}/jobs/");
    let said = harness
        .aws(&[
            "s3api",
            "list-objects-v2",
            "--bucket",
            &harness.local.installed.buckets.artifacts,
            "--prefix",
            &prefix,
            "--query",
            "Contents[].Key || `[]`",
        ])
        .await?;
    let keys: Vec<String> = serde_json::from_str(&said)?;
    let ids = keys
        .iter()
        .filter_map(|key| key.strip_prefix(&prefix)?.split('/').next());
    let mut ids: Vec<String> = ids.map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    Ok(ids)
}

async fn artifact(harness: &Harness, key: &str) -> anyhow::Result<Vec<u8>> {
    let bucket = &harness.local.installed.buckets.artifacts;
    let object = harness.object(bucket, key).await?;
    object.with_context(|| format!("there is no {key}"))
}

/// Reads a job's log. A step lasts until the next one; the last one also contains what the runner does
/// before its first step and after its last.
fn job(name: String, log: &str, duration_ms: u64) -> Job {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let steps: Vec<Line> = lines.filter(|line: &Line| line.kind == "step").collect();
    let seconds = std::time::Duration::from_millis(duration_ms).as_secs_f64();
    let mut phases: Vec<(String, f64)> = steps
        .iter()
        .zip(steps.iter().skip(1))
        .map(|(step, next)| {
            let lasted = next.at.duration_since(step.at).as_secs_f64();
            (phase(&step.message).to_owned(), lasted)
        })
        .collect();
    if let Some(last) = steps.last() {
        let before: f64 = phases.iter().map(|(_, seconds)| seconds).sum();
        let name = format!("{}, start and end", phase(&last.message));
        phases.push((name, seconds - before));
    }
    // Steps that only report take no time.
    phases.retain(|(name, _)| !name.is_empty());
    Job {
        name,
        seconds,
        phases,
        shared_provider: steps.iter().any(|step| step.message.contains(SHARED)),
    }
}

/// Returns a short name for a step of the runner; empty if the step only reports something.
fn phase(message: &str) -> &str {
    if message.contains(" stack ") {
        "source"
    } else if message.starts_with("terraform ")
        || message.contains(SHARED)
        || message.starts_with("each command ")
    {
        ""
    } else {
        message
    }
}

/// Checks that no job fell back to a provider start for each command.
///
/// # Errors
/// Names the jobs.
pub(super) fn shared_providers(jobs: &[Job]) -> anyhow::Result<()> {
    let cold: Vec<_> = jobs
        .iter()
        .filter(|job| !job.shared_provider)
        .map(|job| job.name.as_str())
        .collect();
    ensure!(
        cold.is_empty(),
        "the commands of these jobs started the provider one by one: {cold:?}; their logs say why"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_a_job_add_up_to_its_time() {
        let line = |at: &str, message: &str, kind: &str| {
            format!(
                "{{\"@level\":\"info\",\"@message\":\"{message}\",\"@timestamp\":\"2026-01-01T00:00:{at}Z\",\"type\":\"{kind}\"}}\n"
            )
        };
        let log = [
            line("00.0", "plan stack data of acme/bench at 0123", "step"),
            line("00.5", "terraform 1.11.4 on linux_amd64", "step"),
            line("00.5", "init", "step"),
            line("00.7", "Initializing the backend...", "init_output"),
            line(
                "02.5",
                "the AWS provider 5.100.0 runs for all commands (process 7)",
                "step",
            ),
            line("02.5", "plan", "step"),
            line("04.0", "show", "step"),
        ];
        let read = job("plan data".to_owned(), &log.concat(), 5_250);
        insta::assert_debug_snapshot!(read);
        assert!(shared_providers(std::slice::from_ref(&read)).is_ok());
        let sum: f64 = read.phases.iter().map(|(_, seconds)| seconds).sum();
        assert!((sum - read.seconds).abs() < 0.001);
    }
}
