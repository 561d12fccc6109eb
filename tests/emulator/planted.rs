//! Plants a secret in every kind of place that the sweep searches. Only a sweep that finds planted
//! secrets proves something when it finds none.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use story::Harness;
use story::sweep::{STATUS_UNREAD, Sweep, name_of, queues, sweep};

/// Plants a secret in every place, and checks that the sweep finds each one.
pub(crate) async fn is_found(harness: &Harness) -> anyhow::Result<()> {
    let clone = a_clone(harness)?;
    commit(&clone, "nothing")?;
    let clean = sweep(harness, Some(&clone)).await?;
    ensure!(
        clean.leaks.is_empty(),
        "secrets were found: {:?}",
        clean.leaks
    );
    let secret = format!("a log with {} in it", harness.local.secrets.token);
    let objects = plant_objects(harness, &secret).await?;
    plant_log(harness, &secret).await?;
    plant_item(harness, &secret).await?;
    let queues = plant_messages(harness, &secret).await?;
    plant_execution(harness, &secret).await?;
    commit(&clone, &secret)?;
    let found = sweep(harness, Some(&clone)).await?;
    let places = [
        "audit branch",
        "log group",
        "table",
        "describe-execution",
        "get-execution-history",
    ];
    let planted = queues.iter().chain(&objects).map(String::as_str);
    for place in places.into_iter().chain(planted) {
        ensure!(
            is_in(&found, place),
            "a secret planted in a {place} was not found: {:?}",
            found.leaks
        );
    }
    for object in objects {
        let object = format!("s3://{object}");
        harness.aws(&["s3", "rm", "--quiet", &object]).await?;
    }
    Ok(())
}

fn is_in(sweep: &Sweep, place: &str) -> bool {
    sweep.leaks.iter().any(|leak| leak.place.contains(place))
}

/// Creates a repository that looks like a clone with an audit branch.
fn a_clone(harness: &Harness) -> anyhow::Result<PathBuf> {
    let clone = harness.local.dir.join("planted");
    std::fs::create_dir_all(&clone)?;
    git(&clone, &["init", "--quiet", "--template="])?;
    Ok(clone)
}

/// Commits a text to the audit branch.
fn commit(clone: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(clone.join("entry.json"), text)?;
    git(clone, &["add", "entry.json"])?;
    let who = [
        "-c",
        "user.name=planted",
        "-c",
        "user.email=planted@example.com",
    ];
    git(
        clone,
        &[&who[..], &["commit", "--quiet", "--message=entry"]].concat(),
    )?;
    git(
        clone,
        &["update-ref", "refs/remotes/origin/sluicegate/audit", "HEAD"],
    )
}

fn git(dir: &Path, args: &[&str]) -> anyhow::Result<()> {
    let mut git = std::process::Command::new("git");
    // Ignore the user's configuration, such as commit signing and hooks.
    git.env("GIT_CONFIG_GLOBAL", "/dev/null");
    git.env("GIT_CONFIG_SYSTEM", "/dev/null");
    let status = git.arg("-C").arg(dir).args(args).status();
    let status = status.context("start git")?;
    ensure!(status.success(), "git {args:?}: {status}");
    Ok(())
}

/// Writes the secret to an object of each bucket. Returns the objects, as `bucket/key`. In buckets other
/// than the artifacts bucket, a key of the Lambdas' programs has no special meaning.
async fn plant_objects(harness: &Harness, secret: &str) -> anyhow::Result<Vec<String>> {
    let file = harness.local.dir.join("planted.txt");
    std::fs::write(&file, secret)?;
    let from = file.display().to_string();
    let buckets = &harness.local.installed.buckets;
    let objects = [
        format!("{}/planted.txt", buckets.artifacts),
        format!("{}/functions/planted.txt", buckets.audit),
        format!("{}/functions/planted.txt", buckets.state),
        format!("{}/functions/planted.txt", buckets.access_logs),
    ];
    for object in &objects {
        let to = format!("s3://{object}");
        harness.aws(&["s3", "cp", "--quiet", &from, &to]).await?;
    }
    Ok(objects.into())
}

async fn plant_log(harness: &Harness, secret: &str) -> anyhow::Result<()> {
    let groups = &harness.local.installed.log_groups;
    let group = groups.values().next().context("there is no log group")?;
    let stream = ["--log-group-name", group, "--log-stream-name", "planted"];
    harness
        .aws(&[&["logs", "create-log-stream"], &stream[..]].concat())
        .await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "CloudWatch Logs takes only events of its own time"
    )]
    let now = jiff::Timestamp::now().as_millisecond();
    let events = format!("timestamp={now},message={secret}");
    let put = ["logs", "put-log-events", "--log-events", &events];
    harness.aws(&[&put[..], &stream[..]].concat()).await?;
    Ok(())
}

async fn plant_item(harness: &Harness, secret: &str) -> anyhow::Result<()> {
    let item = serde_json::json!({
        "pk": { "S": "PLANTED" }, "sk": { "S": "PLANTED" }, "doc": { "S": secret },
    });
    let table = &harness.local.installed.table_name;
    let put = ["dynamodb", "put-item", "--table-name", table, "--item"];
    harness
        .aws(&[&put[..], &[&item.to_string()]].concat())
        .await?;
    Ok(())
}

/// Sends one message with the secret to each queue, after more messages than one receive returns. Returns
/// the places where the sweep must find them.
async fn plant_messages(harness: &Harness, secret: &str) -> anyhow::Result<Vec<String>> {
    let mut places = Vec::new();
    for url in queues(harness).await? {
        let before = (0..10).map(|i| message(&url, &format!("planted-{i}"), "nothing"));
        for entries in [
            before.collect(),
            vec![message(&url, "planted-secret", secret)],
        ] {
            let entries = serde_json::Value::Array(entries).to_string();
            let send = ["sqs", "send-message-batch", "--queue-url", &url];
            let said = harness
                .aws(&[&send[..], &["--entries", &entries]].concat())
                .await?;
            let said: serde_json::Value = serde_json::from_str(&said)?;
            let failed = said["Failed"].as_array().map_or(0, Vec::len);
            ensure!(failed == 0, "{url} took not all: {said}");
        }
        places.push(format!("queue {}", name_of(&url)));
    }
    ensure!(
        places.iter().any(|place| place.contains(STATUS_UNREAD)),
        "no secret was planted in {STATUS_UNREAD}: {places:?}"
    );
    Ok(places)
}

fn message(url: &str, id: &str, body: &str) -> serde_json::Value {
    if url.ends_with(".fifo") {
        serde_json::json!({
            "Id": id, "MessageBody": body,
            "MessageGroupId": "planted", "MessageDeduplicationId": id,
        })
    } else {
        serde_json::json!({ "Id": id, "MessageBody": body })
    }
}

/// Starts an execution with an input that no step accepts.
async fn plant_execution(harness: &Harness, secret: &str) -> anyhow::Result<()> {
    let machine = &harness.local.installed.state_machine_arn;
    let input = serde_json::json!({ "planted": secret }).to_string();
    let start = ["stepfunctions", "start-execution", "--input", &input];
    harness
        .aws(&[&start[..], &["--state-machine-arn", machine]].concat())
        .await?;
    Ok(())
}
