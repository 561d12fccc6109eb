//! A Batch job's sealed spec and its result.

use crate::error::{ErrorName, StepError};
use crate::ids::{
    CommitId, EnvironmentName, JobId, RepositoryKey, RepositoryName, RunId, StackName,
};
use crate::keys::{self, JobFile};
use crate::plan::{ObjectRef, PlanKind, PlanSummary, SealedPlan, SideEffects, StateVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of [`JobSpec`] and [`JobResult`] that this code writes and reads.
pub const JOB_SCHEMA: u32 = 1;

/// Seconds that terraform may take for a plan. Terraform's default for the Batch job is longer,
/// so that the runner, and not Batch, stops terraform; a test compares them.
pub const PLAN_SECONDS: u32 = 1_500;

/// Seconds that terraform may take for an apply; shorter than the Batch job's too.
pub const APPLY_SECONDS: u32 = 6_900;

/// Seconds past its time limit within which a job has written its result. A second Batch job for
/// the same spec waits no longer than that, and ends before Batch ends it.
pub const RESULT_SECONDS: u32 = 60;

/// The exit code of a plan that a SIGTERM interrupted. The job definition has Batch retry it.
pub const INTERRUPTED_EXIT: u8 = 143;

/// What the runner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// `init`, `fmt -check`, `plan -out` (which validates), `show -json`.
    Plan,
    /// Applies a sealed plan.
    Apply,
}

impl Verb {
    /// The verb as the runner's command line spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
        }
    }
}

/// A job, written by a Lambda before the job is submitted and never changed. The job id holds
/// half of its digest, so the runner notices a changed spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// [`JOB_SCHEMA`].
    pub schema: u32,
    /// The run.
    pub run: RunId,
    /// What to do.
    pub verb: Verb,
    /// The kind of the plan. A rollback destroys a stack that the last good commit does not have.
    pub plan_kind: PlanKind,
    /// Counts the jobs of this run, verb and stack, from 1.
    pub attempt: u32,
    /// The repository.
    pub repository_key: RepositoryKey,
    /// The repository's name.
    pub repository: RepositoryName,
    /// The commit.
    pub commit: CommitId,
    /// The environment.
    pub environment: EnvironmentName,
    /// The stack.
    pub stack: StackName,
    /// The stack's directory, relative to the archive's root, with `/`.
    pub dir: String,
    /// The sealed source archive.
    pub source: ObjectRef,
    /// Where the stack's state is.
    pub backend: Backend,
    /// Outputs of the stacks that this one needs: stack name to its outputs object.
    pub inputs: BTreeMap<StackName, ObjectRef>,
    /// For `apply`: the plan that was sealed.
    pub plan: Option<SealedPlan>,
    /// Seconds that terraform may take; past it the job stops it as a SIGTERM would.
    pub timeout_seconds: u32,
}

impl JobSpec {
    /// The job's id, which holds half of the spec's digest, and the spec's key and bytes.
    ///
    /// # Errors
    /// `Internal` when the spec cannot be written as JSON.
    pub fn sealed(&self) -> Result<(JobId, String, Vec<u8>), StepError> {
        let bytes = serde_json::to_vec(self).map_err(|error| {
            StepError::new(ErrorName::Internal, format!("write a job spec: {error}"))
        })?;
        let job = JobId::seal(self.verb.as_str(), &self.stack, self.attempt, &bytes);
        let key = keys::job(&self.run, &job, JobFile::Spec);
        Ok((job, key, bytes))
    }
}

/// Where terraform keeps a stack's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Backend {
    /// The S3 backend with `use_lockfile`.
    S3 {
        /// The bucket.
        bucket: String,
        /// The state's key.
        key: String,
        /// The bucket's region.
        region: String,
    },
    /// A local state file. Only the runner's tests use it; the Lambdas write `S3` only.
    Local {
        /// An absolute path.
        path: String,
    },
}

/// Written by the runner when its work is over, whatever its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobResult {
    /// [`JOB_SCHEMA`].
    pub schema: u32,
    /// The run, as in the spec.
    pub run: RunId,
    /// The verb, as in the spec.
    pub verb: Verb,
    /// The stack, as in the spec.
    pub stack: StackName,
    /// The end.
    pub outcome: JobOutcome,
    /// Milliseconds from the runner's start to this result.
    pub duration_ms: u64,
    /// What the runner ends with; [`INTERRUPTED_EXIT`] when the job is to be started again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exit_code: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(code: &u8) -> bool {
    *code == 0
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub enum JobOutcome {
    /// A plan was made.
    Planned {
        /// The plan file.
        plan: ObjectRef,
        /// `terraform show -json` of it.
        json: ObjectRef,
        /// The state that it was made from.
        state: StateVersion,
        /// What it would do. Boxed: the summary may be long.
        summary: PlanSummary,
        /// The outputs in the state, when the plan changes nothing.
        outputs: Option<ObjectRef>,
    },
    /// The plan was applied.
    Applied {
        /// `terraform output -json` after it.
        outputs: ObjectRef,
        /// What it did, by address.
        summary: PlanSummary,
    },
    /// It ended with a named error.
    Failed {
        /// The error.
        error: StepError,
        /// Whether terraform may have changed resources before it failed.
        side_effects: SideEffects,
        /// The first diagnostics, at most ten, each with file and line where terraform gave them.
        diagnostics: Vec<String>,
    },
}
