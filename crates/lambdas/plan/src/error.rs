use domain::error::{ErrorName, NamedError};
use domain::ids::{RunId, Sha256Digest, StackName};
use domain::plan::{self, NotJudged, Refused};

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
    #[error(
        "stack {stack}: the plan at {key} has the digest {found}, its job recorded {expected}: someone \
         changed the object; it is not used; push a new commit for another plan"
    )]
    PlanChanged {
        stack: StackName,
        key: String,
        found: Sha256Digest,
        expected: Sha256Digest,
    },
    #[error(
        "stack {stack}: the plan is not at {key}, where its job wrote it: someone deleted the object, or it \
         expired after a week; push a new commit for another plan"
    )]
    PlanGone { stack: StackName, key: String },
    #[error("stack {stack}: the plan at {key} cannot be judged: {cause}")]
    NotJudged {
        stack: StackName,
        key: String,
        cause: NotJudged,
    },
    #[error(
        "the rollback's job for stack {stack} says that the run changed {address} in a way that the \
         applied plan at {key} does not have: someone changed the job's result; nothing is rolled back; \
         compare the stack with its last good commit"
    )]
    MadeOtherwise {
        stack: StackName,
        key: String,
        address: String,
    },
    #[error("stack {stack} of run {run} is not done, but cannot be planned either")]
    Stuck { run: RunId, stack: StackName },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::DeployedService { .. } | Self::RollbackTooMuch { .. } => ErrorName::PlanRefused,
            Self::PlanChanged { .. } | Self::PlanGone { .. } | Self::MadeOtherwise { .. } => {
                ErrorName::PlanTampered
            }
            // The runner refuses it too, unless someone else wrote it.
            Self::NotJudged { cause, .. } => match cause {
                NotJudged::TooLarge => ErrorName::PlanFailed,
                // The runner has read it: it is of another version.
                NotJudged::OtherForm { .. }
                | NotJudged::OtherFormat { .. }
                | NotJudged::UnknownActions { .. } => ErrorName::ContractViolation,
            },
            Self::Stuck { .. } => ErrorName::Internal,
        }
    }
}
