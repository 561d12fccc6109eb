//! The audit: one entry for each run, in a hash chain.
//!
//! Each entry contains the digest of the previous one, so a stored entry cannot be changed, removed
//! or moved without breaking the chain after it. The newest entry has no successor. Its digest is
//! the [`Head`], which is also stored elsewhere.
//!
//! An entry contains only the fields below: no outputs, variables or logs.

use crate::environment::Environment;
use crate::error::StepError;
use crate::event::Trigger;
use crate::ids::{CommitId, EnvironmentName, RepositoryKey, RunId, Sha256Digest, StackName};
use crate::json::{self, NotWritten};
use crate::plan::{Counts, PlanKind, Reasons, SideEffects, Unrecorded};
use crate::release::{Artifact, Release};
use crate::run::{
    ArtifactOrigin, Build, End, Goal, Leg, Outcome, RollbackOutcome, Run, StackRun, StackState,
};
use crate::text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The version of [`Entry`] that this code writes and reads.
pub const AUDIT_SCHEMA: u32 = 5;

/// The folder of the entries on the audit branch.
pub const FOLDER: &str = "runs";

/// The maximum length of an error's message in an entry, in bytes as JSON writes it.
const MESSAGE_LIMIT: usize = 2000;

/// The audit entry of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`AUDIT_SCHEMA`].
    pub schema: u32,
    /// The entry's number in the repository's chain, from 1.
    pub seq: u64,
    /// The digest of the previous entry. All zeros for the first.
    pub previous: Sha256Digest,
    /// The run's id.
    pub run: RunId,
    /// How the run ended.
    pub outcome: Outcome,
    /// What started the run: the repository, the commit and the user.
    pub trigger: Trigger,
    /// What the run was for.
    pub goal: Goal,
    /// The environment. None if the run ended before its configuration was read.
    pub environment: Option<EnvironmentName>,
    /// The commit's author.
    pub author: Option<String>,
    /// The first line of the commit's message.
    pub subject: Option<String>,
    /// When the run was claimed.
    pub started_at: Timestamp,
    /// When the run was promoted to the environment's *last good*.
    pub promoted_at: Option<Timestamp>,
    /// When the run ended.
    pub ended_at: Timestamp,
    /// The artifact that the run built or reused.
    pub artifact: Option<ArtifactEntry>,
    /// The stacks of the forward leg.
    pub stacks: Vec<StackEntry>,
    /// The releases of the forward leg.
    pub releases: Vec<Release>,
    /// The run's first error.
    pub error: Option<StepError>,
    /// The rollback. None if nothing failed.
    pub rollback: Option<RollbackEntry>,
    /// The newer commit that superseded the run, where it is known.
    pub superseded_by: Option<CommitId>,
}

/// An artifact in an audit entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactEntry {
    /// The artifact.
    pub artifact: Artifact,
    /// Whether the run built it.
    pub origin: ArtifactOrigin,
}

/// A stack in an audit entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackEntry {
    /// The stack's name.
    pub stack: StackName,
    /// What the stack's plans were for.
    pub plan_kind: PlanKind,
    /// How the stack ended.
    pub result: StackResult,
    /// The SHA-256 of the last plan file.
    pub plan: Option<Sha256Digest>,
    /// The number of changes in that plan.
    pub counts: Counts,
    /// Why the plan needed an approval. Empty if it needed none.
    pub reasons: Reasons,
    /// The number of `check` blocks that failed. Their texts are in the run's record.
    pub failed_checks: u32,
    /// The number of other warnings.
    pub warnings: u32,
    /// What the apply did. None if there was no apply, or if it is not known.
    pub made: Option<Counts>,
    /// What the apply may have made that is in no state.
    #[serde(default, skip_serializing_if = "Unrecorded::is_empty")]
    pub unrecorded: Unrecorded,
    /// The last good commit, if the stack was skipped because it is the same there.
    pub same_as: Option<CommitId>,
}

/// How a stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StackResult {
    /// The stack has no plan.
    NotPlanned,
    /// The stack was planned and not applied.
    Planned,
    /// An apply started, and its end is not known.
    Unfinished,
    /// The plan was applied.
    Applied,
    /// The plan had no changes.
    Unchanged,
    /// The stack was not planned, because it is the same as in the last good commit.
    Skipped,
    /// The stack was not rolled back: the last good commit does not have it, and it had resources
    /// before the run.
    Left,
    /// The stack failed before it changed anything.
    Failed,
    /// The stack failed and may have changed resources.
    FailedMidway,
}

/// A rollback in an audit entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackEntry {
    /// How the rollback ended.
    pub outcome: RollbackOutcome,
    /// The last good commit. None if no rollback leg started.
    pub to: Option<CommitId>,
    /// The stacks of the rollback leg.
    pub stacks: Vec<StackEntry>,
    /// The releases of the rollback leg.
    pub releases: Vec<Release>,
    /// Why the rollback was refused or failed.
    pub error: Option<StepError>,
}

/// The newest entry of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The entry's number.
    pub seq: u64,
    /// The digest of the entry's bytes.
    pub sha256: Sha256Digest,
}

impl Head {
    /// Returns the head of a chain whose last entry has these bytes.
    #[must_use]
    pub fn of(seq: u64, bytes: &[u8]) -> Self {
        Self {
            seq,
            sha256: Sha256Digest::of(bytes),
        }
    }
}

/// Returns the previous digest of the first entry.
fn none_before() -> Sha256Digest {
    // 64 zeros have the form of a digest, and are the digest of nothing.
    Sha256Digest::parse(&"0".repeat(64)).unwrap_or_else(|_| Sha256Digest::of(b""))
}

fn path_of(seq: u64, run: &RunId) -> String {
    format!("{FOLDER}/{seq:08}-{run}.json")
}

/// Returns the number of the entry at a path on the audit branch, or none for a file that does not
/// have the exact name of an entry. Such a file was not written by the pipeline.
#[must_use]
pub fn number_at(path: &str) -> Option<u64> {
    let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
    let (seq, run) = name.strip_suffix(".json")?.split_once('-')?;
    let (seq, run) = (seq.parse().ok()?, RunId::parse(run).ok()?);
    (path_of(seq, &run) == path).then_some(seq)
}

impl Entry {
    /// Returns the entry of a run that has ended, as the successor of `previous`.
    #[must_use]
    pub fn of(
        run: &Run,
        end: &End,
        superseded_by: Option<CommitId>,
        previous: Option<&Head>,
    ) -> Self {
        Self {
            schema: AUDIT_SCHEMA,
            seq: previous.map_or(1, |head| head.seq + 1),
            previous: previous.map_or_else(none_before, |head| head.sha256.clone()),
            run: run.id().clone(),
            outcome: end.outcome,
            trigger: run.trigger().clone(),
            goal: run.goal(),
            environment: run.environment().cloned(),
            author: run.author().map(str::to_owned),
            subject: run.subject().map(str::to_owned),
            started_at: run.started_at(),
            promoted_at: run.promoted_at(),
            ended_at: end.at,
            artifact: match run.build() {
                Build::Ready {
                    artifact, origin, ..
                } => Some(ArtifactEntry {
                    artifact: artifact.clone(),
                    origin: *origin,
                }),
                Build::None | Build::Started { .. } | Build::Failed { .. } => None,
            },
            stacks: stacks(run.forward()),
            releases: releases(run.forward()),
            error: run.failure().map(|failure| cut(&failure.error)),
            rollback: RollbackEntry::of(run),
            superseded_by,
        }
    }

    /// Returns the bytes to store. The next entry's digest is computed from them.
    ///
    /// # Errors
    /// Fails with `Internal` when the entry cannot be written. No value of this type causes that.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NotWritten> {
        let mut bytes = json::to_pretty_bytes("an audit entry", self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Parses an entry.
    ///
    /// # Errors
    /// Returns what is wrong with the bytes, phrased to follow the entry's name in a sentence.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let entry: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("is not an audit entry: {error}"))?;
        if entry.schema != AUDIT_SCHEMA {
            return Err(format!(
                "has schema {}, expected {AUDIT_SCHEMA}",
                entry.schema
            ));
        }
        match entry.to_bytes() {
            Ok(canonical) if canonical == bytes => Ok(entry),
            _ => Err("is not written as the pipeline writes it: it was edited".to_owned()),
        }
    }

    /// Returns the path of the file on the audit branch.
    #[must_use]
    pub fn path(&self) -> String {
        path_of(self.seq, &self.run)
    }

    /// Returns the message of the commit that adds the file.
    #[must_use]
    pub fn commit_message(&self) -> String {
        let mut message = format!("{}: {}", self.run, self.outcome.as_str());
        if let Some(environment) = &self.environment {
            message.push_str(&format!(" in {environment}"));
        }
        message.push_str(&format!("\n\nCommit: {}\n", self.trigger.commit()));
        if let Some(subject) = &self.subject {
            message.push_str(&format!("Subject: {subject}\n"));
        }
        if let Some(built) = &self.artifact {
            message.push_str(&format!("Artifact: {}\n", built.artifact));
        }
        if let Some(error) = &self.error {
            message.push_str(&format!("Error: {}\n", error.name));
        }
        if let Some(rollback) = &self.rollback {
            message.push_str(&format!("Rollback: {}\n", rollback.outcome));
        }
        message
    }
}

impl StackEntry {
    fn of(run: &StackRun) -> Self {
        let result = match run.state() {
            StackState::Pending | StackState::Validating { .. } | StackState::Planning { .. } => {
                StackResult::NotPlanned
            }
            StackState::Planned { .. } => StackResult::Planned,
            StackState::Applying { .. } => StackResult::Unfinished,
            StackState::Applied { .. } => StackResult::Applied,
            StackState::Unchanged => StackResult::Unchanged,
            StackState::Skipped { .. } => StackResult::Skipped,
            StackState::Left => StackResult::Left,
            StackState::Failed {
                side_effects: SideEffects::None,
            } => StackResult::Failed,
            StackState::Failed { .. } => StackResult::FailedMidway,
        };
        Self {
            stack: run.name().clone(),
            plan_kind: run.plan_kind(),
            result,
            plan: run.plan().map(|plan| plan.sha256.clone()),
            counts: run.plan().map_or_else(Counts::default, |plan| plan.counts),
            reasons: run
                .plan()
                .map(|plan| plan.reasons.clone())
                .unwrap_or_default(),
            failed_checks: run.warnings().failed_checks,
            warnings: run.warnings().others,
            made: run.made().copied(),
            unrecorded: run.unrecorded().clone(),
            same_as: match run.state() {
                StackState::Skipped { same_as } => Some(same_as.clone()),
                _ => None,
            },
        }
    }
}

impl RollbackEntry {
    /// Returns a run's rollback, or none if nothing failed or the rollback has not ended.
    #[must_use]
    pub fn of(run: &Run) -> Option<Self> {
        let outcome = run.rollback_outcome()?;
        let leg = run.rollback();
        Some(Self {
            outcome,
            to: leg.map(|leg| leg.commit().clone()),
            stacks: leg.map(stacks).unwrap_or_default(),
            releases: leg.map(releases).unwrap_or_default(),
            error: run.rollback_error().map(cut),
        })
    }
}

fn stacks(leg: &Leg) -> Vec<StackEntry> {
    leg.stacks().iter().map(StackEntry::of).collect()
}

fn releases(leg: &Leg) -> Vec<Release> {
    crate::run::releases(leg.rollouts())
}

fn cut(error: &StepError) -> StepError {
    StepError::new(error.name, text::cut(&error.message, MESSAGE_LIMIT))
}

/// Returns the newer commit that superseded a run, if the environment still shows it: in the queue,
/// as the holder or as *last good*.
#[must_use]
pub fn superseding(run: &Run, environment: &Environment) -> Option<CommitId> {
    let received_at = run.trigger().received_at();
    let waiting = environment
        .queue()
        .iter()
        .map(|waiter| (waiter.received_at, &waiter.commit));
    let holder = environment
        .holder()
        .map(|holder| (holder.received_at, &holder.commit));
    let good = environment
        .last_good()
        .map(|good| (good.received_at, &good.commit));
    waiting
        .chain(holder)
        .chain(good)
        .filter(|(at, commit)| *at > received_at && *commit != run.trigger().commit())
        .max_by_key(|(at, _)| *at)
        .map(|(_, commit)| commit.clone())
}

/// An entry as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The entry's key or path, which contains its number in eight digits.
    pub name: String,
    /// The entry's bytes.
    pub bytes: Vec<u8>,
}

/// The summary of a valid chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The newest entry. None for an empty chain.
    pub head: Option<Head>,
    /// The number of runs for each outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
}

/// A problem in a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The key or path of the entry that shows the problem.
    pub name: String,
    /// What is wrong, phrased to follow the name in a sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.message)
    }
}

/// Verifies a chain, given from the oldest entry to the newest. An edited, removed, swapped or
/// inserted entry is detected in itself or in its successor. For the newest entry, `anchor` detects
/// the change: a head that was stored elsewhere.
///
/// # Errors
/// Returns every problem that was found.
pub fn verify(chain: &[Found], anchor: Option<&Head>) -> Result<Summary, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut outcomes: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut runs: BTreeMap<RunId, u64> = BTreeMap::new();
    let mut repository: Option<RepositoryKey> = None;
    let mut head: Option<Head> = None;
    let mut seq = 0;
    for found in chain {
        seq += 1;
        let mut problem = |message: String| {
            problems.push(Problem {
                name: found.name.clone(),
                message,
            });
        };
        let entry = Entry::from_bytes(&found.bytes);
        // The entries after a gap are verified from there.
        let gap = entry.as_ref().map_or(0, |entry| entry.seq);
        if gap > seq && is_named(found, gap) {
            let last = gap - 1;
            problem(format!(
                "follows a gap: entries {seq} to {last} are missing"
            ));
            (seq, head) = (gap, None);
        }
        if !is_named(found, seq) {
            problem(format!(
                "is at place {seq} of the chain: an entry is missing or was added"
            ));
        }
        match entry {
            Err(why) => problem(why),
            Ok(entry) => {
                if entry.seq != seq {
                    problem(format!("has the number {}, expected {seq}", entry.seq));
                }
                let expected = match &head {
                    Some(head) => Some(head.sha256.clone()),
                    None => (seq == 1).then(none_before),
                };
                if let Some(expected) = expected.filter(|digest| entry.previous != *digest) {
                    problem(format!(
                        "names {} as the digest of the entry before it, which is {expected}",
                        entry.previous
                    ));
                }
                let key = entry.trigger.repository_key();
                if *repository.get_or_insert(key) != key {
                    problem(format!("is of repository {key}"));
                }
                if let Some(first) = runs.insert(entry.run.clone(), seq) {
                    problem(format!(
                        "is a second entry of run {}, after entry {first}",
                        entry.run
                    ));
                }
                *outcomes.entry(entry.outcome.as_str()).or_default() += 1;
            }
        }
        head = Some(Head::of(seq, &found.bytes));
    }
    if let Some(anchor) = anchor {
        check_anchor(chain, anchor, &mut problems);
    }
    if problems.is_empty() {
        Ok(Summary { head, outcomes })
    } else {
        Err(problems)
    }
}

/// Returns whether the name of an entry has this number.
fn is_named(found: &Found, seq: u64) -> bool {
    let file = found.name.rsplit('/').next().unwrap_or_default();
    file.starts_with(&format!("{seq:08}"))
}

fn check_anchor(chain: &[Found], anchor: &Head, problems: &mut Vec<Problem>) {
    let at = chain.iter().find(|found| is_named(found, anchor.seq));
    let (name, message) = match at {
        None => (
            "the chain".to_owned(),
            format!("lacks entry {}, which was noted", anchor.seq),
        ),
        Some(found) => {
            let digest = Sha256Digest::of(&found.bytes);
            if digest == anchor.sha256 {
                return;
            }
            let message = format!("has the digest {digest}, noted was {}", anchor.sha256);
            (found.name.clone(), message)
        }
    };
    problems.push(Problem { name, message });
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
