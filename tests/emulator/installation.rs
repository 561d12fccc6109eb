//! The installation itself. It shares the local run of the failure matrix: the second apply comes
//! before the first delivery, the destroy after the last, so that it has runs, states and images
//! to remove.

use crate::planted;
use crate::setup::machine;
use anyhow::{bail, ensure};
use story::Harness;

pub(crate) async fn a_second_apply_changes_nothing(harness: &Harness) -> anyhow::Result<()> {
    let plan = ["plan", "-lock=false"];
    let plan = harness.local.terraform(&machine(), &plan).await?;
    if !plan.contains("No changes.") {
        let changed: Vec<&str> = plan
            .lines()
            .filter(|line| line.contains(" will be "))
            .collect();
        bail!("a second apply would change: {changed:?}");
    }
    harness
        .progress
        .fact("a second apply of the local root changes nothing");
    Ok(())
}

pub(crate) async fn the_sweep_finds_planted_secrets(harness: &Harness) -> anyhow::Result<()> {
    planted::is_found(harness).await?;
    harness
        .progress
        .fact("the sweep finds a secret planted in each kind of place, and nothing before that");
    Ok(())
}

pub(crate) async fn destroy_removes_everything(harness: &Harness) -> anyhow::Result<()> {
    let destroy = ["destroy", "-auto-approve", "-parallelism=40"];
    harness.local.terraform(&machine(), &destroy).await?;
    let state = std::fs::read(harness.local.dir.join("sluicegate.tfstate"))?;
    let state: serde_json::Value = serde_json::from_slice(&state)?;
    let left = state["resources"].as_array();
    ensure!(
        left.is_some_and(Vec::is_empty),
        "after the destroy, the state still holds {left:?}"
    );
    harness.progress.fact("destroy removes it");
    Ok(())
}
