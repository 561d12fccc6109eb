//! Fetches a build's source: an archive in S3, or none.

use std::io::Cursor;
use std::path::Path;

use serde_json::Value;

use crate::aws_json::text;
use crate::cloud::Cloud;

/// Unpacks the source into `dir`. The error is for the phase's context.
pub(super) async fn fetch(cloud: &dyn Cloud, source: &Value, dir: &Path) -> Result<(), String> {
    match text(source, "type") {
        Some("NO_SOURCE") | None => return Ok(()),
        Some("S3") => {}
        Some(other) => return Err(format!("this fake has S3 sources only, not {other}")),
    }
    let location = text(source, "location").unwrap_or_default();
    let location = location.strip_prefix("arn:aws:s3:::").unwrap_or(location);
    let Some((bucket, key)) = location.split_once('/') else {
        return Err(format!(
            "source location {location:?} is not <bucket>/<key>"
        ));
    };
    let bytes = cloud
        .object(bucket, key)
        .await
        .map_err(|error| error.to_string())?;
    let dir = dir.to_owned();
    let unpack = move || {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
        // `extract` refuses paths and links outside the directory, and keeps file modes.
        archive.extract(dir)
    };
    match tokio::task::spawn_blocking(unpack).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!(
            "{bucket}/{key} is not an archive that can be unpacked: {error}"
        )),
        Err(error) => Err(error.to_string()),
    }
}
