use domain::error::{ErrorName, NamedError};
use domain::ids::DeliveryId;

/// The errors of a delivery's record.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("delivery {delivery} was deleted while it was read")]
    Deleted { delivery: DeliveryId },
    #[error("the record of delivery {delivery} is not what this version writes: {source}")]
    OtherFormat {
        delivery: DeliveryId,
        source: serde_json::Error,
    },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::Deleted { .. } => ErrorName::RecordConflict,
            Self::OtherFormat { .. } => ErrorName::ContractViolation,
        }
    }
}
