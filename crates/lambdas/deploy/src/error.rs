use domain::error::{ErrorName, NamedError};
use domain::ids::{EnvironmentName, RunId, Sha256Digest, StackName};

/// The errors that this Lambda itself raises. None contains the value of an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("run {run} has no rollout")]
    NoRollout { run: RunId },
    #[error("run {run} has no outputs of stack {stack}")]
    NoOutputs { run: RunId, stack: StackName },
    #[error("{object} does not exist: the outputs of a stack have expired")]
    OutputsGone { object: String },
    #[error("{object} is not what the job wrote: its SHA-256 is not {sha256}")]
    OutputsChanged {
        object: String,
        sha256: Sha256Digest,
    },
    #[error("{object} is not what `terraform output -json` writes, line {line} column {column}")]
    OutputsUnreadable {
        object: String,
        line: usize,
        column: usize,
    },
    #[error(
        "output `{output}` of stack {stack} is missing: the deployment needs the outputs {}",
        expected.join(", ")
    )]
    OutputMissing {
        stack: StackName,
        output: String,
        expected: &'static [&'static str],
    },
    #[error(
        "output `{output}` of stack {stack} is sensitive, but the pipeline writes it into its \
         records: remove `sensitive`"
    )]
    OutputSensitive { stack: StackName, output: String },
    #[error("output `{output}` of stack {stack} is empty")]
    OutputEmpty { stack: StackName, output: String },
    #[error("output `{output}` of stack {stack} is not a string")]
    OutputNotText { stack: StackName, output: String },
    #[error(
        "output `{output}` of stack {stack} is not an address: expected http:// or https:// and a \
         host"
    )]
    OutputNotAddress { stack: StackName, output: String },
    #[error(
        "the outputs of stack {stack} name service {cluster}/{service}, which the enrolment does not \
         allow for environment {environment}; add it to `services` of the environment where the \
         repository is enrolled, or correct the outputs"
    )]
    ServiceNotEnrolled {
        stack: StackName,
        cluster: String,
        service: String,
        environment: EnvironmentName,
    },
    #[error(
        "task definition {template} of stack {stack} has role {role}, which the enrolment does not \
         allow for environment {environment}; add it to `task_role_arns` of the environment where \
         the repository is enrolled, or use another role"
    )]
    RoleNotEnrolled {
        stack: StackName,
        template: String,
        role: String,
        environment: EnvironmentName,
    },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoRollout { .. } | Self::OutputsUnreadable { .. } => ErrorName::ContractViolation,
            Self::NoOutputs { .. } => ErrorName::Internal,

            Self::OutputsChanged { .. } => ErrorName::PlanTampered,
            Self::OutputsGone { .. }
            | Self::OutputMissing { .. }
            | Self::OutputSensitive { .. }
            | Self::OutputEmpty { .. }
            | Self::OutputNotText { .. }
            | Self::OutputNotAddress { .. }
            | Self::ServiceNotEnrolled { .. }
            | Self::RoleNotEnrolled { .. } => ErrorName::DeployFailed,
        }
    }
}
