//! The target of a deployment.

use crate::ids::{ServiceName, StackName};
use serde::{Deserialize, Serialize};

/// Where a service runs. The key `target` in the file selects the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "kebab-case")]
pub enum Deploy {
    /// An ECS service that one of the stacks creates.
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
    /// The desired number of tasks.
    pub desired_count: u32,
    /// When the service is healthy.
    pub health: Health,
}

/// When a deployed service is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The path that returns a 2xx status when the application is healthy.
    pub path: String,
    /// The path whose response contains the commit that runs.
    pub version_path: Option<String>,
    /// The maximum time until the service is healthy, in seconds.
    pub timeout_seconds: u32,
}

impl Deploy {
    /// Returns the service's name. It is the name of the service's stack, because the file has no
    /// other name for it.
    #[must_use]
    pub fn service(&self) -> ServiceName {
        ServiceName::from(self.stack())
    }

    /// Returns the stack whose outputs name the target.
    #[must_use]
    pub fn stack(&self) -> &StackName {
        match self {
            Self::Ecs(ecs) => &ecs.stack,
        }
    }

    /// Returns when the service is healthy.
    #[must_use]
    pub fn health(&self) -> &Health {
        match self {
            Self::Ecs(ecs) => &ecs.health,
        }
    }
}
