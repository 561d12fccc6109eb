//! Announces each transition: a message on the status queue, and a status on the commit.
//!
//! An announcement cannot fail a run. Errors are logged.

use crate::enrolment::{Enrolments, enrolled};
use crate::status::{StatusMessage, Transition, message};
use crate::{Clock, CommitState, CommitStatus, CommitStatuses, StatusQueue};
use domain::ids::StackName;
use domain::plan::LegKind;
use domain::run::{Build, Leg, Outcome, Run, StackRun, StackState};
use domain::text;
use std::sync::Arc;
use std::time::Duration;

/// The maximum number of attempts to send a message.
const TRIES: u32 = 3;

/// The delay before the second attempt. The third waits twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// The time limit of an announcement. The queue and the forge are called concurrently.
const PATIENCE: Duration = Duration::from_secs(5);

/// GitHub's limit for a status description, in characters.
const DESCRIPTION_LIMIT: usize = 140;

/// The longest word in a status that would exceed [`DESCRIPTION_LIMIT`], in characters.
const WORD_LIMIT: usize = 40;

/// Announces transitions on the status queue, and on the commit at its forge.
#[derive(Clone)]
pub struct Announcer {
    queue: Arc<dyn StatusQueue>,
    clock: Arc<dyn Clock>,
    commits: Option<Commits>,
}

/// The destination of commit statuses.
#[derive(Clone)]
struct Commits {
    statuses: Arc<dyn CommitStatuses>,
    enrolments: Arc<dyn Enrolments>,
}

impl Announcer {
    /// Returns an announcer to the status queue only, for steps that change no commit status.
    #[must_use]
    pub fn new(queue: Arc<dyn StatusQueue>, clock: Arc<dyn Clock>) -> Self {
        Self {
            queue,
            clock,
            commits: None,
        }
    }

    /// Adds commit statuses.
    #[must_use]
    pub fn with_commit_statuses(
        self,
        statuses: Arc<dyn CommitStatuses>,
        enrolments: Arc<dyn Enrolments>,
    ) -> Self {
        Self {
            commits: Some(Commits {
                statuses,
                enrolments,
            }),
            ..self
        }
    }

    /// Announces a transition of a run. Takes at most five seconds.
    pub async fn announce(&self, run: &Run, transition: Transition) {
        let transition = &transition;
        tokio::join!(self.send(run, transition), self.mark(run, transition));
    }

    async fn send(&self, run: &Run, transition: &Transition) {
        let message = match message(run, transition, self.clock.now()) {
            Ok(message) => message,
            Err(error) => return tracing::error!(run = %run.id(), %error, "no status message"),
        };
        let transition = transition.kind().as_str();
        match tokio::time::timeout(PATIENCE, self.send_message(&message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(run = %run.id(), transition, %error, "status message not sent");
            }
            Err(_) => tracing::warn!(run = %run.id(), transition, "status queue did not respond"),
        }
    }

    async fn send_message(&self, message: &StatusMessage) -> crate::Result<()> {
        let mut tries = 1;
        loop {
            let sent = self
                .queue
                .send(&message.group, &message.id, &message.body)
                .await;
            match sent {
                Err(_) if tries < TRIES => {
                    tokio::time::sleep(PAUSE * tries).await;
                    tries += 1;
                }
                end => return end,
            }
        }
    }

    async fn mark(&self, run: &Run, transition: &Transition) {
        let (Some(commits), Some(status)) = (&self.commits, commit_status(run, transition)) else {
            return;
        };
        let call = async {
            let repository = enrolled(&*commits.enrolments, run.trigger()).await?;
            let commit = run.trigger().commit();
            commits.statuses.set(&repository, commit, &status).await
        };
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(run = %run.id(), %error, "commit status not set"),
            Err(_) => {
                tracing::warn!(run = %run.id(), "forge did not respond: commit status not set");
            }
        }
    }
}

/// Returns the commit's status after a transition, or none if it does not change.
fn commit_status(run: &Run, transition: &Transition) -> Option<CommitStatus> {
    let (state, description) = describe(run, transition)?;
    let context = match run.environment() {
        Some(environment) => format!("sluicegate/{environment}"),
        None => "sluicegate".to_owned(),
    };
    Some(CommitStatus {
        state,
        context,
        description: short(&description),
    })
}

fn describe(run: &Run, transition: &Transition) -> Option<(CommitState, String)> {
    let pending = |text: String| Some((CommitState::Pending, text));
    match transition {
        Transition::Sealed => pending(format!("Checked. {}", first_work(run))),
        Transition::LockWaiting(other) => pending(format!(
            "Waiting for run {other}, which holds this environment."
        )),
        // Ends the status of the wait.
        Transition::LockHeld => pending(format!("Environment acquired. {}", first_work(run))),
        Transition::ApprovalRequested(stack, _) => pending(format!(
            "Stack {stack} waits: sluicegate approve {} {stack} {}",
            run.id(),
            asked(run, stack)
        )),
        Transition::ApplyStarted(LegKind::Forward, stack, _) => {
            pending(format!("Applying stack {stack}."))
        }
        Transition::DeployStarted(LegKind::Forward) => pending("Rolling out.".into()),
        Transition::RollbackStarted => pending(format!(
            "Rolling back to {}. {}",
            target(run),
            first_error(run)
        )),
        Transition::Finished(outcome) => Some(finished(run, *outcome)),
        Transition::Claimed
        | Transition::BuildStarted
        | Transition::ImageReady
        | Transition::BuildFailed
        | Transition::Superseded
        | Transition::StackSkipped(..)
        | Transition::ValidationStarted(..)
        | Transition::ValidationFinished(..)
        | Transition::ValidationFailed(..)
        | Transition::PlanStarted(..)
        | Transition::PlanFinished(..)
        | Transition::PlanFailed(..)
        | Transition::ApprovalGranted(..)
        | Transition::ApprovalDenied(..)
        | Transition::ApplyStarted(..)
        | Transition::ApplyFinished(..)
        | Transition::ApplyFailed(..)
        | Transition::DeployStarted(_)
        | Transition::DeployHealthy(_)
        | Transition::DeployFailed(..)
        | Transition::Promoted
        | Transition::RolledBack => None,
    }
}

/// Returns what a run does before its first apply. A stack that is the same as in last good is not
/// planned, and an image that exists is not built.
fn first_work(run: &Run) -> &'static str {
    let config = run.config().ok();
    let builds = config.is_some_and(|config| config.build.is_some())
        && matches!(run.build(), Build::None | Build::Started { .. });
    let plans = config.is_some_and(|config| !config.stacks.is_empty());
    match (builds, plans) {
        (true, true) => "Next: build and plan what changed.",
        (true, false) => "Next: build what changed.",
        (false, true) => "Next: plan what changed.",
        (false, false) => "There is no stack to plan.",
    }
}

fn finished(run: &Run, outcome: Outcome) -> (CommitState, String) {
    match outcome {
        Outcome::Applied => {
            let text = format!("Delivered and verified{}. {}", warned(run), skipped(run));
            (CommitState::Success, text)
        }
        Outcome::NoOp => {
            let text = format!("Nothing had to change{}. {}", warned(run), skipped(run));
            (CommitState::Success, text)
        }
        Outcome::Superseded => (
            CommitState::Success,
            "Not deployed: a newer commit took its place.".into(),
        ),
        Outcome::Rejected | Outcome::Failed => (CommitState::Failure, first_error(run)),
        Outcome::RolledBack => (
            CommitState::Failure,
            format!(
                "Rolled back to {}. {}{}{}{}",
                target(run),
                created_again(run),
                unrecorded(run),
                left(run),
                first_error(run)
            ),
        ),
        Outcome::NeedsOperator => (
            CommitState::Error,
            format!(
                "An operator has to act. {}{}",
                unrecorded(run),
                first_error(run)
            ),
        ),
    }
}

/// Returns why a stack's plan needs an approval, in brief.
fn asked(run: &Run, stack: &StackName) -> String {
    let plan = run.stack(stack).ok().and_then(|stack| stack.plan());
    let reasons = plan.map_or_else(String::new, |plan| plan.reasons.in_brief());
    if reasons.is_empty() {
        reasons
    } else {
        format!("({reasons})")
    }
}

/// Returns how many warnings the run had; empty if there are none.
fn warned(run: &Run) -> String {
    match run.warnings() {
        0 => String::new(),
        1 => ", with 1 warning".to_owned(),
        count => format!(", with {count} warnings"),
    }
}

/// Returns which stacks were not planned, and why; empty if there are none.
fn skipped(run: &Run) -> String {
    let (mut names, mut commit) = (Vec::new(), None);
    for (stack, same_as) in run.forward().skipped() {
        names.push(stack.name().as_str());
        commit = Some(same_as.short());
    }
    match commit {
        Some(commit) => format!("Not planned, same as in {commit}: {}.", names.join(", ")),
        None => String::new(),
    }
}

/// Returns how many resources the rollback created again, and a space; empty if there are none. They
/// are new objects: the run had deleted the former ones.
fn created_again(run: &Run) -> String {
    let stacks = run.rollback().map_or(&[][..], Leg::stacks);
    let applied = stacks.iter().filter(|stack| stack.has_side_effects());
    let made = applied.filter_map(StackRun::made);
    match made.map(|made| made.create).sum() {
        0_usize => String::new(),
        count => format!("Created again as new: {count}. "),
    }
}

/// Returns how many objects the run may have made that are in no state, and a space; empty if there are
/// none.
fn unrecorded(run: &Run) -> String {
    let stacks = run.forward().stacks().iter();
    match stacks.map(|stack| stack.unrecorded().count).sum() {
        0_usize => String::new(),
        count => format!("May exist, in no state: {count}. "),
    }
}

/// Returns which stacks the rollback left as the run made them, and a space; empty if there are none.
fn left(run: &Run) -> String {
    let stacks = run.rollback().map_or(&[][..], Leg::stacks);
    let left = stacks
        .iter()
        .filter(|stack| *stack.state() == StackState::Left);
    let names: Vec<&str> = left.map(|stack| stack.name().as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(
        "Not rolled back, older than this run: {}. ",
        names.join(", ")
    )
}

fn first_error(run: &Run) -> String {
    match run.failure() {
        Some(failure) => failure.error.to_string(),
        None => "The cause is in the run's record.".into(),
    }
}

fn target(run: &Run) -> &str {
    run.rollback()
        .map_or("the last good commit", |leg| leg.commit().short())
}

/// Returns the text on one line of at most GitHub's limit. A long path is shortened before the reason
/// behind it is.
fn short(description: &str) -> String {
    let line = text::line(description, usize::MAX);
    if line.chars().count() <= DESCRIPTION_LIMIT {
        return line;
    }
    text::clip(&text::shorten_words(&line, WORD_LIMIT), DESCRIPTION_LIMIT)
}

#[cfg(all(test, feature = "fakes"))]
mod tests;
