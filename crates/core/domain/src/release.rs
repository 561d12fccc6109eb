//! Releases: the artifact of a service on its target.
//!
//! A run makes releases, *last good* keeps them and the audit lists them. None of the three reads
//! their contents, so a new kind of artifact or target is one new variant in this module.

pub mod ecs;

use crate::config::Deploy;
use crate::ids::{CommitId, ImageDigest, ServiceName, StackName};
use ecs::EcsState;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A service's artifact on its target, with everything that a rollback to it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The service's name in the configuration.
    pub service: ServiceName,
    /// The artifact that was deployed.
    pub artifact: Artifact,
    /// The target, and its reference to the artifact.
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
    /// Returns the digest of the artifact's content, such as `sha256:9f86d0...`.
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

/// The state of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TargetState {
    /// An ECS service.
    Ecs(EcsState),
}

impl TargetState {
    /// Returns the state of the ECS service, or none of another kind of target.
    #[must_use]
    pub fn ecs(&self) -> Option<&EcsState> {
        match self {
            Self::Ecs(state) => Some(state),
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecs(state) => state.fmt(f),
        }
    }
}

/// A release that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasePlan<'a> {
    /// The configuration of the deployment, at the commit that is released.
    pub config: &'a Deploy,
    /// The artifact to release.
    pub artifact: &'a Artifact,
    /// The commit that the version path must return.
    pub commit: &'a CommitId,
    /// The release to restore. None for a new release.
    pub known: Option<&'a Release>,
}

impl ReleasePlan<'_> {
    /// Returns the stack whose outputs name the target.
    #[must_use]
    pub fn stack(&self) -> &StackName {
        self.config.stack()
    }
}
