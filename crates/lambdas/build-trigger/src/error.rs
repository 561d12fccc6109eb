use domain::error::{ErrorName, NamedError};
use domain::ids::CommitId;

/// The errors that this Lambda itself raises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Error {
    #[error("{part} of commit {} failed in build {build}: {cause}{}", commit.short(), excerpt(.log))]
    BuildFailed {
        part: &'static str,
        commit: CommitId,
        build: String,
        cause: String,
        /// The last lines of the build's log.
        log: Vec<String>,
    },
    #[error("the build succeeded, but {image} has no image with tag {tag}")]
    ImageMissing { image: String, tag: String },
}

fn excerpt(log: &[String]) -> String {
    match log {
        [] => String::new(),
        lines => format!("\nThe log ends with:\n  {}", lines.join("\n  ")),
    }
}

impl NamedError for Error {
    fn name(&self) -> ErrorName {
        match self {
            Self::BuildFailed { .. } => ErrorName::BuildFailed,
            Self::ImageMissing { .. } => ErrorName::ImageMissing,
        }
    }
}
