//! Inputs and outputs of the steps, as the state machine passes them. State carries ids, digests
//! and words only.

use crate::environment::LockVerdict;
use crate::event::Trigger;
use crate::ids::{JobId, RunId, StackName};
use crate::plan::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the state machine knows of an error: `$states.errorOutput`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CaughtError {
    /// The error's name: one of ours, `States.*`, `Lambda.*`, `Batch.*` or `CodeBuild.*`.
    pub error: String,
    /// The cause: a Lambda's error as JSON, a job's or build's description as JSON, or text.
    #[serde(default)]
    pub cause: String,
}

/// `validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ValidateInput {
    /// Claims the run, fetches the commit, checks and seals it.
    Claim {
        /// The execution's input.
        event: Trigger,
        /// The execution's ARN.
        execution: String,
    },
}

/// What `validate` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidateOutput {
    /// The run.
    pub run: RunId,
    /// What the state machine branches on.
    pub verdict: ClaimVerdict,
}

/// The verdict on a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimVerdict {
    /// The run is ours and its commit is fit to be delivered.
    Accepted,
    /// Another execution has this run.
    Duplicate,
}

/// `build-trigger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BuildTriggerInput {
    /// Decides whether an image has to be built.
    Decide {
        /// The run.
        run: RunId,
    },
    /// Finds the built image, or names why there is none.
    Finish {
        /// The run.
        run: RunId,
        /// Set when CodeBuild failed.
        #[serde(default)]
        error: Option<CaughtError>,
    },
}

/// What `build-trigger` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum BuildTriggerOutput {
    /// Start this build.
    Build {
        /// The archive, as CodeBuild's S3 source wants it: `bucket/key`.
        source: String,
        /// The variables that override the project's, in CodeBuild's own form.
        environment: Vec<BuildVariable>,
    },
    /// The image is in the registry.
    Ready,
    /// The repository has no image.
    None,
}

/// A variable of a build, in CodeBuild's own form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct BuildVariable {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// Always `PLAINTEXT`: no secret goes this way.
    #[serde(rename = "Type")]
    pub kind: String,
}

/// The names of the variables of a build.
pub mod build_variable {
    /// The run id.
    pub const RUN: &str = "SLUICEGATE_RUN";
    /// The commit.
    pub const COMMIT: &str = "SLUICEGATE_COMMIT";
    /// The build context, relative to the source's root; `.` for the root.
    pub const CONTEXT: &str = "SLUICEGATE_CONTEXT";
    /// The Dockerfile, relative to the context.
    pub const DOCKERFILE: &str = "SLUICEGATE_DOCKERFILE";
    /// The test command.
    pub const TEST: &str = "SLUICEGATE_TEST";
    /// `registry/repository`.
    pub const IMAGE: &str = "SLUICEGATE_IMAGE";
    /// The tags, separated by a space.
    pub const TAGS: &str = "SLUICEGATE_TAGS";
}

/// `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PlanInput {
    /// Asks for the environment; the task token is answered once the run has it.
    Acquire {
        /// The run.
        run: RunId,
        /// The task token.
        token: String,
    },
    /// Names the stacks to plan next, and makes their jobs.
    Next {
        /// The run.
        run: RunId,
        /// What failed in the applies before it: raised again, here, where no other stack is in
        /// the middle of its apply.
        #[serde(default)]
        failures: Vec<CaughtError>,
    },
    /// Judges the plan that a job made.
    Judge {
        /// The run.
        run: RunId,
        /// The stack.
        stack: StackName,
        /// The job.
        job: JobId,
        /// Set when Batch says that the job failed.
        #[serde(default)]
        error: Option<CaughtError>,
    },
    /// Asks a person; the task token is answered by `sluicegate approve` or `reject`.
    RequestApproval {
        /// The run.
        run: RunId,
        /// The stack.
        stack: StackName,
        /// The task token.
        token: String,
    },
}

/// What ends the wait for the lock: the task token's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockAnswer {
    /// How the wait ended.
    pub verdict: LockVerdict,
}

/// What ends the wait for a person: the task token's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalAnswer {
    /// What the state machine branches on.
    pub verdict: crate::run::ApprovalDecision,
}

/// What `plan next` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum NextOutput {
    /// Plan these at the same time.
    Plan {
        /// The jobs.
        jobs: Vec<StackJob>,
    },
    /// All stacks are done.
    Done,
}

/// A job of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackJob {
    /// The stack.
    pub stack: StackName,
    /// The job.
    pub job: JobId,
}

/// What `plan judge` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeOutput {
    /// The stack.
    pub stack: StackName,
    /// What the state machine branches on.
    pub verdict: Verdict,
}

/// `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ApplyInput {
    /// Uses the sealed plan and makes the apply job.
    Start {
        /// The run.
        run: RunId,
        /// The stack.
        stack: StackName,
    },
    /// Reads the apply job's result.
    Finish {
        /// The run.
        run: RunId,
        /// The stack.
        stack: StackName,
        /// The job.
        job: JobId,
        /// Set when Batch says that the job failed.
        #[serde(default)]
        error: Option<CaughtError>,
    },
}

/// What `apply finish` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishOutput {
    /// The stack.
    pub stack: StackName,
    /// What the state machine branches on.
    pub verdict: ApplyVerdict,
}

/// The verdict on an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyVerdict {
    /// The plan was applied.
    Applied,
    /// The state changed since the plan: it is made again.
    Stale,
}

/// `deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DeployInput {
    /// Starts the rollout.
    Start {
        /// The run.
        run: RunId,
    },
    /// Looks at the rollout.
    Check {
        /// The run.
        run: RunId,
    },
}

/// What `deploy` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployOutput {
    /// What the state machine branches on.
    pub verdict: DeployVerdict,
}

/// The verdict on a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeployVerdict {
    /// There is nothing to roll out.
    None,
    /// The rollout goes on.
    InProgress,
    /// The address answers with the commit.
    Healthy,
}

/// `rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RollbackInput {
    /// Decides what an error leads to.
    Decide {
        /// The run.
        run: RunId,
        /// The error.
        error: CaughtError,
        /// When the state machine entered the state that asks, `$states.context.State.EnteredTime`:
        /// a retry of the state has the same time, a second error has another one.
        entered_at: jiff::Timestamp,
    },
}

/// What `rollback` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackOutput {
    /// What the state machine branches on.
    pub verdict: crate::run::ErrorDecision,
}

/// `record`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RecordInput {
    /// Moves *last good*, or marks the commit as bad after a way back.
    Promote {
        /// The run.
        run: RunId,
    },
    /// Writes the audit entry and releases the lock.
    Record {
        /// The event that started the execution: the run's id follows from it.
        event: Box<Trigger>,
        /// The execution's ARN.
        execution: String,
        /// Set when a step failed that has no other way to say so.
        #[serde(default)]
        error: Option<CaughtError>,
    },
    /// Closes a run whose execution ended without passing the state Record. The second rule says
    /// so; it does not know the run, since events of an encrypted state machine hold no input.
    ExecutionEnded {
        /// The execution's ARN.
        execution: String,
        /// `ABORTED`, `TIMED_OUT` or `FAILED`.
        status: String,
    },
}

/// What `record` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordOutput {
    /// What the state machine branches on.
    pub verdict: RecordVerdict,
    /// The run's outcome, or the first error's name for a failed run.
    pub error: String,
    /// For a person: what happened and what to do next.
    pub cause: String,
}

/// How the execution ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordVerdict {
    /// SUCCEEDED.
    Succeeded,
    /// FAILED.
    Failed,
}

/// The outputs of a stack as `terraform output -json` writes them.
pub type Outputs = BTreeMap<String, Output>;

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its value.
    pub value: serde_json::Value,
    /// Whether it must not be shown.
    #[serde(default)]
    pub sensitive: bool,
}

/// A Lambda. This is the list of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Accepts deliveries of the forge; the only one behind a URL.
    Webhook,
    /// Claims the run, checks the commit and seals its source.
    Validate,
    /// Owns the environment's queue, selects stacks and judges their plans.
    Plan,
    /// Consumes a sealed plan, and reads the result of its apply.
    Apply,
    /// Decides whether an image has to be built, and finds it.
    BuildTrigger,
    /// Starts a rollout and observes it.
    Deploy,
    /// Decides what follows an error.
    Rollback,
    /// Promotes the commit, writes the audit entry and releases the environment.
    Record,
}

impl Step {
    /// Every Lambda, in the order in which a commit meets them.
    pub const ALL: [Self; 8] = [
        Self::Webhook,
        Self::Validate,
        Self::Plan,
        Self::Apply,
        Self::BuildTrigger,
        Self::Deploy,
        Self::Rollback,
        Self::Record,
    ];

    /// The name of its crate, binary and function.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Validate => "validate",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::BuildTrigger => "build-trigger",
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Record => "record",
        }
    }
}

/// An action of a Lambda that the state machine calls: the variant of the Lambda's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// [`ValidateInput::Claim`].
    Claim,
    /// [`BuildTriggerInput::Decide`].
    DecideBuild,
    /// [`BuildTriggerInput::Finish`].
    FinishBuild,
    /// [`PlanInput::Acquire`].
    Acquire,
    /// [`PlanInput::Next`].
    SelectStacks,
    /// [`PlanInput::Judge`].
    Judge,
    /// [`PlanInput::RequestApproval`].
    RequestApproval,
    /// [`ApplyInput::Start`].
    StartApply,
    /// [`ApplyInput::Finish`].
    FinishApply,
    /// [`DeployInput::Start`].
    StartDeploy,
    /// [`DeployInput::Check`].
    CheckDeploy,
    /// [`RollbackInput::Decide`].
    DecideRollback,
    /// [`RecordInput::Promote`].
    Promote,
    /// [`RecordInput::Record`].
    Record,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 14] = [
        Self::Claim,
        Self::DecideBuild,
        Self::FinishBuild,
        Self::Acquire,
        Self::SelectStacks,
        Self::Judge,
        Self::RequestApproval,
        Self::StartApply,
        Self::FinishApply,
        Self::StartDeploy,
        Self::CheckDeploy,
        Self::DecideRollback,
        Self::Promote,
        Self::Record,
    ];

    /// The Lambda that has it.
    #[must_use]
    pub fn step(self) -> Step {
        match self {
            Self::Claim => Step::Validate,
            Self::DecideBuild | Self::FinishBuild => Step::BuildTrigger,
            Self::Acquire | Self::SelectStacks | Self::Judge | Self::RequestApproval => Step::Plan,
            Self::StartApply | Self::FinishApply => Step::Apply,
            Self::StartDeploy | Self::CheckDeploy => Step::Deploy,
            Self::DecideRollback => Step::Rollback,
            Self::Promote | Self::Record => Step::Record,
        }
    }

    /// The field `action` of the Lambda's input.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::DecideBuild | Self::DecideRollback => "decide",
            Self::FinishBuild | Self::FinishApply => "finish",
            Self::Acquire => "acquire",
            Self::SelectStacks => "next",
            Self::Judge => "judge",
            Self::RequestApproval => "request-approval",
            Self::StartApply | Self::StartDeploy => "start",
            Self::CheckDeploy => "check",
            Self::Promote => "promote",
            Self::Record => "record",
        }
    }
}
