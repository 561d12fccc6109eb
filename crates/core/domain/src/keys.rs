//! Where things lie in S3 and how they are tagged. Every key carries what it belongs to.

use crate::ids::{CommitId, EnvironmentName, JobId, RepositoryKey, RunId, Sha256Digest, StackName};

/// The sealed source archive, in the artifacts bucket.
#[must_use]
pub fn source(digest: &Sha256Digest) -> String {
    format!("sources/{digest}.zip")
}

/// An object of a job, in the artifacts bucket.
#[must_use]
pub fn job(run: &RunId, job: &JobId, file: JobFile) -> String {
    format!("runs/{run}/jobs/{job}/{}", file.name())
}

/// The objects of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobFile {
    /// The job spec.
    Spec,
    /// Written by the container that runs the job, and again by the next attempt of a plan.
    Started,
    /// The result.
    Result,
    /// The plan file.
    Plan,
    /// `terraform show -json` of the plan.
    PlanJson,
    /// `terraform output -json`.
    Outputs,
    /// Terraform's messages, a line each.
    Log,
    /// The state that terraform could not write, if there is one.
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
            Self::Outputs => "outputs.json",
            Self::Log => "log.jsonl",
            Self::ErroredState => "errored.tfstate",
        }
    }
}

/// The tags of an object, as S3 takes them. What may hold secrets in clear and is not needed once
/// its run is over is kept for a week: plans and the state that could not be written.
#[must_use]
pub fn tagging(key: &str) -> Option<&'static str> {
    let short = [JobFile::Plan, JobFile::PlanJson, JobFile::ErroredState];
    let name = key.rsplit('/').next().unwrap_or_default();
    let is_short = key.starts_with("runs/") && short.iter().any(|file| file.name() == name);
    is_short.then_some("sluicegate-retention=short")
}

/// An audit entry, in the audit bucket.
#[must_use]
pub fn audit(repository: RepositoryKey, seq: u64) -> String {
    format!("audit/{repository}/{seq:08}.json")
}

/// A stack's state, in the state bucket.
#[must_use]
pub fn state(
    repository: RepositoryKey,
    environment: &EnvironmentName,
    stack: &StackName,
) -> String {
    format!("{repository}/{environment}/{stack}.tfstate")
}

/// The tag under which an image is found by its commit.
#[must_use]
pub fn commit_tag(commit: &CommitId) -> String {
    commit.as_str().to_owned()
}

/// The tag of an image that was deployed and healthy. The registry's life cycle spares images with
/// it: the way back may need them.
#[must_use]
pub fn deployed_tag(commit: &CommitId) -> String {
    format!("deployed-{commit}")
}

/// The tag under which an image is found by what it was made from: git's own digest of the build
/// context's tree, and 8 hex digits of what else decides about it, the Dockerfile's path and the
/// test command.
#[must_use]
pub fn tree_tag(tree: &CommitId, dockerfile: &str, test: &str) -> String {
    let rest = Sha256Digest::of(format!("{dockerfile}\0{test}").as_bytes()).to_string();
    let short: String = rest.chars().take(8).collect();
    format!("tree-{tree}-{short}")
}
