//! The settings of a job, read once from its environment.

use std::path::PathBuf;

use domain::env_vars;
use domain::error::{ErrorName, StepError};
use domain::ids::{EnvironmentName, IdError, RepositoryKey};

use crate::start::BatchAttempt;

/// The id of the Batch job, set by Batch.
const BATCH_JOB: &str = "AWS_BATCH_JOB_ID";
/// The number of the attempt of the Batch job, set by Batch.
const BATCH_ATTEMPT: &str = "AWS_BATCH_JOB_ATTEMPT";

/// The settings that come from the job definition and from Batch.
#[derive(Clone)]
pub struct Settings {
    /// The artifacts bucket.
    pub bucket: String,
    /// The repository whose jobs the job definition runs.
    pub repository: RepositoryKey,
    /// The environment whose jobs the job definition runs.
    pub environment: EnvironmentName,
    /// The path of the Terraform binary.
    pub terraform: PathBuf,
    /// The provider mirror, which contains `registry.terraform.io/...`. Without one, no provider
    /// can be installed.
    pub mirror: Option<PathBuf>,
    /// The log level of the libraries on standard error: `error`, `warn`, `info` or `debug`.
    pub log: String,
    /// The attempt of the Batch job; `None` outside Batch.
    pub batch: Option<BatchAttempt>,
    /// The directory in which working directories are created.
    pub temp: PathBuf,
    /// All environment variables of the job. `terraform-cli` decides which of them Terraform
    /// receives.
    pub variables: Vec<(String, String)>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("bucket", &self.bucket)
            .field("terraform", &self.terraform)
            .field("mirror", &self.mirror)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the settings from environment variables.
    ///
    /// # Errors
    /// `SettingsInvalid` if the bucket, the repository or the environment is missing or invalid, or the
    /// path of the mirror is relative.
    pub fn read(variables: Vec<(String, String)>, temp: PathBuf) -> Result<Self, StepError> {
        let get = |name: &str| {
            variables
                .iter()
                .find(|(key, value)| key == name && !value.is_empty())
                .map(|(_, value)| value.clone())
        };
        let invalid = |message: String| StepError::new(ErrorName::SettingsInvalid, message);
        let bucket = get(env_vars::BUCKET).ok_or_else(|| {
            invalid(format!(
                "{} is not set: expected the artifacts bucket's name",
                env_vars::BUCKET
            ))
        })?;
        let required = |name: &str| {
            get(name).ok_or_else(|| {
                invalid(format!(
                    "{name} is not set: expected the value of the job definition"
                ))
            })
        };
        let wrong = |name: &str, error: IdError| invalid(format!("{name}: {error}"));
        let repository = RepositoryKey::parse(&required(env_vars::REPOSITORY)?)
            .map_err(|error| wrong(env_vars::REPOSITORY, error))?;
        let environment = EnvironmentName::parse(&required(env_vars::ENVIRONMENT)?)
            .map_err(|error| wrong(env_vars::ENVIRONMENT, error))?;
        let mirror = get(env_vars::PROVIDER_MIRROR).map(PathBuf::from);
        if let Some(path) = mirror.as_ref().filter(|path| !path.is_absolute()) {
            return Err(invalid(format!(
                "{} is {path:?}: expected an absolute path",
                env_vars::PROVIDER_MIRROR
            )));
        }
        Ok(Self {
            bucket,
            repository,
            environment,
            terraform: get(env_vars::TERRAFORM)
                .unwrap_or_else(|| "terraform".to_owned())
                .into(),
            mirror,
            log: get(env_vars::LOG).unwrap_or_else(|| "info".to_owned()),
            batch: get(BATCH_JOB).map(|job| BatchAttempt {
                job,
                attempt: get(BATCH_ATTEMPT)
                    .and_then(|attempt| attempt.parse().ok())
                    .unwrap_or(1),
            }),
            temp,
            variables,
        })
    }

    /// Returns the environment variables of this process, except those that are not UTF-8.
    #[must_use]
    pub fn of_process() -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Returns [`Self::log`] as a level; `info` if it is not a valid level.
    #[must_use]
    pub fn level(&self) -> tracing_subscriber::filter::LevelFilter {
        self.log
            .parse()
            .unwrap_or(tracing_subscriber::filter::LevelFilter::INFO)
    }

    /// Returns whether S3 has a custom endpoint, which needs path-style addressing.
    #[must_use]
    pub fn path_style(&self) -> bool {
        self.variables.iter().any(|(key, value)| {
            matches!(key.as_str(), "AWS_ENDPOINT_URL" | "AWS_ENDPOINT_URL_S3") && !value.is_empty()
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, StepError> {
        let scope = [
            ("SLUICEGATE_REPOSITORY", "github-7"),
            ("SLUICEGATE_ENVIRONMENT", "production"),
        ];
        let variables = pairs
            .iter()
            .chain(&scope)
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Settings::read(variables, "/tmp".into())
    }

    #[test]
    fn defaults_and_mistakes() {
        let settings =
            read(&[("SLUICEGATE_BUCKET", "b"), ("AWS_ENDPOINT_URL", "http://e")]).unwrap();
        assert_eq!(settings.terraform, PathBuf::from("terraform"));
        assert!(settings.mirror.is_none() && settings.path_style());
        assert_eq!(settings.batch, None);
        let of_batch = [
            ("SLUICEGATE_BUCKET", "b"),
            ("AWS_BATCH_JOB_ID", "j"),
            ("AWS_BATCH_JOB_ATTEMPT", "2"),
        ];
        let attempt = read(&of_batch).unwrap().batch.unwrap();
        assert_eq!((attempt.job.as_str(), attempt.attempt), ("j", 2));
        let missing = read(&[("SLUICEGATE_BUCKET", "")]).unwrap_err();
        assert_eq!(missing.name, ErrorName::SettingsInvalid);
        let relative = read(&[
            ("SLUICEGATE_BUCKET", "b"),
            ("SLUICEGATE_PROVIDER_MIRROR", "m"),
        ]);
        assert!(relative.unwrap_err().message.contains("absolute"));
    }
}
