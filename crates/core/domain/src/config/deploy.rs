//! The target of a deployment, and its keys in the file.

use super::Checker;
use crate::ids::{ServiceName, StackName};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use serde_saphyr::Spanned;
use std::collections::BTreeSet;
use std::fmt;

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
    /// The number of tasks.
    pub count: TaskCount,
    /// When the service is healthy.
    pub health: Health,
}

/// The number of tasks of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskCount {
    /// Terraform's autoscaling decides. A deployment starts one task if the service has none.
    #[default]
    Terraform,
    /// Each deployment sets this number.
    Tasks(u32),
}

impl TaskCount {
    /// Returns the number that a deployment sets, or none if the service's live number stays.
    #[must_use]
    pub fn change(self, live: u32) -> Option<u32> {
        let wanted = match self {
            // A service that Terraform created without tasks never becomes healthy.
            Self::Terraform => live.max(1),
            Self::Tasks(count) => count,
        };
        (wanted != live).then_some(wanted)
    }
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

// Not tagged: an internally tagged enum would lose the locations of its fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDeploy {
    target: Target,
    stack: Spanned<String>,
    container: Spanned<String>,
    count: Option<Spanned<RawCount>>,
    health: RawHealth,
    version: Option<RawVersion>,
}

/// The key as written: a number or a text.
enum RawCount {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for RawCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl Visitor<'_> for Shape {
            type Value = RawCount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or `terraform`")
            }

            fn visit_u64<E>(self, number: u64) -> Result<RawCount, E> {
                Ok(RawCount::Number(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<RawCount, E> {
                Ok(match u64::try_from(number) {
                    Ok(number) => RawCount::Number(number),
                    Err(_) => RawCount::Text(number.to_string()),
                })
            }

            fn visit_str<E>(self, text: &str) -> Result<RawCount, E> {
                Ok(RawCount::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Target {
    Ecs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHealth {
    path: Spanned<String>,
    timeout_seconds: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVersion {
    path: Spanned<String>,
}

impl Checker {
    pub(super) fn deploy(&mut self, raw: &RawDeploy, stacks: &BTreeSet<&str>) -> Option<Deploy> {
        match raw.target {
            Target::Ecs => self.ecs(raw, stacks).map(Deploy::Ecs),
        }
    }

    fn ecs(&mut self, raw: &RawDeploy, stacks: &BTreeSet<&str>) -> Option<EcsDeploy> {
        let count = self.count(raw.count.as_ref());
        let health = self.health(raw);
        Some(EcsDeploy {
            stack: self.target_stack(raw, stacks)?,
            container: raw.container.value.clone(),
            count,
            health,
        })
    }

    fn count(&mut self, raw: Option<&Spanned<RawCount>>) -> TaskCount {
        let Some(raw) = raw else {
            return TaskCount::default();
        };
        let found = match &raw.value {
            RawCount::Text(text) if text == "terraform" => return TaskCount::Terraform,
            RawCount::Text(text) => text.clone(),
            RawCount::Number(number) => match u32::try_from(*number) {
                Ok(count @ 1..=1000) => return TaskCount::Tasks(count),
                _ => number.to_string(),
            },
        };
        let message = format!("found {found}, expected 1..1000 or `terraform`");
        self.error("CF046", raw.referenced, "deploy.count", message);
        TaskCount::default()
    }

    /// Reads the stack whose outputs name the target.
    fn target_stack(&mut self, raw: &RawDeploy, stacks: &BTreeSet<&str>) -> Option<StackName> {
        if !stacks.contains(raw.stack.value.as_str()) {
            let message = format!("no stack is called {:?}", raw.stack.value);
            self.error("CF030", raw.stack.referenced, "deploy.stack", message);
        }
        StackName::parse(&raw.stack.value).ok()
    }

    fn health(&mut self, raw: &RawDeploy) -> Health {
        let timeout_seconds = raw.health.timeout_seconds.as_ref().map_or(600, |text| {
            if !(30..=3600).contains(&text.value) {
                let message = format!("found {}, expected 30..3600", text.value);
                let key = "deploy.health.timeout_seconds";
                self.error("CF045", text.referenced, key, message);
            }
            text.value
        });
        let version = raw.version.as_ref();
        Health {
            path: self.url_path("deploy.health.path", &raw.health.path),
            version_path: version
                .map(|version| self.url_path("deploy.version.path", &version.path)),
            timeout_seconds,
        }
    }
}
