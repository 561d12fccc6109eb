//! Inputs and outputs of the steps, as the state machine passes them. They hold only ids, digests,
//! verdicts and errors.

use crate::environment::LockVerdict;
use crate::event::Trigger;
use crate::ids::{JobId, RunId, StackName};
use crate::plan::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An error that the state machine caught: `$states.errorOutput`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CaughtError {
    /// The error's name: a step's, or `States.*`, `Lambda.*`, `Batch.*` or `CodeBuild.*`.
    pub error: String,
    /// The cause: a Lambda's error as JSON, the description of a job or build as JSON, or text.
    #[serde(default)]
    pub cause: String,
}

/// The input of `validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ValidateInput {
    /// Claims the run, fetches and checks the commit, and seals its source.
    Claim {
        /// What started the execution, which is its input.
        event: Trigger,
        /// The execution's ARN.
        execution: String,
    },
}

/// The output of `validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidateOutput {
    /// The run.
    pub run: RunId,
    /// The result of the claim.
    pub verdict: ClaimVerdict,
}

/// The verdict on a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimVerdict {
    /// This execution claimed the run, and the commit is fit for delivery.
    Accepted,
    /// Another execution claimed the run.
    Duplicate,
}

/// The input of `build-trigger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BuildTriggerInput {
    /// Decides whether an image must be built.
    Decide {
        /// The run.
        run: RunId,
    },
    /// Finds the built image, or fails with the reason that it does not exist.
    Finish {
        /// The run.
        run: RunId,
        /// Set when CodeBuild failed.
        #[serde(default)]
        error: Option<CaughtError>,
    },
}

/// The output of `build-trigger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum BuildTriggerOutput {
    /// Start this build.
    Build {
        /// The archive, in the form of CodeBuild's S3 source: `bucket/key`.
        source: String,
        /// The variables that override those of the CodeBuild project.
        environment: Vec<BuildVariable>,
    },
    /// The image is in the registry.
    Ready,
    /// The repository builds no image.
    None,
}

/// A variable of a build, in CodeBuild's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct BuildVariable {
    /// The variable's name.
    pub name: String,
    /// The variable's value.
    pub value: String,
    /// Always `PLAINTEXT`: no variable holds a secret.
    #[serde(rename = "Type")]
    pub kind: String,
}

/// The names of a build's variables.
pub mod build_variable {
    /// The run's id.
    pub const RUN: &str = "SLUICEGATE_RUN";
    /// The commit id.
    pub const COMMIT: &str = "SLUICEGATE_COMMIT";
    /// The build context, relative to the source's root. `.` for the root.
    pub const CONTEXT: &str = "SLUICEGATE_CONTEXT";
    /// The path of the Dockerfile, relative to the context.
    pub const DOCKERFILE: &str = "SLUICEGATE_DOCKERFILE";
    /// The test command.
    pub const TEST: &str = "SLUICEGATE_TEST";
    /// The image repository: `registry/repository`.
    pub const IMAGE: &str = "SLUICEGATE_IMAGE";
    /// The image's tags, separated by spaces.
    pub const TAGS: &str = "SLUICEGATE_TAGS";
}

/// The input of `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PlanInput {
    /// Queues the run for its environment. The task token is answered when the run holds the
    /// environment.
    Acquire {
        /// The run.
        run: RunId,
        /// The task token.
        token: String,
    },
    /// Selects the stacks to plan next, and creates their jobs.
    Next {
        /// The run.
        run: RunId,
        /// The errors of the previous applies. They are raised here, when no other stack is being
        /// applied.
        #[serde(default)]
        failures: Vec<CaughtError>,
    },
    /// Judges the plan of a job.
    Judge {
        /// The run.
        run: RunId,
        /// The stack.
        stack: StackName,
        /// The job.
        job: JobId,
        /// Set when Batch reports that the job failed.
        #[serde(default)]
        error: Option<CaughtError>,
    },
    /// Requests an approval. `sluicegate approve` or `sluicegate reject` answers the task token.
    RequestApproval {
        /// The run.
        run: RunId,
        /// The stack.
        stack: StackName,
        /// The task token.
        token: String,
    },
}

/// The task token's output that ends the wait for an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockAnswer {
    /// How the wait ended.
    pub verdict: LockVerdict,
}

/// The task token's output that ends the wait for an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalAnswer {
    /// The person's decision.
    pub verdict: crate::run::ApprovalDecision,
}

/// The output of `plan next`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum NextOutput {
    /// Plan these stacks at the same time.
    Plan {
        /// One plan job for each stack.
        jobs: Vec<StackJob>,
    },
    /// No stack is left to plan.
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

/// The output of `plan judge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeOutput {
    /// The stack.
    pub stack: StackName,
    /// The verdict on the stack's plan.
    pub verdict: Verdict,
}

/// The input of `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ApplyInput {
    /// Uses the sealed plan, and creates the apply job.
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
        /// Set when Batch reports that the job failed.
        #[serde(default)]
        error: Option<CaughtError>,
    },
}

/// The output of `apply finish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishOutput {
    /// The stack.
    pub stack: StackName,
    /// The result of the apply.
    pub verdict: ApplyVerdict,
}

/// The verdict on an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyVerdict {
    /// The plan was applied.
    Applied,
    /// The state changed after the plan was made. The stack is planned again.
    Stale,
}

/// The input of `deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DeployInput {
    /// Starts the rollout.
    Start {
        /// The run.
        run: RunId,
    },
    /// Checks the rollout.
    Check {
        /// The run.
        run: RunId,
    },
}

/// The output of `deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployOutput {
    /// The progress of the rollout.
    pub verdict: DeployVerdict,
}

/// The verdict on a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeployVerdict {
    /// There is nothing to roll out.
    None,
    /// The rollout is not complete yet.
    InProgress,
    /// The service is healthy at its URL, with the right commit.
    Healthy,
}

/// The input of `rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RollbackInput {
    /// Decides what to do about an error.
    Decide {
        /// The run.
        run: RunId,
        /// The error.
        error: CaughtError,
        /// When the state machine entered the state that asks: `$states.context.State.EnteredTime`.
        /// A retry of the state has the same time. A second error has another time.
        entered_at: jiff::Timestamp,
    },
}

/// The output of `rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackOutput {
    /// The decision.
    pub verdict: crate::run::ErrorDecision,
}

/// The input of `record`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RecordInput {
    /// Moves *last good*, or after a rollback marks the commit as bad.
    Promote {
        /// The run.
        run: RunId,
    },
    /// Writes the audit entry and releases the environment.
    Record {
        /// What started the execution. The run's id is derived from it.
        event: Box<Trigger>,
        /// The execution's ARN.
        execution: String,
        /// The error that the state machine caught, if any. A run that already has an error keeps
        /// its own.
        #[serde(default)]
        error: Option<CaughtError>,
    },
    /// Ends a run whose execution stopped before the state Record. An EventBridge rule sends this.
    /// It does not contain the run, because events of an encrypted state machine have no input.
    ExecutionEnded {
        /// The execution's ARN.
        execution: String,
        /// `ABORTED`, `TIMED_OUT` or `FAILED`.
        status: String,
    },
}

/// The output of `record`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordOutput {
    /// How the execution ends.
    pub verdict: RecordVerdict,
    /// The name of the first error, or the run's outcome if it did not fail.
    pub error: String,
    /// What happened and what to do next, for a person.
    pub cause: String,
}

/// The final status of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordVerdict {
    /// The execution ends with SUCCEEDED.
    Succeeded,
    /// The execution ends with FAILED.
    Failed,
}

/// The outputs of a stack, as `terraform output -json` writes them.
pub type Outputs = BTreeMap<String, Output>;

/// An output of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The output's value, of any type.
    pub value: serde_json::Value,
    /// Whether the value must not be displayed.
    #[serde(default)]
    pub sensitive: bool,
}

/// A Lambda. The list is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Receives the forge's webhook deliveries. The only Lambda with a URL.
    Webhook,
    /// Claims the run, checks the commit and seals its source.
    Validate,
    /// Manages the environment's queue, selects stacks and judges their plans.
    Plan,
    /// Uses a sealed plan, and reads the result of its apply.
    Apply,
    /// Decides whether an image must be built, and finds the image.
    BuildTrigger,
    /// Starts a rollout and checks it.
    Deploy,
    /// Decides what to do about an error.
    Rollback,
    /// Promotes the commit, writes the audit entry and releases the environment.
    Record,
}

impl Step {
    /// Every Lambda, in the order in which a delivery uses them.
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

    /// Returns the name of the Lambda's crate, binary and function.
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

    /// Returns the Lambda of the action.
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

    /// Returns the value of the field `action` in the Lambda's input.
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
