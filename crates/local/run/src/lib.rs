#![doc = include_str!("../README.md")]

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

/// The file in a local run's directory that says where everything is.
pub const RUN_FILE: &str = "local-run.json";
/// The file that `up` writes its steps to, a line each.
pub const STEPS_FILE: &str = "up.log";

/// The file that holds what Terraform installed, as `terraform output -json` writes it.
pub const SETTINGS_FILE: &str = "sluicegate.json";

/// The region of every local run.
pub const REGION: &str = "eu-central-1";
/// The emulator's account.
pub const ACCOUNT: &str = "000000000000";

/// A checkout of the project, in six characters: part of the names of what its local runs leave.
/// scripts/build-runner-image.sh makes it too.
#[must_use]
pub fn checkout(root: &Path) -> String {
    let root = domain::ids::Sha256Digest::of(root.as_os_str().as_encoded_bytes());
    root.as_str().get(..6).unwrap_or_default().to_owned()
}

/// Where everything of a local run is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalRun {
    /// The process that owns it.
    pub pid: i32,
    /// Its directory; gone when it ends.
    pub dir: PathBuf,
    /// The emulator: `http://127.0.0.1:<port>`.
    pub endpoint: String,
    /// The fake Batch server.
    pub batch: String,
    /// The fake CodeBuild server.
    pub codebuild: String,
    /// The fake GitHub.
    pub github: String,
    /// The webhook's address.
    pub webhook: String,
    /// Whether containers run.
    pub docker: machine::Docker,
    /// What Batch jobs run as.
    pub jobs: containers::Jobs,
    /// The name of this local run on its containers, see [`containers::LABEL`].
    pub instance: String,
    /// Programs that look at it.
    pub tools: Tools,
    /// The sample repositories.
    pub samples: Vec<Sample>,
    /// The values of the secrets: made for this local run, and searched for in everything it wrote.
    pub secrets: Secrets,
    /// What Terraform installed.
    pub installed: Installed,
}

/// Programs that look at a local run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tools {
    /// Python with the AWS command line beside it.
    pub python: PathBuf,
    /// The operator's command line.
    pub sluicegate: PathBuf,
}

/// A sample repository as it was made in the fake GitHub.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// The numeric id.
    pub id: u64,
    /// `owner/name`.
    pub full_name: String,
    /// The bare repository's directory.
    pub bare: PathBuf,
}

/// The secrets of a local run.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// Signs webhooks.
    pub webhook: String,
    /// The forge's token.
    pub token: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// What Terraform installed: its outputs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Installed {
    /// The function URL as AWS gives it.
    pub webhook_url: String,
    /// The status queue.
    pub status_queue_url: String,
    /// Events that could not be delivered.
    pub events_lost_queue_url: String,
    /// The state machine.
    pub state_machine_arn: String,
    /// The table.
    pub table_name: String,
    /// The event bus.
    pub event_bus_name: String,
    /// Buckets.
    pub buckets: Buckets,
    /// Secrets.
    pub secret_arns: SecretArns,
    /// Functions' names, by step.
    pub functions: std::collections::BTreeMap<String, String>,
    /// Log groups' names.
    pub log_groups: std::collections::BTreeMap<String, String>,
}

/// Names of buckets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Buckets {
    /// Sources, jobs, plans.
    pub artifacts: String,
    /// The audit.
    pub audit: String,
    /// The delivered stacks' states.
    pub state: String,
    /// Who asked the other buckets.
    pub access_logs: String,
}

/// ARNs of secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretArns {
    /// The webhook's key.
    pub webhook: String,
    /// The forge's token.
    pub git: String,
}

impl LocalRun {
    /// Finds the local run in a directory.
    ///
    /// # Errors
    /// When there is none, or its file is not readable.
    pub fn find(dir: &Path) -> anyhow::Result<Self> {
        let file = dir.join(RUN_FILE);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("no local run in {}: cannot read it", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
    }

    /// Ends the process that owns the local run, and waits until everything of it is gone.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&self) -> anyhow::Result<()> {
        stop(self.pid, &self.dir).await
    }

    /// Runs terraform on the local root with this run's state and variables: `plan`, `apply` or
    /// `destroy`, with options of its own. Returns what it prints.
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

    /// The AWS command line. It is run by Python, since the first line of the `aws` script cannot
    /// hold a path with a space.
    #[must_use]
    pub fn aws(&self) -> tokio::process::Command {
        let python = &self.tools.python;
        let mut command = tokio::process::Command::new(python);
        command.arg(python.with_file_name("aws"));
        command.envs(self.environment());
        command
    }

    /// The registry of its images, `127.0.0.1:<port>`.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// The environment in which the AWS command line, terraform and `sluicegate` reach this local run.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ENDPOINT_URL_BATCH", self.batch.clone()),
            ("AWS_ENDPOINT_URL_CODEBUILD", self.codebuild.clone()),
            ("AWS_REGION", REGION.to_owned()),
            // The AWS command line reads only this one.
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }
}

impl LocalRun {
    /// What `sluicegate` needs to know of this installation: where the outputs of its Terraform are.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let file = self.dir.join(SETTINGS_FILE);
        vec![("SLUICEGATE_SETTINGS", file.display().to_string())]
    }
}

/// Looks every 100 ms whether something holds. Says whether it did in time.
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
