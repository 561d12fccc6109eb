//! The state that Terraform could not write, from the copy that its job kept.

use crate::args::StateOf;
use crate::failure::{Failure, Kind, Outcome};
use crate::pipeline::Pipeline;
use domain::keys;
use serde::Deserialize;

/// A state that a job kept.
pub(super) struct Kept {
    /// Its key in the artifacts bucket.
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
}

/// What identifies a version of a state.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Version {
    lineage: String,
    serial: u64,
}

/// Returns the state that a job of the run kept for the stack. A stack has at most one: a run with such a
/// job is not rolled back.
///
/// # Errors
/// Fails with `VersionNotFound` if no job kept one, and with the errors of the bucket.
pub(super) async fn find(pipeline: &Pipeline, of: &StateOf) -> Outcome<Kept> {
    let run = crate::commands::run(&*pipeline.table, &of.run).await?;
    let stack = crate::commands::stack_of(&run, &of.stack)?.name().clone();
    let keys = pipeline.artifacts.list(&keys::jobs(run.id())).await?;
    let own = |key: &&String| {
        let job = keys::job_of_errored_state(run.id(), key);
        job.is_some_and(|job| job.stack().as_ref() == Some(&stack))
    };
    if let Some(key) = keys.iter().rfind(own)
        && let Some(bytes) = pipeline.artifacts.get(key).await?
    {
        let key = key.clone();
        return Ok(Kept { key, bytes });
    }
    let what = format!("no job of run {} kept a state of stack {stack}", run.id());
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
