//! The side without Sluicegate: the commands of Terraform, one after the other.

use super::sample::STACKS;
use crate::Harness;
use anyhow::{Context as _, ensure};
use fakes::process;
use local_run::machine::{Machine, terraform_config};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;
use tokio::process::Command;

/// The environment of this side. Its objects have other names than those of Sluicegate's environment.
pub(super) const ENVIRONMENT: &str = "baseline";
/// The plan file.
const PLAN: &str = "plan.tfplan";

/// A measured command.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// The stack.
    pub stack: String,
    /// The command: `init`, `validate`, `plan`, `show` or `apply`.
    pub command: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// The same change, made with Terraform alone.
#[derive(Debug)]
pub(super) struct Raw {
    /// The commands in order.
    pub steps: Vec<Step>,
    /// What `show -json` printed, for each stack.
    pub plans: Vec<Vec<u8>>,
    /// The state files after the change, for each stack.
    pub states: Vec<Vec<u8>>,
}

impl Raw {
    /// Returns how long all commands took, in seconds.
    #[must_use]
    pub(super) fn seconds(&self) -> f64 {
        self.steps.iter().map(|step| step.seconds).sum()
    }
}

/// Terraform on this machine, with its own states in the local run's bucket.
pub(super) struct Terraform<'a> {
    harness: &'a Harness,
    machine: &'a Machine,
    dir: PathBuf,
    config: PathBuf,
}

/// The part of a state file that the next stack needs.
#[derive(Deserialize)]
struct State {
    #[serde(default)]
    outputs: std::collections::BTreeMap<String, Output>,
}

#[derive(Deserialize)]
struct Output {
    value: Value,
}

impl<'a> Terraform<'a> {
    /// Uses `dir` for working directories.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn new(
        harness: &'a Harness,
        machine: &'a Machine,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let config = dir.join("terraform.rc");
        std::fs::write(&config, terraform_config(&machine.mirror))?;
        Ok(Self {
            harness,
            machine,
            dir: dir.to_owned(),
            config,
        })
    }

    /// Applies the commit of `main` of a bare repository in a new clone, as a job would. Only the
    /// commands are measured.
    ///
    /// # Errors
    /// When a command fails. The error contains its output.
    pub(super) async fn apply(
        &self,
        bare: &Path,
        repository: &str,
        name: &str,
    ) -> anyhow::Result<Raw> {
        let clone = self.dir.join(name);
        let mut git = Command::new("git");
        git.args(["clone", "--quiet", "--branch", "main"])
            .arg(bare)
            .arg(&clone);
        checked(&mut git, "git clone").await?;
        let mut raw = Raw {
            steps: Vec::new(),
            plans: Vec::new(),
            states: Vec::new(),
        };
        let mut variables = Map::from_iter([("environment".to_owned(), ENVIRONMENT.into())]);
        for (stack, dir) in STACKS {
            let dir = clone.join(dir);
            std::fs::write(
                dir.join("backend_override.tf.json"),
                self.backend(stack).to_string(),
            )?;
            // A variable that a stack does not declare would print a warning.
            let mut own = variables.clone();
            own.retain(|name, _| name == "environment" || stack == "app");
            std::fs::write(
                dir.join("bench.tfvars.json"),
                Value::from(own.clone()).to_string(),
            )?;
            let out = format!("-out={PLAN}");
            for args in [
                &["init", "-input=false", "-no-color"][..],
                &["validate", "-no-color"],
                &[
                    "plan",
                    "-input=false",
                    "-no-color",
                    "-var-file=bench.tfvars.json",
                    &out,
                ],
                &["show", "-json", PLAN],
                &["apply", "-input=false", "-no-color", PLAN],
            ] {
                let command = args.first().copied().unwrap_or_default();
                let mut terraform = self.command(&dir, repository, stack);
                terraform.args(args);
                let began = Instant::now();
                let output = checked(&mut terraform, &format!("terraform {command}")).await?;
                raw.steps.push(Step {
                    stack: stack.to_owned(),
                    command: command.to_owned(),
                    seconds: began.elapsed().as_secs_f64(),
                });
                if command == "show" {
                    raw.plans.push(output);
                }
            }
            let state = self.state(stack).await?;
            let read: State = serde_json::from_slice(&state)?;
            let outputs = read.outputs.into_iter();
            let outputs: Map<_, _> = outputs.map(|(name, output)| (name, output.value)).collect();
            variables.insert(stack.to_owned(), outputs.into());
            raw.states.push(state);
        }
        std::fs::remove_dir_all(&clone)?;
        Ok(raw)
    }

    fn backend(&self, stack: &str) -> Value {
        json!({"terraform": {"backend": {"s3": {
            "bucket": self.harness.local.installed.buckets.state,
            "key": key(stack),
            "region": local_run::REGION,
            "use_lockfile": true,
            "use_path_style": true,
        }}}})
    }

    async fn state(&self, stack: &str) -> anyhow::Result<Vec<u8>> {
        let bucket = &self.harness.local.installed.buckets.state;
        let state = self.harness.object(bucket, &key(stack)).await?;
        state.with_context(|| format!("stack {stack} has no state at {}", key(stack)))
    }

    /// Returns Terraform with the tags that the runner sets, and without the runner's settings for speed.
    fn command(&self, dir: &Path, repository: &str, stack: &str) -> Command {
        let mut command = Command::new(&self.machine.terraform);
        command
            .current_dir(dir)
            .env_clear()
            .envs(self.harness.local.environment())
            .env("PATH", &self.machine.path)
            .env("HOME", &self.dir)
            .env("TF_CLI_CONFIG_FILE", &self.config)
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_AWS_DEFAULT_TAGS_sluicegate_repository", repository)
            .env("TF_AWS_DEFAULT_TAGS_sluicegate_environment", ENVIRONMENT)
            .env("TF_AWS_DEFAULT_TAGS_sluicegate_stack", stack)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

fn key(stack: &str) -> String {
    format!("{ENVIRONMENT}/{stack}.tfstate")
}

/// Returns the standard output of a program that must succeed.
async fn checked(command: &mut Command, what: &str) -> anyhow::Result<Vec<u8>> {
    let output = process::output(command).await?;
    ensure!(
        output.status.success(),
        "`{what}` ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
