#![doc = include_str!("../README.md")]

mod builds;
pub mod command;
pub mod containers;
pub mod engine;
pub mod lifeline;
pub mod machine;
pub mod owner;
mod stop;
mod terraform;
pub mod up;

pub use stop::{remove, stop};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file in a local run's directory that describes the local run.
pub const RUN_FILE: &str = "local-run.json";
/// The file to which `up` writes its steps, one per line.
pub const STEPS_FILE: &str = "up.log";

/// The file with Terraform's outputs, as `terraform output -json` writes them.
pub const SETTINGS_FILE: &str = "sluicegate.json";

/// The region of every local run.
pub const REGION: &str = "eu-central-1";
/// The emulator's account id.
pub const ACCOUNT: &str = "000000000000";

/// Returns a six-character id of a checkout. It is part of the names of resources that outlive a local
/// run. scripts/build-runner-image.sh computes the same id.
#[must_use]
pub fn checkout(root: &Path) -> String {
    let root = domain::ids::Sha256Digest::of(root.as_os_str().as_encoded_bytes());
    root.as_str().get(..6).unwrap_or_default().to_owned()
}

/// The addresses, paths and settings of a local run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalRun {
    /// The id of the process that owns it.
    pub pid: i32,
    /// Its directory, removed when it ends.
    pub dir: PathBuf,
    /// The emulator's address: `http://127.0.0.1:<port>`.
    pub endpoint: String,
    /// The address of the fake Batch server.
    pub batch: String,
    /// The address of the fake CodeBuild server.
    pub codebuild: String,
    /// The address of the fake GitHub.
    pub github: String,
    /// The address of the webhook.
    pub webhook: String,
    /// Whether a Docker engine is used.
    pub docker: machine::Docker,
    /// What Batch jobs run as.
    pub jobs: containers::Jobs,
    /// The value of its containers' label. See [`containers::LABEL`].
    pub instance: String,
    /// Programs to inspect it.
    pub tools: Tools,
    /// The sample repositories.
    pub samples: Vec<Sample>,
    /// The secret values, generated for this local run and searched for in everything that it wrote.
    pub secrets: Secrets,
    /// Terraform's outputs.
    pub installed: Installed,
}

/// Programs to inspect a local run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tools {
    /// Python of the environment that contains the AWS CLI.
    pub python: PathBuf,
    /// The `sluicegate` CLI.
    pub sluicegate: PathBuf,
}

/// A sample repository in the fake GitHub.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// The numeric id.
    pub id: u64,
    /// `owner/name`.
    pub full_name: String,
    /// The directory of the bare repository.
    pub bare: PathBuf,
}

/// The secrets of a local run.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// The signing key of webhooks.
    pub webhook: String,
    /// The forge's token.
    pub token: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// The outputs of the installation's Terraform.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Installed {
    /// The function URL as AWS returns it.
    pub webhook_url: String,
    /// The URL of the status queue.
    pub status_queue_url: String,
    /// The URL of the queue with undelivered events.
    pub events_lost_queue_url: String,
    /// The ARN of the state machine.
    pub state_machine_arn: String,
    /// The name of the table.
    pub table_name: String,
    /// The name of the event bus.
    pub event_bus_name: String,
    /// The names of the buckets.
    pub buckets: Buckets,
    /// The ARNs of the secrets.
    pub secret_arns: SecretArns,
    /// The enrolled repositories by key, such as `github-42`.
    pub repositories: std::collections::BTreeMap<String, Enrolled>,
    /// Function names by step.
    pub functions: std::collections::BTreeMap<String, String>,
    /// Log group names by component.
    pub log_groups: std::collections::BTreeMap<String, String>,
}

/// Bucket names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Buckets {
    /// Sources, jobs and plans.
    pub artifacts: String,
    /// The audit entries.
    pub audit: String,
    /// The Terraform states of delivered stacks.
    pub state: String,
    /// The access logs of the other buckets.
    pub access_logs: String,
}

/// Secret ARNs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretArns {
    /// The forge's token.
    pub git: String,
}

/// An enrolled repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolled {
    /// The ARN of the secret with the keys of its webhook.
    pub webhook_secret_arn: String,
}

impl LocalRun {
    /// Reads the local run in a directory.
    ///
    /// # Errors
    /// When there is none, or its file is not readable.
    pub fn find(dir: &Path) -> anyhow::Result<Self> {
        let file = dir.join(RUN_FILE);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("no local run in {}: cannot read it", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
    }

    /// Ends the process that owns the local run, and waits until its processes and directory are gone.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&self) -> anyhow::Result<()> {
        stop(self.pid, &self.dir).await
    }

    /// Runs `terraform plan`, `apply` or `destroy` on the local root with this run's state, variables and
    /// the given options. Returns the output.
    ///
    /// # Errors
    /// When terraform fails.
    pub async fn terraform(
        &self,
        machine: &machine::Machine,
        args: &[&str],
    ) -> anyhow::Result<String> {
        let root = terraform::Root {
            machine,
            dir: &self.dir,
            environment: self.environment(),
        };
        root.with_variables(args).await
    }

    /// Returns a command for the AWS CLI. It is run by Python, because the shebang line of the `aws` script
    /// cannot contain a path with a space.
    #[must_use]
    pub fn aws(&self) -> tokio::process::Command {
        let python = &self.tools.python;
        let mut command = tokio::process::Command::new(python);
        command.arg(python.with_file_name("aws"));
        command.envs(self.environment());
        command
    }

    /// Returns the address of the image registry, `127.0.0.1:<port>`.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// Returns the environment in which the AWS CLI, terraform and `sluicegate` access this local run.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ENDPOINT_URL_BATCH", self.batch.clone()),
            ("AWS_ENDPOINT_URL_CODEBUILD", self.codebuild.clone()),
            ("AWS_REGION", REGION.to_owned()),
            // The AWS CLI reads only this one.
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }
}

impl LocalRun {
    /// Returns the settings by which `sluicegate` finds this installation's Terraform outputs.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let file = self.dir.join(SETTINGS_FILE);
        vec![("SLUICEGATE_SETTINGS", file.display().to_string())]
    }
}

/// Polls a condition every 100 ms. Returns whether it became true in time.
pub async fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = tokio::time::Instant::now() + limit;
    while !holds() {
        if tokio::time::Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    true
}
