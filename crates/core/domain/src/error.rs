//! The closed list of error names. `Retry` and `Catch` in the state machine match them, and
//! operators see them first.

use crate::text;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $class:ident, $hint:literal;)*) => {
        /// An error's stable name. A test compares this list with the state machine.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorName { $($(#[$doc])* $name,)* }

        impl ErrorName {
            /// Every name, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the name as Step Functions, status messages and the audit write it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Returns whether a retry can help.
            #[must_use]
            pub fn class(self) -> ErrorClass {
                match self { $(Self::$name => ErrorClass::$class,)* }
            }

            /// Returns what a person does next. `RUN` and `STACK` are placeholders. See
            /// [`StepError::next_step`].
            #[must_use]
            pub(crate) fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }

            /// Parses a name. Returns none if it is not in the list.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

/// Whether a retry can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The same call may succeed later. The state machine retries it.
    Transient,
    /// The same call fails again.
    Permanent,
}

names! {
    /// An AWS API throttled the call.
    AwsThrottled: Transient, "Wait; if it lasts, raise the service quota that the cause names.";
    /// An AWS API did not respond, or responded with a server error.
    AwsUnavailable: Transient, "Wait; if it lasts, see the AWS Health Dashboard, and that the address in AWS_ENDPOINT_URL answers if it is set.";
    /// The forge (git or its API) did not respond.
    ForgeUnavailable: Transient, "Wait; see the forge's status page when it lasts.";
    /// Every attempt to write a record failed because another process changed it.
    RecordConflict: Transient, "Nothing to do unless it repeats; then look for a second state machine on this table.";
    /// A job that was ended by the pipeline has not stopped yet.
    JobEnding: Transient, "Wait until AWS Batch shows the job as FAILED, then push a new commit.";
    /// An AWS API refused the call because of a missing permission.
    AwsDenied: Permanent, "Compare the role named in the cause with terraform/modules; apply the pipeline's own Terraform again.";
    /// An AWS API refused the call because of its arguments.
    AwsRefused: Permanent, "Read the cause: it names the call and what AWS refused.";
    /// A setting of the function is missing or invalid.
    SettingsInvalid: Permanent, "Apply the pipeline's own Terraform again: it sets these variables.";
    /// The input of a step does not have the expected form.
    ContractViolation: Permanent, "The state machine and the functions are of different versions: apply the pipeline's own Terraform again.";
    /// The run's record does not exist.
    RunNotFound: Permanent, "Start the run again with a new commit.";
    /// The event names a repository or branch that is not enrolled.
    NotEnrolled: Permanent, "Add the repository or branch to var.repositories and apply.";
    /// The commit no longer exists in the repository.
    CommitNotFound: Permanent, "Push the commit again, or a new one.";
    /// The forge refused the pipeline's token.
    ForgeDenied: Permanent, "Put a valid token into the git secret; it needs contents:write and statuses:write.";
    /// `sluicegate.yaml` is missing or invalid.
    ConfigInvalid: Permanent, "Run `sluicegate config check` in the repository, fix what it lists, and push a new commit.";
    /// The repository contains something that the pipeline does not accept.
    SourceRefused: Permanent, "Run `sluicegate config check` in the repository, fix what it lists, and push a new commit.";
    /// The configuration says nothing about a stack that the last good commit has.
    StackMissing: Permanent, "Add the lines that the cause names to sluicegate.yaml, and push a new commit.";
    /// The tests or the image build failed.
    BuildFailed: Permanent, "Run `sluicegate logs RUN` for the build's log, fix the errors, and push a new commit.";
    /// The build succeeded, but its image is not in the registry.
    ImageMissing: Permanent, "Look at the push in the build's log; start the run again with a new commit.";
    /// A plan job failed: `terraform init`, `fmt`, `plan` or `show`.
    PlanFailed: Permanent, "Run `sluicegate logs RUN STACK`, fix the errors, and push a new commit.";
    /// The plan would make a change that the environment forbids.
    PlanRefused: Permanent, "The cause names the resources. Change the code as it says and push a new commit, or do the change by hand.";
    /// The plan file or its record differs from the sealed one.
    PlanTampered: Permanent, "Find out who can write to the artifacts bucket before the next run.";
    /// The state changed after the plan was made, twice.
    StalePlan: Permanent, "Something else writes to this state: find it, then push again.";
    /// The plan was already used.
    PlanConsumed: Permanent, "Look at the first apply's log before the next run: it may have changed resources.";
    /// An apply job failed: `terraform init` or `apply`.
    ApplyFailed: Permanent, "Run `sluicegate logs RUN STACK`, fix the errors, and push a new commit.";
    /// An API that Terraform called throttled it, failed or did not respond, or the job's credentials
    /// expired.
    ApiUnavailable: Permanent, "The commit did not cause this. When the API works again, push an empty commit (`git commit --allow-empty`) to deliver it again.";
    /// Terraform could not write the state at the end of an apply.
    StateUnwritten: Permanent, "Run `sluicegate state restore RUN STACK --unwritten` within a week: it writes the state that the job kept.";
    /// The job was stopped while Terraform ran.
    Interrupted: Permanent, "Look at the stack's state before the next run: it may hold tainted resources.";
    /// Another process holds the state's lock.
    StateLocked: Permanent, "Run `sluicegate state unlock RUN STACK`: it removes the lock of a job that has ended, or says who holds it.";
    /// The job ended without a result.
    JobLost: Permanent, "Run `sluicegate logs RUN STACK`. The state machine's execution and AWS Batch show why the state or the job ended.";
    /// A person rejected the plan, or did not approve it in time.
    ApprovalRejected: Permanent, "Nothing to do: a newer commit starts a new run.";
    /// The environment is frozen after a failed rollback.
    EnvironmentFrozen: Permanent, "Repair the environment as the cause says, then run `sluicegate unfreeze`.";
    /// The run does not hold the environment's lock.
    LockLost: Permanent, "The run no longer holds its environment: `sluicegate show RUN` says how it ended. Push again.";
    /// The commit was rolled back in this environment.
    CommitIsBad: Permanent, "Push a new commit; this one is not applied again automatically.";
    /// The rollout did not finish.
    DeployFailed: Permanent, "Read the service's events and the stopped tasks' reasons in ECS.";
    /// The new version runs, but its URL does not respond as expected.
    Unhealthy: Permanent, "Read the application's log; the cause holds the last answer.";
    /// A defect of the pipeline.
    Internal: Permanent, "Report it with the run id and the cause.";
}

impl ErrorName {
    /// Returns whether a run that fails with this error, before it changes anything, ends as
    /// `rejected` and not as `failed`.
    #[must_use]
    pub fn rejects(self) -> bool {
        matches!(
            self,
            Self::ConfigInvalid
                | Self::SourceRefused
                | Self::StackMissing
                | Self::CommitIsBad
                | Self::EnvironmentFrozen
                | Self::ApprovalRejected
        )
    }

    /// Returns whether the commit causes errors of this name. A commit that fails for another reason, such as a lost
    /// job, may succeed when it is delivered again. An error that Terraform reports counts as caused by the commit,
    /// unless [`ApiFailure`](crate::api_failure::ApiFailure) recognizes it; one that ECS reports always does.
    #[must_use]
    pub fn is_of_commit(self) -> bool {
        matches!(
            self,
            Self::ConfigInvalid
                | Self::SourceRefused
                | Self::StackMissing
                | Self::BuildFailed
                | Self::ImageMissing
                | Self::PlanFailed
                | Self::PlanRefused
                | Self::ApplyFailed
                | Self::ApprovalRejected
                | Self::DeployFailed
                | Self::Unhealthy
        )
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The longest message of an error, in bytes as JSON writes it. The errors of 45 stacks fit into the
/// 256 KiB of an execution's state.
pub const MESSAGE_LIMIT: usize = 4 * 1024;

/// The error of a step: a stable name, and a message for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ReceivedError")]
pub struct StepError {
    /// The name that the state machine matches.
    pub name: ErrorName,
    /// What happened, where, and what was expected. Inert: it may quote what a program printed.
    pub message: String,
}

/// A [`StepError`] as it is in JSON.
#[derive(Deserialize)]
struct ReceivedError {
    name: ErrorName,
    message: String,
}

impl From<ReceivedError> for StepError {
    fn from(ReceivedError { name, message }: ReceivedError) -> Self {
        Self::new(name, message)
    }
}

/// The errors of a step or of a noun: an enum with a variant for each cause. Its text is the message
/// for a person.
pub trait NamedError: std::error::Error {
    /// Returns the cause's name in the closed list.
    fn name(&self) -> ErrorName;
}

impl StepError {
    /// Returns an error with this name and message. Characters that a terminal would act on become
    /// spaces. Records, messages and the audit keep the message, so it has at most [`MESSAGE_LIMIT`]
    /// bytes.
    #[must_use]
    pub fn new(name: ErrorName, message: impl AsRef<str>) -> Self {
        let message = text::cut(&text::inert_lines(message.as_ref()), MESSAGE_LIMIT);
        Self { name, message }
    }
}

impl<E: NamedError> From<E> for StepError {
    fn from(error: E) -> Self {
        Self::new(error.name(), error.to_string())
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for StepError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use crate::ids::{RunId, StackName};

    #[test]
    fn no_next_step_for_a_run_has_a_placeholder() {
        let run = RunId::parse("shop-01010101-9f8e7d").unwrap();
        let stack = StackName::parse("data").unwrap();
        for name in ErrorName::ALL {
            for stack in [None, Some(&stack)] {
                let hint = StepError::new(*name, "").next_step(&run, stack);
                assert!(!hint.contains("RUN") && !hint.contains("STACK"), "{hint}");
            }
        }
        let hint = StepError::new(ErrorName::PlanFailed, "").next_step(&run, Some(&stack));
        assert!(
            hint.contains("`sluicegate logs shop-01010101-9f8e7d data`"),
            "{hint}"
        );
    }
}
