//! Inputs and outputs of the steps, as the state machine passes them: one module for each Lambda,
//! and in it one input and one output for each action. They hold only ids, digests, verdicts and
//! errors.

mod apply;
mod build_trigger;
mod deploy;
mod plan;
mod reconcile;
mod record;
mod rollback;
mod start;
mod validate;

pub use apply::{ApplyInput, ApplyOutput, FinishApply, FinishApplyOutput, StartApply};
pub use build_trigger::{
    BuildOrder, BuildTriggerInput, BuildTriggerOutput, BuildVariable, BuildVerdict, DecideBuild,
    DecideBuildOutput, FinishBuild, FinishBuildOutput, FinishTest, FinishTestOutput,
    build_variable,
};
pub use deploy::{
    CheckDeploy, CheckDeployOutput, CheckDeployVerdict, DeployInput, DeployOutput, StartDeploy,
    StartDeployOutput, StartDeployVerdict,
};
pub use plan::{
    Acquire, ApprovalAnswer, Judge, JudgeOutput, LockAnswer, PlanInput, PlanOutput,
    RequestApproval, SelectStacks, SelectStacksOutput, StackFailure,
};
pub use reconcile::{ReconcileInput, ReconcileOutput};
pub use record::{
    ExecutionEnded, Promote, RecordInput, RecordOutput, RecordRun, RecordRunOutput, RecordVerdict,
};
pub use rollback::{DecideRollback, DecideRollbackOutput, RollbackInput};
pub use start::{StartOutput, Started};
pub use validate::{Claim, ClaimOutput, ClaimVerdict, ValidateInput};

use crate::ids::{JobDefinition, JobId, StackName};
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

/// A job of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackJob {
    /// The stack.
    pub stack: StackName,
    /// The job.
    pub job: JobId,
    /// The job definition, whose roles reach the run's repository and environment only.
    pub definition: JobDefinition,
}

/// The output of an action when no state reads anything from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NoOutput {}

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
    /// Starts the execution of an event's run. A rule of the event bus calls it.
    Start,
    /// Claims the run, checks the commit and seals its source.
    Validate,
    /// Manages the environment's queue, selects stacks and judges their plans.
    Plan,
    /// Uses a sealed plan, and reads the result of its apply.
    Apply,
    /// Decides whether a source must be tested and its image built, and finds the image.
    BuildTrigger,
    /// Starts a rollout and checks it.
    Deploy,
    /// Decides what to do about an error.
    Rollback,
    /// Promotes the commit, releases the environment and writes the audit entry.
    Record,
    /// Completes what no execution does any more. A schedule calls it.
    Reconcile,
}

impl Step {
    /// Every Lambda, in the order in which a delivery uses them.
    pub const ALL: [Self; 10] = [
        Self::Webhook,
        Self::Start,
        Self::Validate,
        Self::Plan,
        Self::Apply,
        Self::BuildTrigger,
        Self::Deploy,
        Self::Rollback,
        Self::Record,
        Self::Reconcile,
    ];

    /// Returns the name of the Lambda's crate, binary and function.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Start => "start",
            Self::Validate => "validate",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::BuildTrigger => "build-trigger",
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Record => "record",
            Self::Reconcile => "reconcile",
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
    /// [`BuildTriggerInput::FinishTest`].
    FinishTest,
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
    pub const ALL: [Self; 15] = [
        Self::Claim,
        Self::DecideBuild,
        Self::FinishTest,
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
            Self::DecideBuild | Self::FinishTest | Self::FinishBuild => Step::BuildTrigger,
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
            Self::FinishTest => "finish-test",
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
