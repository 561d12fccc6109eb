use domain::error::{ErrorName, NamedError};
use domain::event::EVENT_SCHEMA;

/// The errors of an event that starts no run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("the event has schema {schema}, expected {EVENT_SCHEMA}")]
    OtherSchema { schema: u32 },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::OtherSchema { .. } => ErrorName::ContractViolation,
        }
    }
}
