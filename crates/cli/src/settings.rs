//! The location of the pipeline.

use crate::args::Place;
use crate::failure::{Failure, Kind, Outcome};
use domain::error::ErrorName;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The resources of an installed pipeline that the commands use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of the DynamoDB table.
    pub table: String,
    /// The name of the artifacts bucket.
    pub bucket: String,
    /// The name of the audit bucket.
    pub audit_bucket: String,
    /// The log groups: each Lambda by its step, `jobs` and `build`. Empty without a settings file.
    pub log_groups: BTreeMap<String, String>,
    /// What only recovery needs. None without a settings file.
    pub recovery: Option<RecoverySettings>,
}

/// The resources that only the recovery of runs and states needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverySettings {
    /// The ARN of the state machine.
    pub state_machine_arn: String,
    /// The names of the job queues.
    pub job_queues: Vec<String>,
    /// The URL of the status queue.
    pub status_queue_url: String,
    /// The name of the bucket of the stacks' states.
    pub state_bucket: String,
}

/// The part of the pipeline's Terraform outputs that is read.
#[derive(Debug, Default, Deserialize)]
struct File {
    installation: Output,
}

#[derive(Debug, Default, Deserialize)]
struct Output {
    value: Installation,
}

#[derive(Debug, Default, Deserialize)]
struct Installation {
    table_name: Option<String>,
    #[serde(default)]
    buckets: BTreeMap<String, String>,
    #[serde(default)]
    log_groups: BTreeMap<String, String>,
    #[serde(default)]
    job_queues: BTreeMap<String, String>,
    status_queue_url: Option<String>,
    state_machine_arn: Option<String>,
}

const NEXT: &str = "Run `terraform output -json > sluicegate.json` in the pipeline's Terraform root and pass \
                    `--settings sluicegate.json`, or set SLUICEGATE_TABLE, SLUICEGATE_BUCKET and SLUICEGATE_AUDIT_BUCKET.";

fn invalid(what: String) -> Failure {
    Failure::new(Kind::Pipeline(ErrorName::SettingsInvalid), what, NEXT)
}

/// Returns the failure of a command that needs a settings file.
#[must_use]
pub fn no_file() -> Failure {
    let next = "Run `terraform output -json > sluicegate.json` in the pipeline's Terraform root and \
                pass `--settings sluicegate.json`.";
    let what = "the state machine, the queues and the state bucket of the pipeline are not known";
    Failure::new(Kind::Pipeline(ErrorName::SettingsInvalid), what, next)
}

impl Settings {
    /// Merges options, environment variables and the settings file; the file has the lowest
    /// precedence.
    ///
    /// # Errors
    /// `SettingsInvalid` if a value is missing or the file cannot be read.
    pub fn read(place: &Place) -> Outcome<Self> {
        let file = match &place.settings {
            None => File::default(),
            Some(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|error| invalid(format!("read {}: {error}", path.display())))?;
                serde_json::from_slice(&bytes).map_err(|error| {
                    invalid(format!(
                        "{} is not what `terraform output -json` writes: {error}",
                        path.display()
                    ))
                })?
            }
        };
        let Installation {
            table_name,
            buckets,
            log_groups,
            job_queues,
            status_queue_url,
            state_machine_arn,
        } = file.installation.value;
        let pick = |given: &Option<String>, found: Option<String>, what: &str| {
            let given = given.clone().filter(|text| !text.is_empty());
            given
                .or(found)
                .ok_or_else(|| invalid(format!("{what} of the pipeline is not known")))
        };
        Ok(Self {
            table: pick(&place.table, table_name, "the table")?,
            bucket: pick(
                &place.bucket,
                buckets.get("artifacts").cloned(),
                "the artifacts bucket",
            )?,
            audit_bucket: pick(
                &place.audit_bucket,
                buckets.get("audit").cloned(),
                "the audit bucket",
            )?,
            log_groups,
            recovery: match (state_machine_arn, status_queue_url, buckets.get("state")) {
                (Some(state_machine_arn), Some(status_queue_url), Some(state_bucket))
                    if !job_queues.is_empty() =>
                {
                    Some(RecoverySettings {
                        state_machine_arn,
                        job_queues: job_queues.into_values().collect(),
                        status_queue_url,
                        state_bucket: state_bucket.clone(),
                    })
                }
                _ => None,
            },
        })
    }
}
