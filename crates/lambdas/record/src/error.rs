use domain::error::{ErrorName, NamedError};
use domain::ids::RunId;

/// The errors with which an execution ends that has no run of its own.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("run {run} was never claimed")]
    NeverClaimed { run: RunId },
    #[error("run {run} belongs to execution {execution}")]
    OtherExecution { run: RunId, execution: String },
    #[error("no run belongs to execution {execution}")]
    NoRun { execution: String },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        ErrorName::RunNotFound
    }
}
