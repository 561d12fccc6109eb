//! Drives a local run as a developer does, and reads its state.

use crate::Progress;
use anyhow::{Context as _, bail, ensure};
use aws::{Clients, Execution, ExecutionState, Executions, QueueReader};
use domain::environment::Environment;
use domain::event::{EVENT_SCHEMA, EventRepository, PushEvent, Trigger};
use domain::ids::{CommitId, EnvironmentName, RepositoryKey, RunId};
use domain::run::{Outcome, Run};
use engine::status::{self, StatusData};
use engine::{Objects, Table, documents};
use fakes::github::{self, Change};
use fakes::{http, process};
use local_run::{LocalRun, REGION, Sample};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The time limit for one run.
const RUN_LIMIT: Duration = Duration::from_secs(600);

/// A local run, with its clients and the messages of its status queue.
pub struct Harness {
    /// The local run.
    pub local: LocalRun,
    /// Where progress is printed.
    pub progress: Progress,
    /// Sluicegate's own table.
    pub table: Arc<dyn Table>,
    /// The audit bucket.
    pub audit: Arc<dyn Objects>,
    clients: Clients,
    messages: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

/// A page of `ListExecutions`.
#[derive(serde::Deserialize)]
struct Page {
    executions: Vec<Listed>,
    #[serde(rename = "nextToken")]
    next_token: Option<String>,
}

#[derive(serde::Deserialize)]
struct Listed {
    #[serde(rename = "executionArn")]
    arn: String,
    status: String,
}

/// A completed run.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The run's record.
    pub run: Run,
    /// The final status of its execution.
    pub state: ExecutionState,
    /// The error of its execution, if it failed.
    pub error: Option<String>,
    /// The cause of that error.
    pub cause: Option<String>,
}

impl Harness {
    /// Connects to a local run and starts to read its status queue. Prints each received message.
    pub async fn new(local: LocalRun, progress: Progress) -> Self {
        let clients = Clients::of_emulator(&local.endpoint, REGION).await;
        let messages = Arc::new(Mutex::new(Vec::new()));
        let reader = tokio::spawn(read_status(
            QueueReader::new(&clients, &local.installed.status_queue_url),
            Arc::clone(&messages),
            progress.clone(),
        ));
        Self {
            table: Arc::new(aws::DynamoTable::new(&clients, &local.installed.table_name)),
            audit: Arc::new(aws::Bucket::new(&clients, &local.installed.buckets.audit)),
            local,
            progress,
            clients,
            messages,
            reader,
        }
    }

    /// Returns every received status message.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns a sample repository of the local run, by `owner/name`.
    ///
    /// # Errors
    /// When the local run does not have this sample.
    pub fn sample(&self, full_name: &str) -> anyhow::Result<&Sample> {
        let found = self
            .local
            .samples
            .iter()
            .find(|sample| sample.full_name == full_name);
        found.with_context(|| format!("this local run has no repository {full_name}"))
    }

    /// Commits one-line changes to `main`: in each file, `from` is replaced with `to`.
    ///
    /// # Errors
    /// When a file does not contain `from`.
    pub async fn commit(
        &self,
        sample: &Sample,
        edits: &[(&str, &str, &str)],
        message: &str,
    ) -> anyhow::Result<CommitId> {
        let repository = github::Repository::open(&sample.bare);
        let mut changes = Vec::new();
        for (path, from, to) in edits {
            let text = repository.read("main", path).await?;
            ensure!(
                text.contains(from),
                "{path} does not hold {from:?}: the sample changed"
            );
            changes.push(Change {
                path: PathBuf::from(path),
                text: text.replacen(from, to, 1),
            });
        }
        let commit = repository.commit("main", &changes, message).await?;
        Ok(CommitId::parse(&commit)?)
    }

    /// Returns the commit of `main`.
    ///
    /// # Errors
    /// When git does not find it.
    pub async fn head(&self, sample: &Sample) -> anyhow::Result<CommitId> {
        let head = github::Repository::open(&sample.bare).head("main").await?;
        Ok(CommitId::parse(&head)?)
    }

    /// Posts the signed webhook of a push, and returns the response's status code.
    ///
    /// # Errors
    /// When the function URL does not respond.
    pub async fn push(
        &self,
        sample: &Sample,
        commit: &CommitId,
        delivery: &str,
    ) -> anyhow::Result<u16> {
        self.push_after(sample, None, commit, delivery).await
    }

    /// As [`Self::push`], with the previous commit of `main`.
    ///
    /// # Errors
    /// When the function URL does not respond.
    pub async fn push_after(
        &self,
        sample: &Sample,
        before: Option<&CommitId>,
        commit: &CommitId,
        delivery: &str,
    ) -> anyhow::Result<u16> {
        let push = github::Push {
            repository_id: sample.id,
            full_name: sample.full_name.clone(),
            branch: "main".into(),
            before: before.map(ToString::to_string),
            after: commit.to_string(),
            pusher: "octocat".into(),
        };
        let webhook = push.webhook(&self.local.secrets.webhook, delivery);
        let limit = Duration::from_secs(30);
        http::post(&self.local.webhook, webhook.headers, webhook.body, limit)
            .await
            .map(|answer| answer.status)
            .map_err(|error| anyhow::anyhow!("the webhook did not answer: {error}"))
    }

    /// Returns the id of the run that a push of this commit to `main` starts.
    ///
    /// # Errors
    /// Never for a sample's name.
    pub fn run_id(&self, sample: &Sample, commit: &CommitId) -> anyhow::Result<RunId> {
        self.run_id_after(sample, None, commit)
    }

    /// As [`Self::run_id`], with the previous commit of `main`.
    ///
    /// # Errors
    /// Never for a sample's name.
    pub fn run_id_after(
        &self,
        sample: &Sample,
        before: Option<&CommitId>,
        commit: &CommitId,
    ) -> anyhow::Result<RunId> {
        let trigger = Trigger::Push(PushEvent {
            schema: EVENT_SCHEMA,
            delivery: domain::ids::DeliveryId::parse(&uuid::Uuid::nil().to_string())?,
            repository: EventRepository {
                key: RepositoryKey::github(sample.id),
                full_name: domain::ids::RepositoryName::parse(&sample.full_name)?,
            },
            branch: domain::ids::BranchRef::parse("refs/heads/main")?,
            before: before.cloned(),
            after: commit.clone(),
            pushed_at: jiff::Timestamp::from_second(github::PUSHED_AT).ok(),
            pusher: "octocat".into(),
            received_at: jiff::Timestamp::UNIX_EPOCH,
        });
        Ok(trigger.run_id())
    }

    /// Pushes a commit and waits for the end of its run.
    ///
    /// # Errors
    /// When the webhook refuses the push, or the run does not end in time.
    pub async fn deliver(&self, sample: &Sample, commit: &CommitId) -> anyhow::Result<Ended> {
        let delivery = uuid::Uuid::new_v4().to_string();
        let status = self.push(sample, commit, &delivery).await?;
        ensure!(
            status == 202,
            "the webhook answered {status} to a good push"
        );
        self.ended(&self.run_id(sample, commit)?).await
    }

    /// Waits until a run's record exists.
    ///
    /// # Errors
    /// When it does not exist in time.
    pub async fn begun(&self, run: &RunId) -> anyhow::Result<Run> {
        self.until(run, "begin", |_| true).await
    }

    /// Waits until a run's record satisfies a condition.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until(
        &self,
        run: &RunId,
        what: &str,
        is: impl Fn(&Run) -> bool,
    ) -> anyhow::Result<Run> {
        let end = tokio::time::Instant::now() + RUN_LIMIT;
        loop {
            let found: Option<Run> =
                documents::load(&*self.table, &documents::run_key(run)).await?;
            if let Some(found) = found.filter(&is) {
                return Ok(found);
            }
            if tokio::time::Instant::now() >= end {
                bail!("run {run} did not {what} within {} s", RUN_LIMIT.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits for the end of a run: its audit entry is written and its execution has ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(&self, run: &RunId) -> anyhow::Result<Ended> {
        let over = |run: &Run| run.end().is_some_and(|end| end.audit_seq.is_some());
        let run = self.until(run, "end", over).await?;
        ensure!(
            run.execution().rsplit(':').next() == Some(run.id().as_str()),
            "run {} has the execution {}",
            run.id(),
            run.execution()
        );
        let executions = Executions::new(&self.clients, &self.local.installed.state_machine_arn);
        for _ in 0..300 {
            let execution = executions.describe(run.execution()).await?;
            let over = |execution: &Execution| execution.state != ExecutionState::Running;
            if let Some(execution) = execution.filter(over) {
                return Ok(Ended {
                    // Read again: the run is completed after its audit entry is written.
                    run: self.begun(run.id()).await?,
                    state: execution.state,
                    error: execution.error,
                    cause: execution.cause,
                });
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!(
            "execution {} is still RUNNING a minute after its run ended",
            run.execution()
        )
    }

    /// Returns the environment's record.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn environment(&self, sample: &Sample, name: &str) -> anyhow::Result<Environment> {
        let key = documents::environment_key(
            RepositoryKey::github(sample.id),
            &EnvironmentName::parse(name)?,
        );
        documents::load(&*self.table, &key)
            .await?
            .context("the environment has no record")
    }

    /// Returns the ARNs of all executions of the state machine.
    ///
    /// # Errors
    /// Errors of the emulator.
    pub async fn executions(&self) -> anyhow::Result<BTreeSet<String>> {
        let arn = &self.local.installed.state_machine_arn;
        Ok(self.listed(arn).await?.into_keys().collect())
    }

    /// Returns the number of running executions of the state machine.
    ///
    /// # Errors
    /// Errors of the emulator.
    pub async fn running(&self) -> anyhow::Result<usize> {
        let arn = &self.local.installed.state_machine_arn;
        let listed = self.listed(arn).await?;
        Ok(listed
            .values()
            .filter(|status| *status == "RUNNING")
            .count())
    }

    /// Returns the ARN and status of each execution of a state machine.
    async fn listed(&self, state_machine: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let mut listed = BTreeMap::new();
        let mut next: Option<String> = None;
        loop {
            let body = serde_json::json!({ "stateMachineArn": state_machine, "nextToken": next });
            let page: Page = self
                .call("states", "AWSStepFunctions.ListExecutions", &body)
                .await?;
            let executions = page.executions.into_iter();
            listed.extend(executions.map(|execution| (execution.arn, execution.status)));
            next = page.next_token;
            if next.is_none() {
                return Ok(listed);
            }
        }
    }

    /// Calls a JSON 1.1 API of the emulator. Faster than the AWS CLI, which takes a second to start.
    pub(crate) async fn call<T: serde::de::DeserializeOwned>(
        &self,
        service: &str,
        target: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<T> {
        let call = http::JsonCall {
            endpoint: &self.local.endpoint,
            region: REGION,
            service,
            target,
        };
        let answer = call.post(body, Duration::from_secs(10)).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("{target}: {error}"))?;
        serde_json::from_str(&answer.body).with_context(|| format!("{target} answered {answer:?}"))
    }

    /// Returns the parameters below a path in order, each as `name=value`. Uses the AWS CLI, because
    /// Sluicegate has no client for this service.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn parameters(&self, path: &str) -> anyhow::Result<Vec<String>> {
        let args = [
            "ssm",
            "get-parameters-by-path",
            "--recursive",
            "--path",
            path,
        ];
        let said = self.aws(&args).await?;
        let answer: serde_json::Value = serde_json::from_str(&said)?;
        let list = answer
            .get("Parameters")
            .and_then(serde_json::Value::as_array);
        let text = |value: Option<&serde_json::Value>| {
            value
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let mut found: Vec<String> = list
            .into_iter()
            .flatten()
            .map(|one| format!("{}={}", text(one.get("Name")), text(one.get("Value"))))
            .collect();
        found.sort();
        Ok(found)
    }

    /// Runs `sluicegate audit verify` in a clone, without AWS credentials.
    ///
    /// # Errors
    /// When the chain is broken.
    pub async fn verify_audit(&self, clone: &Path) -> anyhow::Result<String> {
        let clone = clone.display().to_string();
        let args = ["audit", "verify", "--repo", &clone];
        let mut command = tokio::process::Command::new(&self.local.tools.sluicegate);
        command.args(args).env_clear();
        finish(command, &args).await
    }

    /// Returns an object of a bucket.
    ///
    /// # Errors
    /// Errors of the emulator.
    pub async fn object(&self, bucket: &str, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(aws::Bucket::new(&self.clients, bucket).get(key).await?)
    }

    /// Runs the AWS CLI on this local run, for services for which Sluicegate has no client.
    ///
    /// # Errors
    /// When the command fails. The error contains its output.
    pub async fn aws(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = self.local.aws();
        command
            .args(["--endpoint-url", &self.local.endpoint, "--output", "json"])
            .args(args);
        finish(command, args).await
    }

    /// Runs `sluicegate` on this local run.
    ///
    /// # Errors
    /// When the command fails. The error contains its output.
    pub async fn sluicegate(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(&self.local.tools.sluicegate);
        command
            .args(args)
            .envs(self.local.environment())
            .envs(self.local.settings());
        finish(command, args).await
    }

    /// Checks the outcome of a run, and prints it.
    ///
    /// # Errors
    /// When the outcome differs. The error contains the run's first cause.
    pub fn expect(&self, ended: &Ended, outcome: Outcome) -> anyhow::Result<()> {
        let run = &ended.run;
        let cause = run
            .failure()
            .map_or_else(String::new, |f| format!("; {}", f.error));
        let found = run.outcome();
        let state = if outcome.is_success() {
            ExecutionState::Succeeded
        } else {
            ExecutionState::Failed
        };
        ensure!(
            found == outcome && ended.state == state,
            "run {} ended {:?}, {}; expected {state:?}, {}{cause}",
            run.id(),
            ended.state,
            found.as_str(),
            outcome.as_str()
        );
        self.progress.fact(&format!(
            "{}: {state:?}, {}{cause}",
            run.id(),
            outcome.as_str()
        ));
        Ok(())
    }

    /// Stops reading the status queue.
    pub fn end(self) {
        self.reader.abort();
    }
}

async fn read_status(queue: QueueReader, messages: Arc<Mutex<Vec<String>>>, progress: Progress) {
    loop {
        let Ok(batch) = queue.receive(2).await else {
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        };
        for message in batch {
            match status::parse(&message.body) {
                Ok(received) => progress.step(&line(&received.data)),
                Err(error) => {
                    progress.step(&format!("a status message that cannot be read: {error}"));
                }
            }
            // A message that is not deleted is delivered again, which readers must tolerate anyway.
            queue.delete(&message).await.ok();
            messages
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(message.body);
        }
    }
}

/// Formats a status message as one line.
fn line(data: &StatusData) -> String {
    let mut line = format!("{}  {}", data.run, data.transition.as_str());
    for part in [
        data.stack.as_ref().map(ToString::to_string),
        data.verdict.map(|verdict| verdict.as_str().to_owned()),
        data.outcome.map(|outcome| outcome.as_str().to_owned()),
    ]
    .into_iter()
    .flatten()
    {
        line.push_str("  ");
        line.push_str(&part);
    }
    line
}

async fn finish(mut command: tokio::process::Command, args: &[&str]) -> anyhow::Result<String> {
    let output = process::output(&mut command).await?;
    ensure!(
        output.status.success(),
        "`{}` ended with {}: {}{}",
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
