//! The sealed spec of a Batch job, and its result.

use crate::error::StepError;
use crate::ids::{
    CommitId, EnvironmentName, JobId, RepositoryKey, RepositoryName, RunId, StackName,
};
use crate::json::{self, NotWritten};
use crate::keys::{JobFile, RunObjects};
use crate::plan::{
    Extent, ObjectRef, PlanKind, ResourceChange, SealedPlan, SideEffects, StateVersion,
};
use crate::warning::Warnings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of [`JobSpec`] and [`JobResult`] that this code writes and reads.
pub const JOB_SCHEMA: u32 = 5;

/// The time limit of `terraform plan`, in seconds. The Batch job's time limit in Terraform is
/// longer, so that the runner stops Terraform and not Batch. A test compares them.
pub const PLAN_SECONDS: u32 = 1_500;

/// The time limit of `terraform apply`, in seconds. The Batch job's time limit is longer.
pub const APPLY_SECONDS: u32 = 6_900;

/// The time after its time limit in which a job writes its result, in seconds. A second Batch job
/// for the same spec waits no longer than this, and ends before Batch stops it.
pub const RESULT_SECONDS: u32 = 60;

/// The exit code of a plan that was interrupted by SIGTERM. The job definition makes Batch retry
/// it.
pub const INTERRUPTED_EXIT: u8 = 143;

/// The work of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// `init`, `fmt -check`, `plan -out` (which validates), `show -json`.
    Plan,
    /// `init`, `fmt -check`, `validate`: for a stack that is planned only after other stacks are
    /// applied, so that its mistakes are known before the first apply.
    Validate,
    /// Applies a sealed plan.
    Apply,
}

impl Verb {
    /// Returns the verb as written in job ids, and on the runner's command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Validate => "validate",
            Self::Apply => "apply",
        }
    }

    /// Returns whether a job has this verb.
    #[must_use]
    pub fn is_of(self, job: &JobId) -> bool {
        job.verb() == Some(self.as_str())
    }

    /// Returns the verb whose job definition and command run the job. A validation may do what a
    /// plan may do.
    #[must_use]
    pub fn command(self) -> Self {
        match self {
            Self::Plan | Self::Validate => Self::Plan,
            Self::Apply => Self::Apply,
        }
    }
}

/// The spec of a job. A Lambda writes it before it submits the job, and it never changes. The job
/// id contains half of the spec's digest, so the runner detects a changed spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// [`JOB_SCHEMA`].
    pub schema: u32,
    /// The job's run.
    pub run: RunId,
    /// The job's work.
    pub verb: Verb,
    /// The kind of the plan. A rollback destroys a stack that the last good commit does not have.
    pub plan_kind: PlanKind,
    /// The number of the job for its run, verb and stack, from 1.
    pub attempt: u32,
    /// The repository's key.
    pub repository_key: RepositoryKey,
    /// The repository's name.
    pub repository: RepositoryName,
    /// The commit that the sources come from.
    pub commit: CommitId,
    /// The environment that the run holds.
    pub environment: EnvironmentName,
    /// The stack's name.
    pub stack: StackName,
    /// The stack's directory, relative to the archive's root, with `/` as the separator.
    pub dir: String,
    /// The sealed source archive.
    pub source: ObjectRef,
    /// The location of the stack's state.
    pub backend: Backend,
    /// The outputs of the stacks that this stack needs, by stack name.
    pub inputs: BTreeMap<StackName, ObjectRef>,
    /// The sealed plan to apply. None for a plan job.
    pub plan: Option<SealedPlan>,
    /// The sealed modules and lock file to plan or validate with. None for an apply job, and if
    /// `init` resolves them.
    pub dependencies: Option<ObjectRef>,
    /// What the job undoes. None on the forward leg.
    pub undo: Option<Undo>,
    /// The time limit of Terraform, in seconds. After it, the runner stops Terraform as after a
    /// SIGTERM.
    pub timeout_seconds: u32,
}

impl JobSpec {
    /// Returns the objects of the job's run.
    #[must_use]
    pub fn objects(&self) -> RunObjects {
        let (environment, run) = (self.environment.clone(), self.run.clone());
        RunObjects::new(self.repository_key, environment, run)
    }

    /// Returns the job id, and the key and the bytes of the spec. The job id contains half of the
    /// spec's digest.
    ///
    /// # Errors
    /// Fails with `Internal` when the spec cannot be serialized.
    pub fn sealed(&self) -> Result<(JobId, String, Vec<u8>), NotWritten> {
        let bytes = json::to_bytes("a job spec", self)?;
        let job = JobId::seal(self.verb.as_str(), &self.stack, self.attempt, &bytes);
        let key = self.objects().job(&job, JobFile::Spec);
        Ok((job, key, bytes))
    }
}

/// What a rollback undoes in a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// The plan that the run applied to the stack on its forward leg. A plan that was stale changed
    /// nothing, so there is at most one.
    pub applied: SealedPlan,
    /// How far that apply got.
    pub extent: Extent,
    /// The sealed source archive that the plan was made from.
    pub source: ObjectRef,
    /// The stack's directory in that archive.
    pub dir: String,
}

/// Where Terraform keeps a stack's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Backend {
    /// The S3 backend with `use_lockfile`.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The state's key.
        key: String,
        /// The bucket's region.
        region: String,
    },
    /// A local state file, for the runner's tests.
    #[cfg(feature = "local-state")]
    Local {
        /// The file's absolute path.
        path: String,
    },
}

/// The result that the runner stores when a job ends, whether it succeeded or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobResult {
    /// [`JOB_SCHEMA`].
    pub schema: u32,
    /// The run, as in the spec.
    pub run: RunId,
    /// The job. Its id contains half of the spec's digest.
    pub job: JobId,
    /// How the job ended.
    pub outcome: JobOutcome,
    /// Milliseconds from the runner's start to this result.
    pub duration_ms: u64,
    /// The runner's exit code. [`INTERRUPTED_EXIT`] makes Batch start the job again.
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
#[expect(clippy::large_enum_variant, reason = "a job has one outcome")]
pub enum JobOutcome {
    /// The plan was made.
    Planned {
        /// The plan file.
        plan: ObjectRef,
        /// The output of `terraform show -json` for the plan file. Only it says what the plan changes.
        json: ObjectRef,
        /// The state that the plan was made from.
        state: StateVersion,
        /// The modules and the lock file that the plan was made with. None if the source archive
        /// has all of them.
        dependencies: Option<ObjectRef>,
        /// The outputs in the state. Set only if the plan changes nothing.
        outputs: Option<ObjectRef>,
        /// The warnings of `terraform plan`.
        warnings: Warnings,
        /// What the run did to the stack before, for a rollback: the changes of
        /// [`Undo::applied`] that were carried out.
        made: Vec<ResourceChange>,
        /// What the run may have made in the stack that is in no state, for a rollback.
        unrecorded: Vec<ResourceChange>,
    },
    /// The configuration is valid.
    Validated {
        /// The modules and the lock file that it was validated with, for the plan. None if the
        /// source archive has all of them.
        dependencies: Option<ObjectRef>,
    },
    /// The plan was applied.
    Applied {
        /// The output of `terraform output -json` after the apply.
        outputs: ObjectRef,
        /// The warnings of `terraform apply`.
        warnings: Warnings,
    },
    /// The job failed.
    Failed {
        /// The error, with a stable name.
        error: StepError,
        /// Whether Terraform may have changed resources before the failure.
        side_effects: SideEffects,
        /// The first diagnostics, at most ten, with file and line where Terraform gave them.
        diagnostics: Vec<String>,
    },
}

impl JobOutcome {
    /// Returns the objects that the outcome names.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        let named = match self {
            Self::Planned {
                plan,
                json,
                dependencies,
                outputs,
                ..
            } => [
                Some(plan),
                Some(json),
                dependencies.as_ref(),
                outputs.as_ref(),
            ],
            Self::Validated { dependencies } => [dependencies.as_ref(), None, None, None],
            Self::Applied { outputs, .. } => [Some(outputs), None, None, None],
            Self::Failed { .. } => [None; 4],
        };
        named.into_iter().flatten()
    }
}
