//! Looks for the world's secrets in everything that a delivery wrote.

use crate::story::Teller;
use anyhow::Context as _;
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
    /// How many places were looked at.
    pub places: usize,
    /// How many bytes they had.
    pub bytes: usize,
}

/// Looks through every log, message, queue, object, item, execution and audit entry.
///
/// # Errors
/// When a place cannot be read: nothing is passed over.
pub async fn sweep(teller: &Teller, audit_clone: Option<&Path>) -> anyhow::Result<Sweep> {
    let world = &teller.world;
    let mut sweep = Sweep::default();
    let look = |sweep: &mut Sweep, place: &str, bytes: &[u8]| {
        sweep.places += 1;
        sweep.bytes += bytes.len();
        let secrets = [
            ("webhook", &world.secrets.webhook),
            ("token", &world.secrets.token),
        ];
        for (secret, value) in secrets {
            if contains(bytes, value.as_bytes()) {
                sweep.leaks.push(Leak {
                    place: place.to_owned(),
                    secret,
                });
            }
        }
    };
    for message in teller.messages() {
        look(&mut sweep, "status queue", message.as_bytes());
    }
    let names = [
        "logs",
        "describe-log-groups",
        "--query",
        "logGroups[].logGroupName",
    ];
    for group in list(&teller.aws(&names).await?)? {
        let lines = teller
            .aws(&["logs", "filter-log-events", "--log-group-name", &group])
            .await?;
        look(&mut sweep, &format!("log group {group}"), lines.as_bytes());
    }
    let scan = [
        "dynamodb",
        "scan",
        "--table-name",
        &world.installed.table_name,
    ];
    look(&mut sweep, "table", teller.aws(&scan).await?.as_bytes());
    for arn in teller.executions().await? {
        for question in ["describe-execution", "get-execution-history"] {
            let said = teller
                .aws(&["stepfunctions", question, "--execution-arn", &arn])
                .await?;
            look(&mut sweep, &format!("{question} {arn}"), said.as_bytes());
        }
    }
    let lost = [
        "sqs",
        "receive-message",
        "--queue-url",
        &world.installed.events_lost_queue_url,
    ];
    look(
        &mut sweep,
        "queue of lost events",
        teller.aws(&lost).await?.as_bytes(),
    );
    let buckets = &world.installed.buckets;
    for bucket in [&buckets.artifacts, &buckets.audit, &buckets.state] {
        let copy = world.dir.join("sweep").join(bucket);
        let (from, to) = (format!("s3://{bucket}"), copy.display().to_string());
        teller.aws(&["s3", "sync", "--quiet", &from, &to]).await?;
        files(&copy, &mut |file, bytes| {
            look(&mut sweep, &format!("{bucket}/{}", file.display()), bytes);
        })?;
    }
    if let Some(clone) = audit_clone {
        let log = tokio::process::Command::new("git")
            .arg("-C")
            .arg(clone)
            .args(["log", "-p", "--format=fuller", "origin/sluicegate/audit"])
            .output()
            .await?;
        anyhow::ensure!(
            log.status.success(),
            "git log of the audit branch: {}",
            log.status
        );
        look(&mut sweep, "audit branch", &log.stdout);
    }
    Ok(sweep)
}

fn list(text: &str) -> anyhow::Result<Vec<String>> {
    serde_json::from_str(text).with_context(|| format!("not a list of names: {text}"))
}

fn contains(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
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
