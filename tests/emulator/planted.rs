//! A secret on purpose in every kind of place that the sweep looks at: a sweep that finds nothing
//! proves something only when it finds what is there.

use anyhow::{Context as _, ensure};
use local::story::Teller;
use local::sweep::{Sweep, sweep};

/// Plants a secret everywhere, and checks that each place is found.
pub(crate) async fn is_found(teller: &Teller) -> anyhow::Result<()> {
    let clean = sweep(teller, None).await?;
    ensure!(
        clean.leaks.is_empty(),
        "secrets were found: {:?}",
        clean.leaks
    );
    let secret = format!("a log with {} in it", teller.world.secrets.token);
    let object = plant_object(teller, &secret).await?;
    plant_log(teller, &secret).await?;
    plant_item(teller, &secret).await?;
    plant_message(teller, &secret).await?;
    plant_execution(teller, &secret).await?;
    let found = sweep(teller, None).await?;
    for place in [
        "planted.txt",
        "log group",
        "table",
        "queue of lost events",
        "describe-execution",
        "get-execution-history",
    ] {
        ensure!(
            is_in(&found, place),
            "a secret planted in a {place} was not found: {:?}",
            found.leaks
        );
    }
    teller.aws(&["s3", "rm", "--quiet", &object]).await?;
    Ok(())
}

fn is_in(sweep: &Sweep, place: &str) -> bool {
    sweep.leaks.iter().any(|leak| leak.place.contains(place))
}

async fn plant_object(teller: &Teller, secret: &str) -> anyhow::Result<String> {
    let file = teller.world.dir.join("planted.txt");
    std::fs::write(&file, secret)?;
    let artifacts = &teller.world.installed.buckets.artifacts;
    let object = format!("s3://{artifacts}/planted.txt");
    let from = file.display().to_string();
    teller.aws(&["s3", "cp", "--quiet", &from, &object]).await?;
    Ok(object)
}

async fn plant_log(teller: &Teller, secret: &str) -> anyhow::Result<()> {
    let groups = &teller.world.installed.log_groups;
    let group = groups.values().next().context("there is no log group")?;
    let stream = ["--log-group-name", group, "--log-stream-name", "planted"];
    teller
        .aws(&[&["logs", "create-log-stream"], &stream[..]].concat())
        .await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "CloudWatch Logs takes only events of its own time"
    )]
    let now = jiff::Timestamp::now().as_millisecond();
    let events = format!("timestamp={now},message={secret}");
    let put = ["logs", "put-log-events", "--log-events", &events];
    teller.aws(&[&put[..], &stream[..]].concat()).await?;
    Ok(())
}

async fn plant_item(teller: &Teller, secret: &str) -> anyhow::Result<()> {
    let item = serde_json::json!({
        "pk": { "S": "PLANTED" }, "sk": { "S": "PLANTED" }, "doc": { "S": secret },
    });
    let table = &teller.world.installed.table_name;
    let put = ["dynamodb", "put-item", "--table-name", table, "--item"];
    teller
        .aws(&[&put[..], &[&item.to_string()]].concat())
        .await?;
    Ok(())
}

async fn plant_message(teller: &Teller, secret: &str) -> anyhow::Result<()> {
    let queue = &teller.world.installed.events_lost_queue_url;
    let send = ["sqs", "send-message", "--queue-url", queue];
    teller
        .aws(&[&send[..], &["--message-body", secret]].concat())
        .await?;
    Ok(())
}

/// An execution whose input no step understands.
async fn plant_execution(teller: &Teller, secret: &str) -> anyhow::Result<()> {
    let machine = &teller.world.installed.state_machine_arn;
    let input = serde_json::json!({ "planted": secret }).to_string();
    let start = ["stepfunctions", "start-execution", "--input", &input];
    teller
        .aws(&[&start[..], &["--state-machine-arn", machine]].concat())
        .await?;
    Ok(())
}
