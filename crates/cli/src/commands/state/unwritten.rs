//! The state that Terraform could not write, from the copy that its job kept.

use crate::args::StateOf;
use crate::failure::{Failure, Kind, Outcome};
use crate::pipeline::Pipeline;
use domain::keys::JobFile;
use serde::Deserialize;

/// A state that a job kept.
pub(super) struct Kept {
    /// Its key in the artifacts bucket.
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
}

/// What a job spec says of the stack's state.
#[derive(Debug, Deserialize)]
struct Of {
    backend: Location,
}

#[derive(Debug, Deserialize)]
struct Location {
    key: String,
}

/// What identifies a version of a state.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Version {
    lineage: String,
    serial: u64,
}

/// Returns the newest copy of the state `state` that a job of the run kept. Both legs may have kept one: a
/// job that wrote the state at its second attempt leaves its copy.
///
/// # Errors
/// Fails with `VersionNotFound` if no job kept one, and with the errors of the bucket.
pub(super) async fn find(pipeline: &Pipeline, of: &StateOf, state: &str) -> Outcome<Kept> {
    let run = crate::commands::run(&*pipeline.table, &of.run).await?;
    let mut newest: Option<(u64, Kept)> = None;
    let objects = run.objects().map_err(domain::error::StepError::from)?;
    for key in pipeline.artifacts.list(&objects.jobs()).await? {
        let Some(job) = objects.job_of_errored_state(&key) else {
            continue;
        };
        // By the state: two stacks may have exchanged theirs.
        let spec = objects.job(&job, JobFile::Spec);
        let spec = pipeline.artifacts.get(&spec).await?.unwrap_or_default();
        let spec = serde_json::from_slice::<Of>(&spec).ok();
        if spec.is_none_or(|spec| spec.backend.key != state) {
            continue;
        }
        let Some(bytes) = pipeline.artifacts.get(&key).await? else {
            continue;
        };
        let kept = Kept { key, bytes };
        let serial = kept.read(&kept.key, &kept.bytes)?.serial;
        if newest.as_ref().is_none_or(|(known, _)| *known < serial) {
            newest = Some((serial, kept));
        }
    }
    if let Some((_, kept)) = newest {
        return Ok(kept);
    }
    let what = format!("no job of run {} kept a copy of state {state}", run.id());
    let next = "The copy expires after a week. Without it, `sluicegate logs` shows what the apply did: import \
                or delete it.";
    Err(Failure::new(Kind::VersionNotFound, what, next))
}

impl Kept {
    /// Checks that this state follows `current`, the content of the state `state`.
    ///
    /// # Errors
    /// Fails with `VersionNotFound` if the state has another lineage or is not older.
    pub(super) fn check_newer(&self, state: &str, current: Option<&[u8]>) -> Outcome {
        let kept = self.read(&self.key, &self.bytes)?;
        let Some(current) = current else {
            return Ok(());
        };
        let current = self.read(state, current)?;
        if kept.lineage == current.lineage && kept.serial > current.serial {
            return Ok(());
        }
        let what = format!(
            "state {state} has serial {} (lineage {}), and {} has serial {} (lineage {}), which does not follow \
             it",
            current.serial, current.lineage, self.key, kept.serial, kept.lineage
        );
        let next = "Something wrote the state since. Compare both, and import what it lacks.";
        Err(Failure::new(Kind::VersionNotFound, what, next))
    }

    fn read(&self, key: &str, bytes: &[u8]) -> Outcome<Version> {
        serde_json::from_slice(bytes).map_err(|error| {
            let what = format!("{key} is not a state of Terraform: {error}");
            let next = format!("Compare it with {}.", self.key);
            Failure::new(Kind::VersionNotFound, what, next)
        })
    }
}
