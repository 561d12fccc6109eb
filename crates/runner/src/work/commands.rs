//! The Terraform commands of a job.

use terraform_cli::Terraform;
use tokio::sync::OnceCell;

use super::Prepared;
use crate::outcome::Stop;
use crate::warm::{Verification, Warm};

/// The Terraform commands after `init`, with the provider that they share.
pub(super) struct Commands<'a> {
    pub(super) prepared: &'a Prepared<'a>,
    pub(super) warm: Option<Warm>,
    /// Set as soon as the commands can run without the shared provider, which has ended.
    pub(super) cold: OnceCell<()>,
}

impl Commands<'_> {
    /// Returns Terraform with the shared provider, if it runs.
    pub(super) fn running(&self) -> Option<Terraform> {
        self.warm.as_ref()?.driver(&self.prepared.terraform)
    }

    /// Returns Terraform for the next command. If the shared provider has ended and is not installed,
    /// `init` installs it first, once for the job.
    pub(super) async fn terraform(&self) -> Result<Terraform, Stop> {
        if let Some(running) = self.running() {
            return Ok(running);
        }
        if let Some(warm) = &self.warm {
            let install = || self.install(warm.verification());
            self.cold.get_or_try_init(install).await?;
        }
        Ok(self.prepared.terraform.clone())
    }

    async fn install(&self, verification: Verification) -> Result<(), Stop> {
        self.prepared
            .step("each command starts the AWS provider: the one that was started has ended");
        match verification {
            Verification::ByInit => Ok(()),
            Verification::ByRunner => self.prepared.init(None).await,
        }
    }

    /// Logs the stack trace of the provider if it is the reason of an error, as Terraform does for a
    /// provider that it started.
    pub(super) async fn explain(&self, error: Option<&terraform_cli::Error>) {
        let (Some(warm), Some(error)) = (&self.warm, error) else {
            return;
        };
        if let Some(trace) = warm.trace(error).await {
            self.prepared
                .context
                .log
                .error(&format!("the AWS provider ended:\n{trace}"));
        }
    }

    pub(super) async fn end(self) {
        if let Some(warm) = self.warm {
            warm.end().await;
        }
    }
}
