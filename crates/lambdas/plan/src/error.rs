use domain::error::{ErrorName, NamedError};
use domain::ids::{RunId, StackName};
use domain::plan::Refused;

/// The errors that this Lambda itself raises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("the plan of stack {stack} would delete protected data: {}", addresses.join(", "))]
    DataLoss {
        stack: StackName,
        addresses: Vec<String>,
    },
    #[error("the rollback of stack {stack} would do more than undo the run: {refused}")]
    RollbackTooMuch { stack: StackName, refused: Refused },
    #[error("stack {stack} of run {run} is not done, but cannot be planned either")]
    Stuck { run: RunId, stack: StackName },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::DataLoss { .. } | Self::RollbackTooMuch { .. } => ErrorName::PlanRefused,
            Self::Stuck { .. } => ErrorName::Internal,
        }
    }
}
