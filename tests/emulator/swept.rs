//! No secret is left anywhere, looked at once a world's work is done.

use anyhow::ensure;
use local::story::Teller;
use local::sweep::{Sweep, sweep};
use std::path::Path;

/// Looks through all that the world wrote, and through a fresh clone's audit branch.
pub(crate) async fn no_secret_is_left(
    teller: &Teller,
    clone: &Path,
    places: usize,
) -> anyhow::Result<Sweep> {
    let swept = sweep(teller, Some(clone)).await?;
    ensure!(
        swept.leaks.is_empty(),
        "expected no secret anywhere, found some in {:?}",
        swept.leaks
    );
    ensure!(
        swept.places > places,
        "expected the sweep to look at more than {places} places, it looked at {}",
        swept.places
    );
    teller.narrator.fact(&format!(
        "no secret in {} places with {} bytes",
        swept.places, swept.bytes
    ));
    Ok(swept)
}
