//! Keeps the state that Terraform could not write at the end of an apply.

use std::time::Duration;

use domain::error::ErrorName;
use domain::keys::JobFile;
use domain::plan::SideEffects;
use terraform_cli::CancelHandle;

use super::Prepared;
use crate::job::job_key;
use crate::outcome::Stop;

/// Where Terraform writes a state that its backend did not take: in its working directory. No commit has
/// a file of that name there: the source rules refuse states.
const ERRORED: &str = "errored.tfstate";

/// The time limit of the second attempt: the job must write its result before Batch ends it.
const PUSH_LIMIT: Duration = Duration::from_secs(120);

/// Whether the state has all that the apply did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rescue {
    /// Terraform had written it, or it is still not written.
    Nothing,
    /// The job has written it.
    Written,
}

impl Prepared<'_> {
    /// Uploads the state that Terraform wrote next to the stack because the backend failed: it is the
    /// only copy, and is lost with the container. Then writes it again, once, because the backend may
    /// have failed for a moment.
    pub(super) async fn rescue_state(&self, stop: &mut Stop) -> Rescue {
        let file = self.dir.join(ERRORED);
        let Ok(bytes) = std::fs::read(&file) else {
            return Rescue::Nothing;
        };
        let key = job_key(self.request, JobFile::ErroredState);
        let kept = self.context.objects.put(&key, bytes).await;
        // Batch stops a container 30 s after its SIGTERM.
        if stop.error.name != ErrorName::Interrupted {
            self.step("state push");
            let grace = self.context.grace;
            let (handle, cancel) = CancelHandle::new();
            let terraform = self.terraform.clone().cancelled_by(cancel, grace);
            let push = terraform.push_state(&file);
            tokio::pin!(push);
            let pushed = tokio::select! {
                pushed = &mut push => pushed,
                () = tokio::time::sleep(PUSH_LIMIT) => {
                    handle.cancel();
                    push.await
                }
            };
            if pushed.is_ok() {
                let note =
                    "; terraform could not write the state at first, the job has written it since";
                stop.error.message.push_str(note);
                return Rescue::Written;
            }
        }
        let (run, stack) = (&self.request.run, &self.spec.stack);
        let note = match kept {
            Ok(()) => {
                stop.error.name = ErrorName::StateUnwritten;
                stop.side_effects = SideEffects::Unwritten;
                format!(
                    "; terraform could not write the state, a copy is at {key} for a week: write it with \
                     `sluicegate state restore {run} {stack} --unwritten`"
                )
            }
            Err(error) => {
                stop.side_effects = SideEffects::Unrecorded;
                format!("; terraform could not write the state, and it is lost: {error}")
            }
        };
        stop.error.message.push_str(&note);
        Rescue::Nothing
    }
}
