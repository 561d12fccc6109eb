//! Rollouts: the time from starting a release until it is healthy or has failed.

use crate::error::{ErrorName, NamedError};
use crate::ids::CommitId;
use crate::release::{Release, TargetState};
use crate::text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The maximum length of a quoted reply or reason in a message, in characters.
const SHOWN: usize = 200;

/// A release that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The release that is rolled out.
    pub release: Release,
    /// The commit that the version path must return.
    pub commit: CommitId,
    /// The service's base URL, without a path.
    pub url: String,
    /// When the rollout started.
    pub since: Timestamp,
    /// When the release must be healthy.
    pub deadline: Timestamp,
    /// When the release became healthy.
    pub healthy_at: Option<Timestamp>,
}

/// An HTTP response of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The HTTP status code.
    pub status: u16,
    /// The first 2 KiB of the body, as text.
    pub body: String,
}

/// The progress of a rollout on its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutStage {
    /// Tasks are still starting or stopping.
    Rolling,
    /// The desired number of tasks runs. The application can be probed.
    Running,
}

impl Rollout {
    /// Returns the URL of a path of the application.
    #[must_use]
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    /// Checks the application's response to the health path.
    ///
    /// # Errors
    /// Returns what was expected and what was received.
    pub fn check_health(path: &str, answer: &Result<HttpReply, String>) -> Result<(), String> {
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(format!("{path} answered {}, not 2xx", spoken(answer))),
            Err(why) => Err(format!("{path} did not answer: {}", shown(why))),
        }
    }

    /// Checks the application's response to the version path.
    ///
    /// # Errors
    /// Returns what was expected and what was received.
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

    /// Accepts a failed probe until the deadline.
    ///
    /// # Errors
    /// Fails with `Unhealthy` from the deadline on.
    pub fn unanswered(&self, why: &str, now: Timestamp) -> Result<(), Unhealthy> {
        if now < self.deadline {
            return Ok(());
        }
        Err(Unhealthy {
            target: Box::new(self.release.target.clone()),
            deadline: self.deadline,
            url: self.url.clone(),
            why: why.to_owned(),
        })
    }
}

/// An application that was not healthy before the rollout's deadline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{target}, but at the deadline {deadline} {url}{why}")]
pub struct Unhealthy {
    target: Box<TargetState>,
    deadline: Timestamp,
    url: String,
    /// The last answer: the path, and what was wrong with it.
    why: String,
}

impl NamedError for Unhealthy {
    fn name(&self) -> ErrorName {
        ErrorName::Unhealthy
    }
}

fn spoken(answer: &HttpReply) -> String {
    format!("{} {:?}", answer.status, shown(&answer.body))
}

/// Returns what an answer or a message of AWS says, on one short line.
pub(crate) fn shown(text: &str) -> String {
    text::line(text, SHOWN)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may fail by panicking"
    )]
    use super::*;
    use crate::ids::{ImageDigest, ServiceName};
    use crate::release::ecs::EcsState;
    use crate::release::{Artifact, TargetState};
    use proptest::prelude::*;

    fn rollout() -> Rollout {
        let digest = ImageDigest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap();
        Rollout {
            release: Release {
                service: ServiceName::parse("shop").unwrap(),
                artifact: Artifact::Image { digest },
                target: TargetState::Ecs(EcsState {
                    cluster: "main".into(),
                    service: "shop".into(),
                    task_definition: "arn:td/shop:2".into(),
                }),
            },
            commit: CommitId::parse(&"1".repeat(40)).unwrap(),
            url: "http://shop.example".into(),
            since: Timestamp::UNIX_EPOCH,
            deadline: Timestamp::from_second(300).unwrap(),
            healthy_at: None,
        }
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
        let error = crate::error::StepError::from(rollout.unanswered(&said[0], late).unwrap_err());
        insta::assert_snapshot!(format!("{}\n{error}", said.join("\n")));
        assert_eq!(rollout.unanswered("", Timestamp::UNIX_EPOCH), Ok(()));
    }

    proptest! {
        #[test]
        fn no_control_character_reaches_a_message(text in any::<String>()) {
            prop_assert!(!shown(&text).chars().any(char::is_control));
            prop_assert!(shown(&text).chars().count() <= SHOWN + 1);
        }
    }
}
