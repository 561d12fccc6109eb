//! The installation itself: a second apply changes nothing, the sweep finds what it looks for, and
//! destroy removes all.

use crate::planted;
use crate::world::{machine, with_world};
use anyhow::bail;
use local::story::Teller;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_apply_changes_nothing_and_destroy_works() {
    let fixture = machine().root.join("examples/fixture");
    let args = [
        format!("--sample=acme/fixture={}", fixture.display()),
        "--no-containers".to_owned(),
    ];
    with_world("install", &args, async |teller| installed(teller).await).await;
}

async fn installed(teller: &Teller) -> anyhow::Result<()> {
    let machine = machine();
    if let Some(plan) = teller.world.drift(&machine).await? {
        let changed: Vec<&str> = plan
            .lines()
            .filter(|line| line.contains(" will be "))
            .collect();
        bail!("a second apply would change: {changed:?}");
    }
    teller
        .narrator
        .fact("a second apply of the local root changes nothing");
    planted::is_found(teller).await?;
    teller
        .narrator
        .fact("the sweep finds a secret planted in each kind of place, and nothing before that");
    teller.world.uninstall(&machine).await?;
    teller.narrator.fact("destroy removes it");
    Ok(())
}
