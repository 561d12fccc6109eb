//! Looks for the local run's secrets in everything that a delivery wrote.

use crate::Harness;
use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::json;
use std::io::Read as _;
use std::path::Path;

/// Where a secret was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The place: a log group, an object, an execution.
    pub place: String,
    /// Which secret.
    pub secret: &'static str,
}

/// What was looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// The leaks.
    pub leaks: Vec<Leak>,
    /// In how many jobs' outputs [`SENSITIVE`] lies, as it may.
    pub kept: usize,
    /// In how many places [`REDACTED`] stands in its place.
    pub redacted: usize,
    /// How many places were looked at.
    pub places: usize,
    /// How many bytes they had.
    pub bytes: usize,
}

/// The sensitive output of a stack of `examples/fixture`, which another stack prints.
pub const SENSITIVE: &str = "canary-9f31c07ab24e";

/// What the other stack's log says.
pub const REDACTED: &str = "the password is [redacted]";

/// How the names of the objects end that may hold a stack's own secrets: what goes from job to job.
/// The sources are the repository's own.
const CLEAR: [&str; 4] = [
    "/plan.tfplan",
    "/plan.json",
    "/outputs.json",
    "/errored.tfstate",
];

/// How many calls are under way at once.
const AT_ONCE: usize = 4;

/// How often a queue is asked before it is said to have no end.
const RECEIVES: usize = 500;

impl Sweep {
    fn look(&mut self, harness: &Harness, place: &str, bytes: &[u8]) {
        self.look_for_ours(harness, place, bytes);
        self.look_for("sensitive output", SENSITIVE, place, bytes);
        self.redacted += usize::from(contains(bytes, REDACTED.as_bytes()));
    }

    /// Where a delivered stack's own secrets may lie.
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

/// Looks through every log, message, queue, object, item, execution and audit entry. Queues are
/// empty afterwards: of a queue with order, only what is deleted lets the next message come.
///
/// # Errors
/// When a place cannot be read: nothing is passed over.
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
        harness.aws(&["s3", "sync", "--quiet", &from, &to]).await?;
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
    // Last, so that what the reader took while the queues were read is among them.
    let place = format!("queue {}", name_of(&local.installed.status_queue_url));
    for message in harness.messages() {
        sweep.look(harness, &place, message.as_bytes());
    }
    Ok(sweep)
}

/// The addresses of all queues of the local run, those of dead letters too.
///
/// # Errors
/// When one that Sluicegate has is not among them.
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

/// In the name of the queue of status messages that nobody read.
pub const STATUS_UNREAD: &str = "status-unread";

/// A queue's name: the end of its address.
#[must_use]
pub fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// Every message of a queue with all that stands on it, ten at most in one text; they are deleted.
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

/// Messages as the AWS command line shows them.
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

/// Every execution as it is described, and its history.
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

/// Reads the names that the AWS command line lists.
pub(crate) fn list(text: &str) -> anyhow::Result<Vec<String>> {
    serde_json::from_str(text).with_context(|| format!("not a list of names: {text}"))
}

fn contains(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// Whether a copied object may hold a stack's own secrets; so may all that an archive holds.
fn in_the_clear(copy: &Path, file: &Path) -> bool {
    let key = file
        .strip_prefix(copy)
        .unwrap_or(file)
        .display()
        .to_string();
    key.starts_with("sources/") || CLEAR.iter().any(|name| key.contains(name))
}

/// Every file below a directory; of an archive (a source, a plan file), what is in it too.
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
