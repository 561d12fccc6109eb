//! The seven chapters, as assertions; then a sweep for secrets.

use crate::cli;
use crate::swept;
use crate::world::{machine, with_world};
use anyhow::ensure;
use local::story::{self, Teller};
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
    swept::no_secret_is_left(teller, &clone, 50).await?;
    Ok(())
}
