//! Searches everything that a delivery wrote for the local run's secrets.

use crate::Harness;
use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::json;
use std::io::Read as _;
use std::path::Path;

/// A secret that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The place: a log group, an object, an execution.
    pub place: String,
    /// The name of the secret.
    pub secret: &'static str,
}

/// The result of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// The leaks.
    pub leaks: Vec<Leak>,
    /// The number of places where [`SENSITIVE`] is allowed and was found.
    pub kept: usize,
    /// The number of places that contain [`REDACTED`] instead.
    pub redacted: usize,
    /// The number of searched places.
    pub places: usize,
    /// The number of searched bytes.
    pub bytes: usize,
}

/// The sensitive output of a stack of `examples/fixture`, which another stack prints.
pub const SENSITIVE: &str = "canary-9f31c07ab24e";

/// The text that the other stack's log contains instead.
pub const REDACTED: &str = "the password is [redacted]";

/// The name suffixes of the objects that jobs pass to each other, which may contain a stack's own
/// secrets. The sources may contain those of the repository.
const CLEAR: [&str; 4] = [
    "/plan.tfplan",
    "/plan.json",
    "/outputs.json",
    "/errored.tfstate",
];

/// The option that leaves out the Lambdas' programs, which the installation uploads to the artifacts
/// bucket.
const PROGRAMS: [&str; 2] = ["--exclude", "functions/*"];

/// The number of concurrent calls.
const AT_ONCE: usize = 4;

/// The maximum number of receive calls for one queue.
const RECEIVES: usize = 500;

impl Sweep {
    fn look(&mut self, harness: &Harness, place: &str, bytes: &[u8]) {
        self.look_for_ours(harness, place, bytes);
        self.look_for("sensitive output", SENSITIVE, place, bytes);
        self.redacted += usize::from(contains(bytes, REDACTED.as_bytes()));
    }

    /// Searches a place that may contain a delivered stack's own secrets.
    fn look_inside(&mut self, harness: &Harness, place: &str, bytes: &[u8]) {
        self.look_for_ours(harness, place, bytes);
        let kept = place.ends_with("/outputs.json") && contains(bytes, SENSITIVE.as_bytes());
        self.kept += usize::from(kept);
    }

    fn look_for_ours(&mut self, harness: &Harness, place: &str, bytes: &[u8]) {
        self.places += 1;
        self.bytes += bytes.len();
        let secrets = &harness.local.secrets;
        self.look_for("webhook", &secrets.webhook, place, bytes);
        self.look_for("token", &secrets.token, place, bytes);
    }

    fn look_for(&mut self, secret: &'static str, value: &str, place: &str, bytes: &[u8]) {
        if contains(bytes, value.as_bytes()) {
            self.leaks.push(Leak {
                place: place.to_owned(),
                secret,
            });
        }
    }
}

/// Searches every log, message, queue, object, item, execution and audit entry. Empties the queues,
/// because in a FIFO queue the next message is available only after the previous one is deleted.
///
/// Only the Lambdas' programs in the artifacts bucket are left out: 600 MB that were built before the
/// secrets existed.
///
/// # Errors
/// When a place cannot be read. No other place is skipped.
pub async fn sweep(harness: &Harness, audit_clone: Option<&Path>) -> anyhow::Result<Sweep> {
    let local = &harness.local;
    let mut sweep = Sweep::default();
    for url in queues(harness).await? {
        let place = format!("queue {}", name_of(&url));
        for messages in drain(harness, &url).await? {
            sweep.look(harness, &place, messages.as_bytes());
        }
    }
    for group in harness.log_groups().await? {
        let lines = harness
            .aws(&["logs", "filter-log-events", "--log-group-name", &group])
            .await?;
        sweep.look(harness, &format!("log group {group}"), lines.as_bytes());
    }
    let tables = ["dynamodb", "list-tables", "--query", "TableNames"];
    let tables = list(&harness.aws(&tables).await?)?;
    let own = &local.installed.table_name;
    ensure!(tables.contains(own), "table {own} is not among {tables:?}");
    for table in tables {
        let scan = ["dynamodb", "scan", "--table-name", &table];
        let items = harness.aws(&scan).await?;
        sweep.look(harness, &format!("table {table}"), items.as_bytes());
    }
    for (place, said) in executions(harness).await? {
        sweep.look(harness, &place, said.as_bytes());
    }
    let buckets = &local.installed.buckets;
    for bucket in [
        &buckets.artifacts,
        &buckets.audit,
        &buckets.state,
        &buckets.access_logs,
    ] {
        let copy = local.dir.join("sweep").join(bucket);
        let (from, to) = (format!("s3://{bucket}"), copy.display().to_string());
        let sync = ["s3", "sync", "--quiet", &from, &to];
        let is_artifacts = bucket == &buckets.artifacts;
        let exclude: &[&str] = if is_artifacts { &PROGRAMS } else { &[] };
        harness.aws(&[&sync, exclude].concat()).await?;
        files(&copy, &mut |file, bytes| {
            let place = format!("{bucket}/{}", file.display());
            let inside = bucket == &buckets.state || in_the_clear(&copy, file);
            if inside {
                sweep.look_inside(harness, &place, bytes);
            } else {
                sweep.look(harness, &place, bytes);
            }
        })?;
    }
    if let Some(clone) = audit_clone {
        let mut git = tokio::process::Command::new("git");
        git.arg("-C")
            .arg(clone)
            .args(["log", "-p", "--format=fuller", "origin/sluicegate/audit"]);
        let log = fakes::process::output(&mut git).await?;
        ensure!(
            log.status.success(),
            "git log of the audit branch: {}",
            log.status
        );
        sweep.look(harness, "audit branch", &log.stdout);
    }
    // Last, so that it includes what the reader received while the queues were searched.
    let place = format!("queue {}", name_of(&local.installed.status_queue_url));
    for message in harness.messages() {
        sweep.look(harness, &place, message.as_bytes());
    }
    Ok(sweep)
}

/// Returns the URLs of all queues of the local run, including dead-letter queues.
///
/// # Errors
/// When one of Sluicegate's queues is missing.
pub async fn queues(harness: &Harness) -> anyhow::Result<Vec<String>> {
    let said = harness
        .aws(&["sqs", "list-queues", "--query", "QueueUrls"])
        .await?;
    let urls = list(&said)?;
    let names: Vec<&str> = urls.iter().map(|url| name_of(url)).collect();
    let installed = &harness.local.installed;
    let known = [
        &installed.status_queue_url,
        &installed.events_lost_queue_url,
    ];
    for name in known.map(|url| name_of(url)) {
        ensure!(names.contains(&name), "queue {name} is not among {names:?}");
    }
    ensure!(
        names.iter().any(|name| name.contains(STATUS_UNREAD)),
        "no {STATUS_UNREAD} is among the queues {names:?}"
    );
    Ok(urls)
}

/// Part of the name of the queue for unread status messages.
pub const STATUS_UNREAD: &str = "status-unread";

/// Returns a queue's name, the last part of its URL.
#[must_use]
pub fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// Returns every message of a queue with its attributes, in batches of at most ten, and deletes them.
async fn drain(harness: &Harness, url: &str) -> anyhow::Result<Vec<String>> {
    let receive = [
        "sqs",
        "receive-message",
        "--queue-url",
        url,
        "--max-number-of-messages",
        "10",
        "--wait-time-seconds",
        "1",
        "--attribute-names",
        "All",
        "--message-attribute-names",
        "All",
    ];
    let mut read = Vec::new();
    for _ in 0..RECEIVES {
        let said = harness.aws(&receive).await?;
        if said.trim().is_empty() {
            return Ok(read);
        }
        let batch: Batch = serde_json::from_str(&said)
            .with_context(|| format!("not messages of {url}: {said}"))?;
        if batch.messages.is_empty() {
            return Ok(read);
        }
        let entries: Vec<_> = batch
            .messages
            .iter()
            .enumerate()
            .map(|(i, message)| json!({ "Id": i.to_string(), "ReceiptHandle": message.receipt }))
            .collect();
        let entries = serde_json::Value::from(entries).to_string();
        let delete = ["sqs", "delete-message-batch", "--queue-url", url];
        harness
            .aws(&[&delete[..], &["--entries", &entries]].concat())
            .await?;
        read.push(said);
    }
    bail!("queue {url} still had messages after it was asked {RECEIVES} times")
}

/// Messages in the output of the AWS CLI.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Messages", default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "ReceiptHandle")]
    receipt: String,
}

/// Returns the description and history of every execution.
async fn executions(harness: &Harness) -> anyhow::Result<Vec<(String, String)>> {
    let ask = |(question, arn): (&'static str, String)| async move {
        let said = harness
            .aws(&["stepfunctions", question, "--execution-arn", &arn])
            .await?;
        anyhow::Ok((format!("{question} {arn}"), said))
    };
    let arns = harness.executions().await?;
    let questions = arns.into_iter().flat_map(|arn| {
        ["describe-execution", "get-execution-history"].map(|question| (question, arn.clone()))
    });
    futures::stream::iter(questions)
        .map(ask)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Parses a list of names in the output of the AWS CLI.
///
/// # Errors
/// When it is not a list of texts.
pub fn list(text: &str) -> anyhow::Result<Vec<String>> {
    serde_json::from_str(text).with_context(|| format!("not a list of names: {text}"))
}

fn contains(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// Returns whether a copied object may contain a stack's own secrets, including members of an archive.
fn in_the_clear(copy: &Path, file: &Path) -> bool {
    let key = file
        .strip_prefix(copy)
        .unwrap_or(file)
        .display()
        .to_string();
    key.starts_with("sources/") || CLEAR.iter().any(|name| key.contains(name))
}

/// Visits every file below a directory, and the members of each archive (a source, a plan file).
fn files(dir: &Path, look: &mut impl FnMut(&Path, &[u8])) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, look)?;
            continue;
        }
        let bytes = std::fs::read(&path)?;
        look(&path, &bytes);
        if bytes.starts_with(b"PK\x03\x04") {
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes))?;
            for i in 0..archive.len() {
                let mut member = archive.by_index(i)?;
                let mut inside = Vec::new();
                member.read_to_end(&mut inside)?;
                look(&path.join(member.name()), &inside);
            }
        }
    }
    Ok(())
}
