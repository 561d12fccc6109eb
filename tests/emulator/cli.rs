//! `sluicegate` beside a pipeline that delivered: each command, as text and as JSON.

use anyhow::{Context as _, ensure};
use local::story::Teller;
use serde_json::Value;

/// Looks at the runs of the story as an operator does.
pub(crate) async fn shows_the_story(teller: &Teller, runs: usize) -> anyhow::Result<()> {
    let listed: Vec<Value> = json(teller, &["runs"]).await?;
    ensure!(
        listed.len() == runs,
        "`runs` lists {} runs of {runs}",
        listed.len()
    );
    let first = listed.last().context("there is no run")?;
    let run = first["run"].as_str().context("a run has no id")?;
    says(teller, &["runs"], run).await?;

    let shown: Value = json(teller, &["show", run]).await?;
    ensure!(
        shown.to_string().contains("\"applied\""),
        "`show --json` says {shown}"
    );
    says(teller, &["show", run], "app").await?;

    // A run that is over is watched to its end at once; a failed one makes the command fail.
    says(teller, &["watch", run], "ended").await?;
    let said = teller.sluicegate(&["watch", run, "--json"]).await?;
    let last: Value = serde_json::from_str(said.lines().last().context("nothing was said")?)?;
    ensure!(last == shown, "`watch --json` ends with {last}");
    let failed = listed.iter().find(|run| run["outcome"] == "rolled-back");
    let failed = failed.and_then(|run| run["run"].as_str());
    let failed = failed.context("no run was rolled back")?;
    let refused = teller.sluicegate(&["watch", failed]).await;
    ensure!(refused.is_err(), "`watch` of a failed run succeeded");

    says(teller, &["logs", run], "Apply complete").await?;
    let lines: Vec<Value> = json(teller, &["logs", run, "data"]).await?;
    let of_data = |line: &Value| {
        line["source"]
            .as_str()
            .is_some_and(|s| s.contains("-data-"))
    };
    ensure!(
        !lines.is_empty() && lines.iter().all(of_data),
        "`logs {run} data` says {lines:?}"
    );

    let entries: Vec<Value> = json(teller, &["audit", "list"]).await?;
    ensure!(
        entries.len() == runs,
        "`audit list` lists {} of {runs}",
        entries.len()
    );
    says(teller, &["audit", "list"], run).await?;
    says(teller, &["audit", "verify"], "head").await?;
    json::<Value>(teller, &["audit", "verify"]).await?;

    let shop = crate::world::machine().root.join("examples/shop");
    let shop = shop.display().to_string();
    says(teller, &["config", "check", &shop], "").await?;
    json::<Value>(teller, &["config", "check", &shop]).await?;
    teller
        .narrator
        .fact("sluicegate runs, show, watch, logs, audit and config tell of it, also as JSON");
    Ok(())
}

async fn says(teller: &Teller, args: &[&str], text: &str) -> anyhow::Result<()> {
    let said = teller.sluicegate(args).await?;
    ensure!(
        said.contains(text),
        "`sluicegate {}` does not say {text:?}: {said}",
        args.join(" ")
    );
    Ok(())
}

async fn json<T: serde::de::DeserializeOwned>(teller: &Teller, args: &[&str]) -> anyhow::Result<T> {
    let said = teller.sluicegate(&[args, &["--json"]].concat()).await?;
    serde_json::from_str(&said)
        .with_context(|| format!("`sluicegate {} --json` said {said}", args.join(" ")))
}
