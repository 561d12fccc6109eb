//! Rollouts: what one needs, how far one is, and whether the application answers as it should.

use crate::config::Deploy;
use crate::error::{ErrorName, StepError};
use crate::ids::{CommitId, ImageDigest, StackName};
use crate::plan::LegKind;
use crate::run::{Build, Rollout, Run};
use jiff::Timestamp;

/// How much of an answer or of a reason goes into a message, in characters.
const SHOWN: usize = 200;

/// An ECS service as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// The task definition that the service is to run; an ARN.
    pub task_definition: String,
    /// How many tasks it is to run.
    pub desired: u32,
    /// The rollouts, the primary one first.
    pub rollouts: Vec<RolloutState>,
    /// The latest events, the newest first, at most five.
    pub events: Vec<String>,
}

/// A rollout of a service, which ECS calls a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutState {
    /// Its task definition; an ARN.
    pub task_definition: String,
    /// How far it is.
    pub progress: RolloutProgress,
    /// How many of its tasks run.
    pub running: u32,
    /// How many of its tasks failed to start.
    pub failed: u32,
    /// ECS's own words on it.
    pub reason: String,
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutProgress {
    /// It goes on.
    InProgress,
    /// It is over, and its tasks run.
    Completed,
    /// The circuit breaker gave it up.
    Failed,
}

/// The answer of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The HTTP status.
    pub status: u16,
    /// The body's first 2 KiB, as text.
    pub body: String,
}

/// What a rollout has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutStage {
    /// Tasks are still started or stopped.
    Rolling,
    /// The wanted tasks run: ask the address.
    Running,
}

/// What is to be rolled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutPlan<'a> {
    /// The stack whose outputs name the service.
    pub stack: &'a StackName,
    /// The deployment's configuration, at the commit that is rolled out.
    pub config: &'a Deploy,
    /// The image.
    pub image: ImageDigest,
    /// The commit that the version path must answer.
    pub commit: CommitId,
    /// The task definition that ran it before; none when one has to be made.
    pub task_definition: Option<String>,
}

impl Run {
    /// What is to be rolled out on the way that the run goes; none when that commit rolls out
    /// nothing.
    ///
    /// # Errors
    /// `ImageMissing` when the commit is to be rolled out and has no image; `Internal` before the
    /// run was sealed.
    pub fn rollout_plan(&self) -> Result<Option<RolloutPlan<'_>>, StepError> {
        if let (LegKind::Rollback, Some(restore)) = (self.mode, &self.restore) {
            let target = &restore.target;
            let (Some(config), Some(image), Some(task_definition)) = (
                &target.config.deploy,
                &target.image,
                &target.task_definition,
            ) else {
                return Ok(None);
            };
            return Ok(Some(RolloutPlan {
                stack: &config.stack,
                config,
                image: image.clone(),
                commit: target.commit.clone(),
                task_definition: Some(task_definition.clone()),
            }));
        }
        let Some(config) = &self.config()?.deploy else {
            return Ok(None);
        };
        let Build::Ready { digest, .. } = &self.build else {
            return Err(StepError::new(
                ErrorName::ImageMissing,
                format!("run {} is to deploy, but has no image", self.id),
            ));
        };
        Ok(Some(RolloutPlan {
            stack: &config.stack,
            config,
            image: digest.clone(),
            commit: self.trigger.commit.clone(),
            task_definition: None,
        }))
    }

    /// The rollout on the way that the run goes.
    #[must_use]
    pub fn rollout(&self) -> Option<&Rollout> {
        match (self.mode, &self.restore) {
            (LegKind::Rollback, Some(restore)) => restore.deploy.as_ref(),
            _ => self.deploy.as_ref(),
        }
    }

    /// The place of that rollout.
    pub fn rollout_mut(&mut self) -> &mut Option<Rollout> {
        match (self.mode, &mut self.restore) {
            (LegKind::Rollback, Some(restore)) => &mut restore.deploy,
            _ => &mut self.deploy,
        }
    }
}

impl Rollout {
    /// Judges the service that the rollout changes.
    ///
    /// # Errors
    /// `DeployFailed` when ECS gave the rollout up, when the service is to run another task
    /// definition (ECS went back by itself, or somebody else deployed), or when the deadline
    /// passed.
    pub fn judge(&self, service: &ServiceState, now: Timestamp) -> Result<RolloutStage, StepError> {
        let ours = service
            .rollouts
            .iter()
            .find(|rollout| rollout.task_definition == self.task_definition);
        if let Some(failed) = ours.filter(|rollout| rollout.progress == RolloutProgress::Failed) {
            let tasks = failed.failed;
            return Err(self.failed(
                service,
                &format!(
                    "gave the rollout up after {tasks} failed tasks: {}",
                    shown(&failed.reason)
                ),
            ));
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
            let message =
                format!("is to run {other}: ECS went back by itself, or somebody else deployed");
            return Err(self.failed(service, &message));
        }
        match primary {
            Some(rollout)
                if rollout.progress == RolloutProgress::Completed
                    && rollout.running >= service.desired =>
            {
                Ok(RolloutStage::Running)
            }
            _ if now >= self.deadline => {
                let running = primary.map_or(0, |rollout| rollout.running);
                let failed = primary.map_or(0, |rollout| rollout.failed);
                let message = format!(
                    "runs {running} of {} tasks at the deadline {}, {failed} failed",
                    service.desired, self.deadline
                );
                Err(self.failed(service, &message))
            }
            _ => Ok(RolloutStage::Rolling),
        }
    }

    fn failed(&self, service: &ServiceState, what: &str) -> StepError {
        let mut message = format!(
            "service {} in cluster {}, wanted with {}, {what}",
            self.service, self.cluster, self.task_definition
        );
        for event in service.events.iter().take(3) {
            message.push_str("; event: ");
            message.push_str(&shown(event));
        }
        StepError::new(ErrorName::DeployFailed, message)
    }

    /// The address of a path of the application.
    #[must_use]
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    /// Says what the application's answer to the health path lacks.
    ///
    /// # Errors
    /// What was expected and what came.
    pub fn check_health(path: &str, answer: &Result<HttpReply, String>) -> Result<(), String> {
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(format!("{path} answered {}, not 2xx", spoken(answer))),
            Err(why) => Err(format!("{path} did not answer: {}", shown(why))),
        }
    }

    /// Says what the application's answer to the version path lacks.
    ///
    /// # Errors
    /// What was expected and what came.
    pub fn check_version(
        &self,
        path: &str,
        answer: &Result<HttpReply, String>,
    ) -> Result<(), String> {
        Self::check_health(path, answer)?;
        match answer {
            Ok(answer) if !answer.body.contains(self.commit.as_str()) => Err(format!(
                "{path} answered {}, without the commit {}",
                spoken(answer),
                self.commit
            )),
            _ => Ok(()),
        }
    }

    /// What a wrong answer leads to: another look, until the deadline.
    ///
    /// # Errors
    /// `Unhealthy` from the deadline on.
    pub fn unanswered(&self, why: &str, now: Timestamp) -> Result<(), StepError> {
        if now < self.deadline {
            return Ok(());
        }
        Err(StepError::new(
            ErrorName::Unhealthy,
            format!(
                "service {} runs {}, but at the deadline {} {}{why}",
                self.service, self.task_definition, self.deadline, self.url
            ),
        ))
    }
}

fn spoken(answer: &HttpReply) -> String {
    format!("{} {:?}", answer.status, shown(&answer.body))
}

/// Text in one line: control characters are blanks, and what is too long is cut.
fn shown(text: &str) -> String {
    let mut line: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN)
        .collect();
    if text.trim().chars().nth(SHOWN).is_some() {
        line.push('…');
    }
    line
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

    fn rollout() -> Rollout {
        Rollout {
            cluster: "main".into(),
            service: "shop".into(),
            task_definition: WANTED.into(),
            image: ImageDigest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap(),
            commit: CommitId::parse(&"1".repeat(40)).unwrap(),
            url: "http://shop.example".into(),
            since: Timestamp::UNIX_EPOCH,
            deadline: Timestamp::from_second(300).unwrap(),
            healthy_at: None,
        }
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
        match rollout().judge(service, Timestamp::from_second(second).unwrap()) {
            Ok(stage) => format!("{stage:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_rollout_is_judged_by_what_the_service_runs() {
        use RolloutProgress::{Completed, Failed, InProgress};
        let mut given_up = state(WANTED, Failed, 0);
        given_up.failed = 3;
        given_up.reason = "ECS deployment circuit breaker: tasks failed to start.".into();
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
                &service(WANTED, vec![given_up.clone(), state(OLD, Completed, 2)]),
                1,
            ),
            judged(&service(OLD, vec![state(OLD, InProgress, 2), given_up]), 1),
            judged(&service(OLD, vec![state(OLD, Completed, 2)]), 1),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn answers_are_checked_and_wrong_ones_quoted() {
        let answer = |status, body: &str| {
            Ok(HttpReply {
                status,
                body: body.into(),
            })
        };
        let commit = "1".repeat(40);
        let good = answer(200, &format!("{{\"commit\":\"{commit}\"}}"));
        let rollout = rollout();
        assert_eq!(Rollout::check_health("/health", &good), Ok(()));
        assert_eq!(rollout.check_version("/version", &good), Ok(()));
        let wrong = [
            Rollout::check_health("/health", &answer(503, "no\u{1b}[31m database\n")),
            Rollout::check_health("/health", &answer(301, "")),
            Rollout::check_health("/health", &Err("connection refused".into())),
            rollout.check_version("/version", &answer(200, "11111111")),
            rollout.check_version("/version", &answer(500, &"x".repeat(500))),
        ];
        let said: Vec<String> = wrong.into_iter().map(Result::unwrap_err).collect();
        let late = Timestamp::from_second(300).unwrap();
        let error = rollout.unanswered(&said[0], late).unwrap_err();
        insta::assert_snapshot!(format!("{}\n{error}", said.join("\n")));
        assert_eq!(rollout.unanswered("", Timestamp::UNIX_EPOCH), Ok(()));
    }

    proptest! {
        #[test]
        fn a_service_on_another_task_definition_is_never_running(
            progress in prop::sample::select(vec![RolloutProgress::InProgress, RolloutProgress::Completed]),
            running in 0u32..5, second in 0i64..600,
        ) {
            let now = Timestamp::from_second(second).unwrap();
            let judged = rollout().judge(&service(OLD, vec![state(OLD, progress, running)]), now);
            prop_assert!(judged.is_err());
        }

        #[test]
        fn no_control_character_reaches_a_message(text in any::<String>()) {
            prop_assert!(!shown(&text).chars().any(char::is_control));
            prop_assert!(shown(&text).chars().count() <= SHOWN + 1);
        }
    }
}
