use domain::error::{ErrorName, NamedError};
use domain::event::EVENT_SCHEMA;
use domain::ids::{BranchRef, CommitId, RepositoryName};

/// The errors that this Lambda itself raises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("the event has schema {schema}, expected {EVENT_SCHEMA}")]
    OtherSchema { schema: u32 },
    #[error(
        "commit {commit} is not on {branch} of {repository}: it was retracted, or it was never pushed there"
    )]
    NotOnBranch {
        repository: RepositoryName,
        branch: BranchRef,
        commit: CommitId,
    },
    #[error("the archive of commit {commit} cannot be written: {why}")]
    ArchiveNotWritten { commit: CommitId, why: String },
    #[error("the archive of commit {commit} needs {path:?}, which was not read")]
    FileNotRead { commit: CommitId, path: String },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::OtherSchema { .. } => ErrorName::ContractViolation,
            Self::NotOnBranch { .. } => ErrorName::CommitNotFound,
            Self::ArchiveNotWritten { .. } | Self::FileNotRead { .. } => ErrorName::Internal,
        }
    }
}
