//! A local run: the emulator, the stand-ins, the fake GitHub, and Sluicegate installed on them.
//!
//! One process, `sluicegate-local up`, owns all of it ([`up`]); everybody else talks to it over
//! HTTP and finds it by the file `world.json` in its directory ([`World`]).

pub mod containers;
pub mod lifeline;
pub mod machine;
mod stop;
mod terraform;
pub mod up;

pub use stop::{remove, stop};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file in a world's directory that says where everything is.
pub const WORLD_FILE: &str = "world.json";
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
pub struct World {
    /// The process that owns it.
    pub pid: i32,
    /// Its directory; gone when it ends.
    pub dir: PathBuf,
    /// The emulator: `http://127.0.0.1:<port>`.
    pub endpoint: String,
    /// The Batch stand-in.
    pub batch: String,
    /// The CodeBuild stand-in.
    pub codebuild: String,
    /// The fake GitHub.
    pub github: String,
    /// The webhook's address.
    pub webhook: String,
    /// Whether containers run.
    pub docker: machine::Docker,
    /// What Batch jobs run as.
    pub jobs: containers::Jobs,
    /// The name of this world on its containers, see [`containers::LABEL`].
    pub instance: String,
    /// Programs that look at it.
    pub tools: Tools,
    /// The sample repositories.
    pub samples: Vec<Sample>,
    /// The values of the secrets: made for this world, and searched for in everything it wrote.
    pub secrets: WorldSecrets,
    /// What Terraform installed.
    pub installed: Installed,
}

/// Programs that look at a world.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tools {
    /// AWS's command line.
    pub aws: PathBuf,
    /// Ours.
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

/// The secrets of a world.
#[derive(Clone, Serialize, Deserialize)]
pub struct WorldSecrets {
    /// Signs webhooks.
    pub webhook: String,
    /// The forge's token.
    pub token: String,
}

impl std::fmt::Debug for WorldSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorldSecrets(..)")
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

impl World {
    /// Finds the world in a directory.
    ///
    /// # Errors
    /// When there is none, or its file is not readable.
    pub fn find(dir: &Path) -> anyhow::Result<Self> {
        let file = dir.join(WORLD_FILE);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("no local run in {}: cannot read it", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
    }

    /// Ends the process that owns the world, and waits until everything of it is gone.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&self) -> anyhow::Result<()> {
        stop(self.pid, &self.dir).await
    }

    /// What a second `terraform apply` of the local root would change; none when nothing.
    ///
    /// # Errors
    /// When terraform fails.
    pub async fn drift(&self, machine: &machine::Machine) -> anyhow::Result<Option<String>> {
        let root = terraform::Root {
            machine,
            dir: &self.dir,
            environment: self.environment(),
        };
        let plan = root.drift().await?;
        Ok((!plan.contains("No changes.")).then_some(plan))
    }

    /// Destroys what Terraform installed.
    ///
    /// # Errors
    /// When terraform fails.
    pub async fn uninstall(&self, machine: &machine::Machine) -> anyhow::Result<()> {
        let root = terraform::Root {
            machine,
            dir: &self.dir,
            environment: self.environment(),
        };
        root.destroy().await
    }

    /// The registry of its images, `127.0.0.1:<port>`.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// The environment in which the AWS command line, terraform and `sluicegate` reach this world.
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

impl World {
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
