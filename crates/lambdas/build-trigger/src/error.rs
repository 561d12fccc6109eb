use domain::error::{ErrorName, NamedError};
use domain::ids::CommitId;

/// The errors that this Lambda itself raises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("the tests or the build of commit {commit} failed: {cause}")]
    BuildFailed { commit: CommitId, cause: String },
    #[error("the build succeeded, but {image} has no image with tag {tag}")]
    ImageMissing { image: String, tag: String },
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::BuildFailed { .. } => ErrorName::BuildFailed,
            Self::ImageMissing { .. } => ErrorName::ImageMissing,
        }
    }
}
