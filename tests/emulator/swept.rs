//! A sweep for secrets after a local run's work is done.

use anyhow::ensure;
use std::path::Path;
use story::Harness;
use story::sweep::{Sweep, sweep};

/// Sweeps everything that the local run wrote, and the audit branch of a fresh clone.
pub(crate) async fn no_secret_is_left(
    harness: &Harness,
    clone: &Path,
    places: usize,
) -> anyhow::Result<Sweep> {
    let swept = sweep(harness, Some(clone)).await?;
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
    harness.progress.fact(&format!(
        "no secret in {} places with {} bytes",
        swept.places, swept.bytes
    ));
    Ok(swept)
}
