//! The seven chapters, as assertions; then a sweep for secrets.

use crate::cli;
use crate::world::{machine, with_world};
use anyhow::ensure;
use local::story::{self, Teller};
use local::sweep::sweep;
use local::world::containers::Jobs;
use local::world::machine::Docker;

#[tokio::test(flavor = "multi_thread")]
async fn seven_chapters_are_told_and_no_secret_is_left_anywhere() {
    let shop = machine().root.join("examples/shop");
    let args = [format!("--sample=acme/shop={}", shop.display())];
    with_world("story", &args, async |teller| Box::pin(told(teller)).await).await;
}

async fn told(teller: &Teller) -> anyhow::Result<()> {
    let machine = machine();
    let can = machine.docker == Docker::Engine && machine.engine_is_here;
    let are = matches!(teller.world.jobs, Jobs::Containers(_));
    ensure!(
        can == are,
        "expected jobs as containers: {can}, but: {}",
        teller.world.jobs
    );
    let runs = story::tell(teller).await?;
    cli::shows_the_story(teller, runs).await?;
    let clone = teller.world.dir.join("fresh-clone");
    let swept = sweep(teller, Some(&clone)).await?;
    ensure!(
        swept.leaks.is_empty(),
        "secrets were found: {:?}",
        swept.leaks
    );
    ensure!(
        swept.places > 50,
        "the sweep looked at {} places only",
        swept.places
    );
    teller.narrator.fact(&format!(
        "no secret in {} places with {} bytes",
        swept.places, swept.bytes
    ));
    Ok(())
}
