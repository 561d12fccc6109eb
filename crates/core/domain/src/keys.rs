//! The keys and tags of objects in S3, and the tags of images. Every key contains the digest, run
//! or repository that it belongs to.

use crate::ids::{
    EnvironmentName, ImageDigest, JobId, RepositoryKey, RunId, Sha256Digest, StackName,
};
use std::fmt;

/// Returns the key of a sealed source archive in the artifacts bucket.
#[must_use]
pub fn source(repository: RepositoryKey, digest: &Sha256Digest) -> String {
    format!("sources/{repository}/{digest}.zip")
}

/// The objects of a run in the artifacts bucket: `runs/<repository>/<environment>/<run>/`. The roles
/// of jobs reach those of their own repository and environment only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunObjects {
    repository: RepositoryKey,
    environment: EnvironmentName,
    run: RunId,
}

impl RunObjects {
    /// Returns the objects of a run.
    #[must_use]
    pub fn new(repository: RepositoryKey, environment: EnvironmentName, run: RunId) -> Self {
        Self {
            repository,
            environment,
            run,
        }
    }

    /// Returns the key of one of a job's objects.
    #[must_use]
    pub fn job(&self, job: &JobId, file: JobFile) -> String {
        format!("{}{job}/{}", self.jobs(), file.name())
    }

    /// Returns the prefix of the keys of all jobs.
    #[must_use]
    pub fn jobs(&self) -> String {
        format!("{self}jobs/")
    }

    /// Returns the job whose log has this key, or none for other keys.
    #[must_use]
    pub fn job_of_log(&self, key: &str) -> Option<JobId> {
        self.job_of(key, JobFile::Log)
    }

    /// Returns the job whose state that it could not write has this key, or none for other keys.
    #[must_use]
    pub fn job_of_errored_state(&self, key: &str) -> Option<JobId> {
        self.job_of(key, JobFile::ErroredState)
    }

    fn job_of(&self, key: &str, expected: JobFile) -> Option<JobId> {
        let (job, file) = key.strip_prefix(&self.jobs())?.split_once('/')?;
        let job = JobId::parse(job).ok()?;
        (file == expected.name()).then_some(job)
    }

    /// Returns the key of the outputs that the run keeps for a stack without a job.
    #[must_use]
    pub fn outputs(&self, stack: &StackName) -> String {
        format!("{self}stacks/{stack}/{}", JobFile::Outputs.name())
    }

    /// Returns the key of the dependencies that the run keeps for a stack without a job.
    #[must_use]
    pub fn dependencies(&self, stack: &StackName) -> String {
        format!("{self}stacks/{stack}/{}", JobFile::Dependencies.name())
    }
}

impl fmt::Display for RunObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            repository,
            environment,
            run,
        } = self;
        write!(f, "runs/{repository}/{environment}/{run}/")
    }
}

/// The objects of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobFile {
    /// The job spec.
    Spec,
    /// Written by the container that starts the job. A second attempt of a plan writes it again.
    Started,
    /// The job result.
    Result,
    /// The plan file.
    Plan,
    /// The output of `terraform show -json` for the plan.
    PlanJson,
    /// The modules from outside the source, and the lock file.
    Dependencies,
    /// The output of `terraform output -json`.
    Outputs,
    /// Terraform's messages, one per line.
    Log,
    /// The state that Terraform could not write. Exists only after such a failure.
    ErroredState,
}

impl JobFile {
    fn name(self) -> &'static str {
        match self {
            Self::Spec => "job.json",
            Self::Started => "started.json",
            Self::Result => "result.json",
            Self::Plan => "plan.tfplan",
            Self::PlanJson => "plan.json",
            Self::Dependencies => "dependencies.zip",
            Self::Outputs => "outputs.json",
            Self::Log => "log.jsonl",
            Self::ErroredState => "errored.tfstate",
        }
    }
}

/// Returns the tags of an object, in the form that S3 expects. Plans and states that could not be
/// written may hold secrets in plain text and are not needed after their run, so they expire after
/// a week.
#[must_use]
pub fn tagging(key: &str) -> Option<&'static str> {
    let short = [JobFile::Plan, JobFile::PlanJson, JobFile::ErroredState];
    let name = key.rsplit('/').next().unwrap_or_default();
    let is_short = key.starts_with("runs/") && short.iter().any(|file| file.name() == name);
    is_short.then_some("sluicegate-retention=short")
}

/// Returns the key of an audit entry in the audit bucket.
#[must_use]
pub fn audit(repository: RepositoryKey, seq: u64) -> String {
    format!("{}{seq:08}.json", audit_entries(Some(repository)))
}

/// Returns the prefix of the keys of a repository's audit entries, or of all entries.
#[must_use]
pub fn audit_entries(repository: Option<RepositoryKey>) -> String {
    match repository {
        Some(repository) => format!("audit/{repository}/"),
        None => "audit/".to_owned(),
    }
}

/// Returns the repository whose audit entry has this key.
#[must_use]
pub fn repository_of_audit(key: &str) -> Option<RepositoryKey> {
    let (repository, _entry) = key.strip_prefix("audit/")?.split_once('/')?;
    RepositoryKey::parse(repository).ok()
}

/// Returns the key of a stack's state in the state bucket.
#[must_use]
pub fn state(
    repository: RepositoryKey,
    environment: &EnvironmentName,
    stack: &StackName,
) -> String {
    format!("{repository}/{environment}/{stack}.tfstate")
}

/// Returns the key of the lock that Terraform's S3 backend writes beside a state.
#[must_use]
pub fn state_lock(state: &str) -> String {
    format!("{state}.tflock")
}

/// Returns the job whose start an object of the artifacts bucket records.
#[must_use]
pub fn started_job(key: &str) -> Option<JobId> {
    let (rest, name) = key.rsplit_once('/')?;
    let (_, job) = rest.rsplit_once('/')?;
    let job = (name == JobFile::Started.name()).then_some(job)?;
    JobId::parse(job).ok()
}

/// Returns the tag of an image that was deployed and healthy. The registry's lifecycle policy keeps
/// images with this tag, because a rollback may need them. Every delivery of an image has the same
/// tag: ECR accepts 1,000 tags for one image.
#[must_use]
pub fn deployed_tag(digest: &ImageDigest) -> String {
    let digest = digest.as_str();
    format!(
        "deployed-{}",
        digest.strip_prefix("sha256:").unwrap_or(digest)
    )
}
