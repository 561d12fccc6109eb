//! The seven scenarios of the demo as tests, followed by a sweep for secrets.

use crate::cli;
use crate::setup::{machine, with_local_run};
use crate::swept;
use anyhow::ensure;
use local_run::containers::Jobs;
use story::{self, Harness};

#[tokio::test(flavor = "multi_thread")]
async fn seven_scenarios_pass_and_no_secret_is_left_anywhere() {
    let shop = machine().root.join("examples/shop");
    let args = [format!("--sample=acme/shop={}", shop.display())];
    with_local_run("story", &args, async |harness| {
        Box::pin(delivered(harness)).await
    })
    .await;
}

async fn delivered(harness: &Harness) -> anyhow::Result<()> {
    let machine = machine();
    let engine = machine.engine.as_ref();
    let can = engine.is_some_and(|engine| engine.is_here);
    let are = matches!(harness.local.jobs, Jobs::Containers(_));
    ensure!(
        can == are,
        "expected jobs as containers: {can}, but: {}",
        harness.local.jobs
    );
    let runs = Box::pin(story::run(harness)).await?;
    cli::shows_the_story(harness, runs).await?;
    let clone = harness.local.dir.join("fresh-clone");
    swept::no_secret_is_left(harness, &clone, 50).await?;
    Ok(())
}
