//! The installation itself: a second apply has no changes, the sweep detects planted secrets, and
//! destroy removes everything.

use crate::planted;
use crate::setup::{machine, with_local_run};
use anyhow::bail;
use story::Harness;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_apply_changes_nothing_and_destroy_works() {
    let fixture = machine().root.join("examples/fixture");
    let args = [
        format!("--sample=acme/fixture={}", fixture.display()),
        "--no-containers".to_owned(),
    ];
    with_local_run("install", &args, async |harness| installed(harness).await).await;
}

async fn installed(harness: &Harness) -> anyhow::Result<()> {
    let machine = machine();
    let plan = ["plan", "-lock=false"];
    let plan = harness.local.terraform(&machine, &plan).await?;
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
    planted::is_found(harness).await?;
    harness
        .progress
        .fact("the sweep finds a secret planted in each kind of place, and nothing before that");
    let destroy = ["destroy", "-auto-approve", "-parallelism=40"];
    harness.local.terraform(&machine, &destroy).await?;
    harness.progress.fact("destroy removes it");
    Ok(())
}
