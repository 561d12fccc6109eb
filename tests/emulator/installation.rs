//! The installation itself: a second apply changes nothing, the sweep finds what it looks for, and
//! destroy removes all.

use crate::world::{machine, with_world};
use anyhow::ensure;
use local::story::Teller;
use local::sweep::sweep;

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
    // MiniStack loses the tags of an object that comes in parts, as the Lambdas' zips do; nothing
    // else may change.
    if let Some(plan) = teller.world.drift(&machine).await? {
        let changed: Vec<&str> = plan
            .lines()
            .filter(|line| line.contains(" will be "))
            .collect();
        let known = |line: &&str| line.contains(".aws_s3_object.zip will be updated in-place");
        ensure!(
            changed.iter().all(known),
            "a second apply would change: {changed:?}"
        );
    }
    teller
        .narrator
        .fact("a second apply of the local root changes nothing but tags of zips");
    // A sweep that finds nothing proves something only when it finds what is there.
    let clean = sweep(teller, None).await?;
    ensure!(
        clean.leaks.is_empty(),
        "secrets were found: {:?}",
        clean.leaks
    );
    let bucket = format!(
        "s3://{}/planted.txt",
        teller.world.installed.buckets.artifacts
    );
    let planted = teller.world.dir.join("planted.txt");
    std::fs::write(
        &planted,
        format!("a log with {} in it", teller.world.secrets.token),
    )?;
    teller
        .aws(&[
            "s3",
            "cp",
            "--quiet",
            &planted.display().to_string(),
            &bucket,
        ])
        .await?;
    let found = sweep(teller, None).await?;
    ensure!(
        found.leaks.len() == 1,
        "a planted secret was not found: {:?}",
        found.leaks
    );
    teller.aws(&["s3", "rm", "--quiet", &bucket]).await?;
    teller
        .narrator
        .fact("the sweep finds a planted secret, and nothing else");
    teller.world.uninstall(&machine).await?;
    teller.narrator.fact("destroy removes it");
    Ok(())
}
