//! A rollout: a release on its way to being healthy, and what its application answers.

use crate::error::{ErrorName, StepError};
use crate::ids::CommitId;
use crate::release::Release;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How much of an answer or of a reason goes into a message, in characters.
const SHOWN: usize = 200;

/// A release that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// What is rolled out, and where.
    pub release: Release,
    /// The commit that the version path must answer.
    pub commit: CommitId,
    /// The service's address, without a path.
    pub url: String,
    /// When it started.
    pub since: Timestamp,
    /// When it must be healthy.
    pub deadline: Timestamp,
    /// When it was healthy.
    pub healthy_at: Option<Timestamp>,
}

/// An HTTP answer of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The HTTP status.
    pub status: u16,
    /// The body's first 2 KiB, as text.
    pub body: String,
}

/// How far a target is with a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutStage {
    /// Tasks are still started or stopped.
    Rolling,
    /// The wanted tasks run: ask the address.
    Running,
}

impl Rollout {
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
                "{}, but at the deadline {} {}{why}",
                self.release.target, self.deadline, self.url
            ),
        ))
    }
}

fn spoken(answer: &HttpReply) -> String {
    format!("{} {:?}", answer.status, shown(&answer.body))
}

/// Text in one line: control characters are blanks, and what is too long is cut.
pub(crate) fn shown(text: &str) -> String {
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
    use crate::ecs::EcsState;
    use crate::ids::{ImageDigest, ServiceName};
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
        let error = rollout.unanswered(&said[0], late).unwrap_err();
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
