//! `sluicegate logs`

use crate::args::Logs;
use crate::failure::Outcome;
use crate::output::Output;
use crate::pipeline::{Pipeline, StreamLine};
use crate::text;
use domain::build::BuildKind;
use domain::ids::{RepositoryKey, StackName};
use domain::run::{Build, Run};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::str::FromStr as _;

/// How long after the end of a run its log lines may still arrive.
const LATE: jiff::SignedDuration = jiff::SignedDuration::from_secs(120);

/// A line of a run's logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    /// The component that wrote it: a job, `test` or `image` of a build, or the step of a Lambda.
    source: String,
    /// The time; empty if the line has none.
    at: String,
    /// The text.
    text: String,
}

/// A line of a job's log, as the runner writes it.
#[derive(Debug, Deserialize)]
struct Message {
    #[serde(rename = "@message")]
    message: String,
    #[serde(rename = "@timestamp", default)]
    at: String,
    diagnostic: Option<Diagnostic>,
}

#[derive(Debug, Deserialize)]
struct Diagnostic {
    #[serde(default)]
    detail: String,
    range: Option<Value>,
}

/// Shows the logs of a run: first its jobs, then the lines of the other log groups that belong to
/// it.
///
/// # Errors
/// Fails if the run or the stack does not exist, and with the errors of the bucket, of CloudWatch
/// Logs and of the output.
pub async fn logs(pipeline: &Pipeline, args: &Logs, out: &mut Output<'_>) -> Outcome {
    let run = super::run(&*pipeline.table, &args.run).await?;
    let stack = match &args.stack {
        Some(name) => Some(super::stack_of(&run, name)?.name().clone()),
        None => None,
    };
    let mut lines = jobs(pipeline, &run, stack.as_ref()).await?;
    if stack.is_none() || lines.is_empty() {
        for (source, group) in &pipeline.log_groups {
            // For one stack, only the output of its jobs is relevant.
            let build = build_of(source);
            let wanted = match (source.as_str(), build) {
                ("network" | "state_machine", _) => false,
                ("jobs", _) => lines.is_empty(),
                (_, Some((repository, _))) => {
                    stack.is_none() && repository == run.trigger().repository_key()
                }
                _ => stack.is_none(),
            };
            if wanted {
                let name = build.map_or(source.as_str(), |(_, kind)| kind);
                lines.extend(stream(pipeline, &run, name, group).await?);
            }
        }
        if pipeline.log_groups.is_empty() {
            out.warn("the log groups are not known: pass --settings to see build and Lambda logs")?;
        }
    }
    if out.json {
        return out.value(&lines);
    }
    if lines.is_empty() {
        return out.text(&nothing(&run, stack.as_ref()));
    }
    let mut source = "";
    for line in &lines {
        if line.source != source {
            source = &line.source;
            out.text(&format!("== {source}\n"))?;
        }
        out.text(&format!("{:<20}  {}\n", line.at, line.text))?;
    }
    Ok(())
}

/// Returns the repository and the kind of the builds whose log group has this name, such as
/// `build-github-42-test`, or none for other log groups.
fn build_of(source: &str) -> Option<(RepositoryKey, &'static str)> {
    let (repository, kind) = source.strip_prefix("build-")?.rsplit_once('-')?;
    let mut kinds = BuildKind::ALL.iter().map(|kind| kind.as_str());
    let kind = kinds.find(|known| *known == kind)?;
    Some((RepositoryKey::parse(repository).ok()?, kind))
}

/// Returns why there is no log, in one line.
fn nothing(run: &Run, stack: Option<&StackName>) -> String {
    if !run.is_ended() {
        return "no logs yet\n".to_owned();
    }
    let states = run.legs().flat_map(domain::run::Leg::stacks);
    let last = states
        .filter(|one| Some(one.name()) == stack)
        .last()
        .filter(|one| one.jobs() == 0);
    match last {
        Some(last) => format!(
            "no logs: stack {} had no job in this run ({})\n",
            last.name(),
            text::stack_state(last)
        ),
        None => "no logs: they have expired, or the run ended before its first job\n".to_owned(),
    }
}

/// Returns the logs of the jobs of a run, ordered by the time of their first line.
async fn jobs(pipeline: &Pipeline, run: &Run, stack: Option<&StackName>) -> Outcome<Vec<Line>> {
    let mut jobs: Vec<Vec<Line>> = Vec::new();
    // A run that was not accepted has no jobs.
    let Ok(objects) = run.objects() else {
        return Ok(Vec::new());
    };
    for key in pipeline.artifacts.list(&objects.jobs()).await? {
        let Some(job) = objects.job_of_log(&key) else {
            continue;
        };
        if stack.is_some_and(|stack| job.stack().as_ref() != Some(stack)) {
            continue;
        }
        let job = job.as_str();
        let bytes = pipeline.artifacts.get(&key).await?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        jobs.push(text.lines().flat_map(|line| of_job(job, line)).collect());
    }
    jobs.sort_by(|a, b| {
        let first = |lines: &[Line]| lines.first().map(|line| line.at.clone());
        first(a).cmp(&first(b))
    });
    Ok(jobs.into_iter().flatten().collect())
}

fn of_job(job: &str, line: &str) -> Vec<Line> {
    let plain = |at: &str, words: &str| Line {
        source: job.to_owned(),
        at: at.to_owned(),
        text: domain::text::inert(words),
    };
    let Ok(message) = serde_json::from_str::<Message>(line) else {
        return vec![plain("", line)];
    };
    // Terraform writes its times with microseconds and an offset.
    let at = jiff::Timestamp::from_str(&message.at).map(text::time);
    let at = at.unwrap_or_default();
    let mut lines = vec![plain(&at, &message.message)];
    if let Some(diagnostic) = message.diagnostic {
        if let Some(place) = diagnostic.range.as_ref().and_then(place) {
            lines.push(plain(&at, &format!("  on {place}")));
        }
        let detail = diagnostic.detail.lines().filter(|line| !line.is_empty());
        lines.extend(detail.map(|line| plain(&at, &format!("  {line}"))));
    }
    lines
}

fn place(range: &Value) -> Option<String> {
    let file = range.get("filename")?.as_str()?;
    let line = range.pointer("/start/line")?.as_u64()?;
    Some(format!("{file}:{line}"))
}

/// Returns the lines of a log group that belong to the run. A line belongs to it if it names the
/// run. A build or a Batch job has its own stream; the whole stream belongs to the run if a line of it
/// names the run, or if it is that of the build that the run recorded.
async fn stream(pipeline: &Pipeline, run: &Run, source: &str, group: &str) -> Outcome<Vec<Line>> {
    let lines = pipeline.logs.read(group, run.started_at()).await?;
    let end = run.end().map(|end| end.at);
    let until = end.and_then(|end| end.saturating_add(LATE).ok());
    let names = |line: &StreamLine| line.text.contains(run.id().as_str());
    let mut streams: BTreeSet<String> = lines
        .iter()
        .filter(|line| matches!(source, "test" | "image" | "jobs") && names(line))
        .map(|line| line.stream.clone())
        .collect();
    if let Build::Failed {
        build: Some(build), ..
    } = run.build()
    {
        streams.insert(build.log_stream().to_owned());
    }
    Ok(lines
        .iter()
        .filter(|line| until.is_none_or(|until| line.at <= until))
        .filter(|line| names(line) || streams.contains(&line.stream))
        .map(|line| Line {
            source: source.to_owned(),
            at: text::time(line.at),
            text: domain::text::inert(&line.text),
        })
        .collect())
}
