//! Installs Sluicegate into the emulator with the real terraform and AWS provider.

use super::builds;
use super::containers::{self, Jobs};
use super::machine::{self, Machine};
use super::{Installed, REGION, Sample};
use anyhow::{Context as _, bail};
use fakes::process::{self, Group};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The outputs of `terraform/roots/local`, as `terraform output -json` writes them.
#[derive(Deserialize)]
struct Outputs {
    installation: Output,
}

#[derive(Deserialize)]
struct Output {
    value: Installed,
}

/// Terraform on the local root. Everything that it writes is in the local run's directory.
pub(super) struct Root<'a> {
    pub(super) machine: &'a Machine,
    pub(super) dir: &'a Path,
    pub(super) environment: Vec<(&'static str, String)>,
}

impl Root<'_> {
    fn source(&self) -> PathBuf {
        self.machine.root.join("terraform/roots/local")
    }

    fn state(&self) -> String {
        format!("-state={}", self.dir.join("sluicegate.tfstate").display())
    }

    fn variables(&self) -> String {
        format!("-var-file={}", self.dir.join("local.tfvars.json").display())
    }

    /// Writes the variables file of the local root.
    pub(super) fn write_variables(
        &self,
        name: &str,
        registry: &str,
        forge: &str,
        artifacts: &Path,
        samples: &[Sample],
        jobs: &Jobs,
    ) -> anyhow::Result<()> {
        let repositories: Vec<_> = samples
            .iter()
            .map(|sample| {
                json!({
                    "id": sample.id,
                    "full_name": sample.full_name,
                    "clone_url": format!("{forge}/{}.git", sample.full_name),
                    "environments": { "production": {
                        "branches": ["main"],
                        // The sample's stack creates the services and their roles.
                        "services": ["*/*"],
                        "task_role_arns": [
                            format!("arn:aws:iam::{}:role/*", super::ACCOUNT),
                        ],
                    } },
                })
            })
            .collect();
        let environment = match jobs {
            // The image sets both.
            Jobs::Containers(_) => json!({}),
            Jobs::Processes(_) => json!({
                "SLUICEGATE_TERRAFORM": self.machine.terraform,
                "SLUICEGATE_PROVIDER_MIRROR": self.machine.mirror,
            }),
        };
        let variables = json!({
            "name": name,
            "repositories": repositories,
            "lambda_zip": artifacts.join("{step}.zip"),
            "registry_host": registry,
            "forge_url": forge,
            "region": REGION,
            "log_level": "debug",
            "build_image": builds::IMAGE,
            "runner": { "image": containers::IMAGE, "environment": environment },
        });
        std::fs::write(self.dir.join("local.tfvars.json"), variables.to_string())?;
        std::fs::write(
            self.dir.join("terraform.rc"),
            machine::terraform_config(&self.machine.mirror),
        )?;
        Ok(())
    }

    /// Runs `init` and `apply`.
    pub(super) async fn apply(&self) -> anyhow::Result<Installed> {
        self.run(&["init", "-input=false", "-no-color", "-lockfile=readonly"])
            .await?;
        let state = self.state();
        self.with_variables(&["apply", "-auto-approve", "-parallelism=40"])
            .await?;
        let text = self.run(&["output", "-json", "-no-color", &state]).await?;
        std::fs::write(self.dir.join(super::SETTINGS_FILE), &text)?;
        let outputs: Outputs = serde_json::from_str(&text).context("the local root's outputs")?;
        Ok(outputs.installation.value)
    }

    /// Runs `plan`, `apply` or `destroy` with the state and the variables of this local run.
    pub(super) async fn with_variables(&self, args: &[&str]) -> anyhow::Result<String> {
        let (state, variables) = (self.state(), self.variables());
        let last = ["-input=false", "-no-color", &state, &variables];
        self.run(&[args, &last[..]].concat()).await
    }

    async fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let verb = args.first().copied().unwrap_or_default();
        let mut command = Command::new(&self.machine.terraform);
        command
            .args(args)
            .current_dir(self.source())
            .env_clear()
            .envs(self.environment.clone())
            .env("PATH", &self.machine.path)
            .env("HOME", self.dir)
            .env("TMPDIR", self.dir)
            .env("TF_DATA_DIR", self.dir.join("terraform"))
            .env("TF_CLI_CONFIG_FILE", self.dir.join("terraform.rc"))
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .env("GOGC", "400")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = process::spawn(&mut command)?;
        // Providers are separate processes, which do not end when terraform is killed.
        let group = Group::led_by(child.id());
        let output = child
            .wait_with_output()
            .await
            .context("wait for terraform")?;
        drop(group);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let log = self.dir.join(format!("terraform-{verb}.log"));
        let errors = String::from_utf8_lossy(&output.stderr);
        std::fs::write(&log, format!("{said}{errors}"))?;
        if !output.status.success() {
            let start = errors.find("Error").unwrap_or(0);
            let shown: String = errors
                .get(start..)
                .unwrap_or(&errors)
                .chars()
                .take(3000)
                .collect();
            bail!(
                "terraform {verb} failed on the local root (whole log: {}):\n{shown}",
                log.display()
            );
        }
        Ok(said)
    }
}
