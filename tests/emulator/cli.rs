//! The `sluicegate` CLI after deliveries: each command, as text and as JSON.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use story::Harness;

/// Inspects the story's runs as an operator does.
pub(crate) async fn shows_the_story(harness: &Harness, runs: usize) -> anyhow::Result<()> {
    let listed: Vec<Value> = json(harness, &["runs"]).await?;
    ensure!(
        listed.len() == runs,
        "`runs` lists {} runs of {runs}",
        listed.len()
    );
    let first = listed.last().context("there is no run")?;
    let run = first["run"].as_str().context("a run has no id")?;
    says(harness, &["runs"], run).await?;

    let shown: Value = json(harness, &["show", run]).await?;
    ensure!(
        shown.to_string().contains("\"applied\""),
        "`show --json` says {shown}"
    );
    says(harness, &["show", run], "app").await?;

    // Watching a completed run ends immediately. For a failed run, the command fails.
    says(harness, &["watch", run], "ended").await?;
    let said = harness.sluicegate(&["watch", run, "--json"]).await?;
    let last: Value = serde_json::from_str(said.lines().last().context("nothing was said")?)?;
    ensure!(last == shown, "`watch --json` ends with {last}");
    let failed = listed.iter().find(|run| run["outcome"] == "rolled-back");
    let failed = failed.and_then(|run| run["run"].as_str());
    let failed = failed.context("no run was rolled back")?;
    let refused = harness.sluicegate(&["watch", failed]).await;
    ensure!(refused.is_err(), "`watch` of a failed run succeeded");

    says(harness, &["logs", run], "Apply complete").await?;
    let lines: Vec<Value> = json(harness, &["logs", run, "data"]).await?;
    let of_data = |line: &Value| {
        line["source"]
            .as_str()
            .is_some_and(|s| s.contains("-data-"))
    };
    ensure!(
        !lines.is_empty() && lines.iter().all(of_data),
        "`logs {run} data` says {lines:?}"
    );

    let entries: Vec<Value> = json(harness, &["audit", "list"]).await?;
    ensure!(
        entries.len() == runs,
        "`audit list` lists {} of {runs}",
        entries.len()
    );
    says(harness, &["audit", "list"], run).await?;
    says(harness, &["audit", "verify"], "head").await?;
    json::<Value>(harness, &["audit", "verify"]).await?;

    let shop = crate::setup::machine().root.join("examples/shop");
    let shop = shop.display().to_string();
    says(harness, &["config", "check", &shop], "").await?;
    json::<Value>(harness, &["config", "check", &shop]).await?;
    harness
        .progress
        .fact("sluicegate runs, show, watch, logs, audit and config show it, also as JSON");
    Ok(())
}

async fn says(harness: &Harness, args: &[&str], text: &str) -> anyhow::Result<()> {
    let said = harness.sluicegate(args).await?;
    ensure!(
        said.contains(text),
        "`sluicegate {}` does not say {text:?}: {said}",
        args.join(" ")
    );
    Ok(())
}

async fn json<T: serde::de::DeserializeOwned>(
    harness: &Harness,
    args: &[&str],
) -> anyhow::Result<T> {
    let said = harness.sluicegate(&[args, &["--json"]].concat()).await?;
    serde_json::from_str(&said)
        .with_context(|| format!("`sluicegate {} --json` said {said}", args.join(" ")))
}
