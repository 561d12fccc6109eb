use domain::error::{ErrorName, NamedError};
use domain::ids::{RepositoryKey, RunId};

/// The errors that this Lambda itself raises, or with which it ends a run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("run {run} was never claimed")]
    NeverClaimed { run: RunId },
    #[error("run {run} belongs to execution {execution}")]
    OtherExecution { run: RunId, execution: String },
    #[error("no run belongs to execution {execution}")]
    NoRun { execution: String },
    #[error("execution {execution} was stopped")]
    Stopped { execution: String },
    #[error("execution {execution} took longer than it may")]
    TimedOut { execution: String },
    #[error("execution {execution} failed and could not record its end")]
    EndNotRecorded { execution: String },
    #[error("run {run} has no end to record")]
    NoEnd { run: RunId },
    #[error("audit entry {key} is missing, although it was written: find out who deleted it")]
    EntryMissing { key: String },
    #[error("audit entry {key} {why}")]
    EntryBroken { key: String, why: String },
    #[error("the audit of repository {repository} has no end within {searched} entries")]
    EndlessAudit {
        repository: RepositoryKey,
        searched: u64,
    },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::NeverClaimed { .. } | Self::OtherExecution { .. } | Self::NoRun { .. } => {
                ErrorName::RunNotFound
            }
            Self::Stopped { .. } | Self::TimedOut { .. } => ErrorName::Interrupted,
            Self::EndNotRecorded { .. }
            | Self::NoEnd { .. }
            | Self::EntryMissing { .. }
            | Self::EntryBroken { .. }
            | Self::EndlessAudit { .. } => ErrorName::Internal,
        }
    }
}
