//! Where a service runs.

use crate::ids::{ServiceName, StackName};
use serde::{Deserialize, Serialize};

/// Where a service runs. The key `target` of the file names the variant; a new target is one more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "kebab-case")]
pub enum Deploy {
    /// An ECS service that one of the stacks made.
    Ecs(EcsDeploy),
}

/// An ECS service as the target of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EcsDeploy {
    /// The stack whose outputs name the service.
    pub stack: StackName,
    /// The container in the task definition that gets the image.
    pub container: String,
    /// How many tasks run.
    pub desired_count: u32,
    /// When the service counts as healthy.
    pub health: Health,
}

/// When a deployed service counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The path that answers 2xx when the application is healthy.
    pub path: String,
    /// The path whose answer holds the commit that runs.
    pub version_path: Option<String>,
    /// Seconds that a rollout may take until it is healthy.
    pub timeout_seconds: u32,
}

impl Deploy {
    /// The service's name; that of its stack, since the file has no other name for it.
    #[must_use]
    pub fn service(&self) -> ServiceName {
        ServiceName::from(self.stack())
    }

    /// The stack whose outputs name the target.
    #[must_use]
    pub fn stack(&self) -> &StackName {
        match self {
            Self::Ecs(ecs) => &ecs.stack,
        }
    }

    /// When the service counts as healthy.
    #[must_use]
    pub fn health(&self) -> &Health {
        match self {
            Self::Ecs(ecs) => &ecs.health,
        }
    }
}
