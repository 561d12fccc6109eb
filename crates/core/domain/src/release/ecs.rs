//! An ECS service as a target: its state, and what the state means for a rollout.

use crate::error::{ErrorName, NamedError};
use crate::ids::ImageDigest;
use crate::rollout::{RolloutStage, shown};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most events in an error.
const EVENTS: usize = 3;

/// The ECS service that runs a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EcsState {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The service's name.
    pub service: String,
    /// The ARN of the task definition that runs the artifact.
    pub task_definition: String,
}

impl fmt::Display for EcsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {} runs {}", self.service, self.task_definition)
    }
}

/// The state of an ECS service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// The ARN of the task definition that the service is set to run.
    pub task_definition: String,
    /// The desired number of tasks.
    pub desired: u32,
    /// The service's rollouts, the primary one first.
    pub rollouts: Vec<RolloutState>,
    /// The latest events, the newest first. At most five.
    pub events: Vec<String>,
}

/// A rollout of a service. ECS calls it a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutState {
    /// The ARN of the rollout's task definition.
    pub task_definition: String,
    /// The progress of the rollout.
    pub progress: RolloutProgress,
    /// The number of running tasks.
    pub running: u32,
    /// The number of tasks that failed to start.
    pub failed: u32,
    /// The reason that ECS gives for the progress.
    pub reason: String,
}

/// The progress of a rollout, as ECS reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutProgress {
    /// Tasks are starting or stopping.
    InProgress,
    /// The rollout is complete.
    Completed,
    /// The circuit breaker stopped the rollout.
    Failed,
}

impl EcsState {
    /// Returns the stage of the rollout to this task definition, from the service's state.
    ///
    /// # Errors
    /// Fails with `DeployFailed` when ECS stopped the rollout, when the service is set to run
    /// another task definition (ECS rolled it back, or another process deployed), or when the
    /// deadline has passed.
    pub fn judge(
        &self,
        service: &ServiceState,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<RolloutStage, EcsError> {
        let ours = service
            .rollouts
            .iter()
            .find(|rollout| rollout.task_definition == self.task_definition);
        if let Some(failed) = ours.filter(|rollout| rollout.progress == RolloutProgress::Failed) {
            let why = EcsFailure::Stopped {
                failed: failed.failed,
                reason: shown(&failed.reason),
            };
            return Err(self.failed(service, why));
        }
        let primary = service.rollouts.first();
        let live = primary.map_or(service.task_definition.as_str(), |rollout| {
            rollout.task_definition.as_str()
        });
        if live != self.task_definition || service.task_definition != self.task_definition {
            let other = if live == self.task_definition {
                &service.task_definition
            } else {
                live
            };
            let task_definition = other.to_owned();
            return Err(self.failed(service, EcsFailure::OtherTaskDefinition { task_definition }));
        }
        match primary {
            Some(rollout)
                if rollout.progress == RolloutProgress::Completed
                    && rollout.running >= service.desired =>
            {
                Ok(RolloutStage::Running)
            }
            _ if now >= deadline => {
                let why = EcsFailure::Late {
                    deadline,
                    running: primary.map_or(0, |rollout| rollout.running),
                    desired: service.desired,
                    failed: primary.map_or(0, |rollout| rollout.failed),
                };
                Err(self.failed(service, why))
            }
            _ => Ok(RolloutStage::Rolling),
        }
    }

    /// Checks that the task definition runs this image. `found` is the image in its container, or
    /// none if it has no such container. The repository's name may have changed since, so the
    /// digest decides.
    ///
    /// # Errors
    /// Fails with `DeployFailed` when the image has another digest, or a tag instead of one.
    pub fn check_image(&self, found: Option<&str>, expected: &ImageDigest) -> Result<(), EcsError> {
        let digest = found
            .and_then(|image| image.rsplit_once('@'))
            .map(|it| it.1);
        if digest == Some(expected.as_str()) {
            return Ok(());
        }
        Err(EcsError {
            wanted: Box::new(self.clone()),
            why: EcsFailure::OtherImage {
                found: found.map_or_else(|| "no image".to_owned(), shown),
                expected: expected.clone(),
            },
            events: String::new(),
        })
    }

    fn failed(&self, service: &ServiceState, why: EcsFailure) -> EcsError {
        let events = service.events.iter().take(EVENTS);
        EcsError {
            wanted: Box::new(self.clone()),
            why,
            events: events
                .map(|event| format!("; event: {}", shown(event)))
                .collect(),
        }
    }
}

/// A rollout that failed, with the service's latest events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "rolling out {} to service {} in cluster {} failed: {why}{events}",
    wanted.task_definition, wanted.service, wanted.cluster
)]
pub struct EcsError {
    wanted: Box<EcsState>,
    why: EcsFailure,
    events: String,
}

/// Why a rollout failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum EcsFailure {
    #[error("ECS stopped it after {failed} failed tasks: {reason}")]
    Stopped { failed: u32, reason: String },
    #[error(
        "the service uses {task_definition} instead: ECS rolled it back, or another process deployed"
    )]
    OtherTaskDefinition { task_definition: String },
    #[error("its container has {found}, not the image {expected} of the release")]
    OtherImage {
        found: String,
        expected: ImageDigest,
    },
    #[error("{running} of {desired} tasks run at the deadline {deadline}, {failed} failed")]
    Late {
        deadline: Timestamp,
        running: u32,
        desired: u32,
        failed: u32,
    },
}

impl NamedError for EcsError {
    fn name(&self) -> ErrorName {
        ErrorName::DeployFailed
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may fail by panicking"
    )]
    use super::*;
    use proptest::prelude::*;

    const WANTED: &str = "arn:td/shop:2";
    const OLD: &str = "arn:td/shop:1";

    fn wanted() -> EcsState {
        EcsState {
            cluster: "main".into(),
            service: "shop".into(),
            task_definition: WANTED.into(),
        }
    }

    fn deadline() -> Timestamp {
        Timestamp::from_second(300).unwrap()
    }

    fn state(task_definition: &str, progress: RolloutProgress, running: u32) -> RolloutState {
        RolloutState {
            task_definition: task_definition.into(),
            progress,
            running,
            failed: 0,
            reason: String::new(),
        }
    }

    fn service(live: &str, rollouts: Vec<RolloutState>) -> ServiceState {
        ServiceState {
            task_definition: live.into(),
            desired: 2,
            rollouts,
            events: vec!["(service shop) was\nunable to place a task".into()],
        }
    }

    fn judged(service: &ServiceState, second: i64) -> String {
        match wanted().judge(service, deadline(), Timestamp::from_second(second).unwrap()) {
            Ok(stage) => format!("{stage:?}"),
            Err(error) => crate::error::StepError::from(error).to_string(),
        }
    }

    #[test]
    fn a_rollout_is_judged_by_what_the_service_runs() {
        use RolloutProgress::{Completed, Failed, InProgress};
        let mut stopped = state(WANTED, Failed, 0);
        stopped.failed = 3;
        stopped.reason = "ECS deployment circuit breaker: tasks failed to start.".into();
        let lines = [
            judged(
                &service(
                    WANTED,
                    vec![state(WANTED, InProgress, 1), state(OLD, Completed, 2)],
                ),
                1,
            ),
            judged(&service(WANTED, vec![state(WANTED, Completed, 2)]), 1),
            judged(&service(WANTED, vec![state(WANTED, Completed, 2)]), 301),
            judged(&service(WANTED, vec![state(WANTED, Completed, 1)]), 1),
            judged(&service(WANTED, vec![state(WANTED, InProgress, 1)]), 300),
            judged(&service(WANTED, vec![]), 300),
            judged(
                &service(WANTED, vec![stopped.clone(), state(OLD, Completed, 2)]),
                1,
            ),
            judged(&service(OLD, vec![state(OLD, InProgress, 2), stopped]), 1),
            judged(&service(OLD, vec![state(OLD, Completed, 2)]), 1),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_task_definition_is_checked_by_the_digest_of_its_image() {
        let (ours, other) = ("1".repeat(64), "2".repeat(64));
        let expected = ImageDigest::parse(&format!("sha256:{ours}")).unwrap();
        let check = |found: Option<&str>| wanted().check_image(found, &expected).is_ok();
        assert!(check(Some(&format!("r/shop@sha256:{ours}"))));
        assert!(check(Some(&format!("r/before-its-rename@sha256:{ours}"))));
        for wrong in [
            format!("r/shop@sha256:{other}"),
            format!("r/shop:sha256-{ours}"),
            "r/shop:latest".to_owned(),
        ] {
            assert!(!check(Some(&wrong)), "{wrong}");
        }
        let error = wanted().check_image(None, &expected).unwrap_err();
        assert!(error.to_string().contains("no image"), "{error}");
    }

    proptest! {
        #[test]
        fn a_service_on_another_task_definition_is_never_running(
            progress in prop::sample::select(vec![RolloutProgress::InProgress, RolloutProgress::Completed]),
            running in 0u32..5, second in 0i64..600,
        ) {
            let now = Timestamp::from_second(second).unwrap();
            let judged = wanted().judge(&service(OLD, vec![state(OLD, progress, running)]), deadline(), now);
            prop_assert!(judged.is_err());
        }
    }
}
