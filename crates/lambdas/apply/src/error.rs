use domain::error::{ErrorName, NamedError};
use domain::ids::StackName;

/// The errors that this Lambda itself raises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("the state of stack {stack} changed twice since it was planned")]
    StaleTwice { stack: StackName },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::StaleTwice { .. } => ErrorName::StalePlan,
        }
    }
}
