//! Releases: which artifact of a service runs at which target.
//!
//! A run makes releases, *last good* remembers them, and the audit lists them. All three pass them
//! along without looking inside: a new kind of artifact or target is one variant here.

use crate::config::Deploy;
use crate::ecs::EcsState;
use crate::ids::{CommitId, ImageDigest, ServiceName, StackName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An artifact of a service at its target, with all that a rollback to it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The service's name in the configuration.
    pub service: ServiceName,
    /// What was deployed.
    pub artifact: Artifact,
    /// Where, and how the target refers to it.
    pub target: TargetState,
}

/// What a build produces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Artifact {
    /// A container image in the repository's registry.
    Image {
        /// Its digest.
        digest: ImageDigest,
    },
}

impl Artifact {
    /// Its content's digest, such as `sha256:9f86d0...`.
    #[must_use]
    pub fn digest(&self) -> &str {
        match self {
            Self::Image { digest } => digest.as_str(),
        }
    }
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { digest } => write!(f, "image {digest}"),
        }
    }
}

/// The state of a target that runs a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TargetState {
    /// An ECS service.
    Ecs(EcsState),
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecs(state) => state.fmt(f),
        }
    }
}

/// What is to be released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasePlan<'a> {
    /// The deployment's configuration, at the commit that is released.
    pub config: &'a Deploy,
    /// The artifact.
    pub artifact: &'a Artifact,
    /// The commit that the version path must answer.
    pub commit: &'a CommitId,
    /// The release to go back to; none when a new one is made.
    pub known: Option<&'a Release>,
}

impl ReleasePlan<'_> {
    /// The stack whose outputs name the target.
    #[must_use]
    pub fn stack(&self) -> &StackName {
        self.config.stack()
    }
}
