use domain::error::{ErrorName, NamedError};
use domain::ids::{RunId, StackName};
use domain::plan::{self, Refused};

/// The errors that this Lambda itself raises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("the plan of stack {stack} {cause}")]
    DeployedService {
        stack: StackName,
        cause: plan::DeployedService,
    },
    #[error("the rollback of stack {stack} would do more than undo the run: {refused}")]
    RollbackTooMuch { stack: StackName, refused: Refused },
    #[error("stack {stack} of run {run} is not done, but cannot be planned either")]
    Stuck { run: RunId, stack: StackName },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::DeployedService { .. } | Self::RollbackTooMuch { .. } => ErrorName::PlanRefused,
            Self::Stuck { .. } => ErrorName::Internal,
        }
    }
}
