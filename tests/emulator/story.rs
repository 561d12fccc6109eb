//! The seven chapters, as assertions; then a sweep for secrets.

use crate::world::{machine, with_world};
use anyhow::ensure;
use local::story::{self, Teller};
use local::sweep::sweep;

#[tokio::test(flavor = "multi_thread")]
async fn seven_deliveries_and_no_secret_is_left_anywhere() {
    let shop = machine().root.join("examples/shop");
    let args = [format!("--sample=acme/shop={}", shop.display())];
    with_world("story", &args, async |teller| told(teller).await).await;
}

async fn told(teller: &Teller) -> anyhow::Result<()> {
    story::tell(teller).await?;
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
