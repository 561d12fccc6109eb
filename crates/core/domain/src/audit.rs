//! The audit: one entry for each run, chained by digests.
//!
//! An entry names the digest of the one before it, so what was written cannot be changed, removed
//! or moved without a trace in all that follows. Only the newest entry has nothing after it: its
//! digest is the [`Head`], which is kept elsewhere as well.
//!
//! An entry holds what is listed here and nothing else: no outputs, no variables, no logs.

use crate::environment::Environment;
use crate::error::StepError;
use crate::event::Trigger;
use crate::ids::{CommitId, EnvironmentName, RepositoryKey, RunId, Sha256Digest, StackName};
use crate::plan::{Counts, PlanKind, SideEffects};
use crate::release::{Artifact, Release};
use crate::run::{
    ArtifactOrigin, Build, End, Goal, Leg, Outcome, RollbackOutcome, Run, StackRun, StackState,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The version of [`Entry`] that this code writes and reads.
pub const AUDIT_SCHEMA: u32 = 2;

/// The folder of the entries on the audit branch.
pub const FOLDER: &str = "runs";

/// How much of an error's message an entry holds, in characters.
const MESSAGE_LIMIT: usize = 2000;

/// A run, as the audit keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`AUDIT_SCHEMA`].
    pub schema: u32,
    /// The number in the repository's chain, from 1.
    pub seq: u64,
    /// The digest of the entry before; all zero for the first.
    pub previous: Sha256Digest,
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub outcome: Outcome,
    /// What started the run: the repository, the commit and who caused it.
    pub trigger: Trigger,
    /// What the run was for.
    pub goal: Goal,
    /// The environment; none when the run ended before its configuration was read.
    pub environment: Option<EnvironmentName>,
    /// The commit's author.
    pub author: Option<String>,
    /// The first line of the commit's message.
    pub subject: Option<String>,
    /// When the run was claimed.
    pub started_at: Timestamp,
    /// When it became the environment's last good one.
    pub promoted_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it built, or found built.
    pub artifact: Option<ArtifactEntry>,
    /// The stacks of the leg towards the goal.
    pub stacks: Vec<StackEntry>,
    /// The releases of that leg.
    pub releases: Vec<Release>,
    /// The first error.
    pub error: Option<StepError>,
    /// The rollback, when there was an error.
    pub rollback: Option<RollbackEntry>,
    /// The newer commit that took its place, where it is known.
    pub superseded_by: Option<CommitId>,
}

/// An artifact in the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactEntry {
    /// The artifact.
    pub artifact: Artifact,
    /// Whether the run built it.
    pub origin: ArtifactOrigin,
}

/// A stack in the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackEntry {
    /// Its name.
    pub stack: StackName,
    /// What its plan was for.
    pub plan_kind: PlanKind,
    /// How it ended.
    pub result: StackResult,
    /// SHA-256 of the last plan file.
    pub plan: Option<Sha256Digest>,
    /// What that plan does.
    pub counts: Counts,
}

/// How a stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StackResult {
    /// It has no plan.
    NotPlanned,
    /// It was planned and not applied.
    Planned,
    /// An apply was begun, and its end is not known.
    Unfinished,
    /// It was applied.
    Applied,
    /// There was nothing to apply.
    Unchanged,
    /// It failed and changed nothing.
    Failed,
    /// It failed and may have changed resources.
    FailedMidway,
}

/// A rollback in the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackEntry {
    /// How it ended.
    pub outcome: RollbackOutcome,
    /// The commit that it led to.
    pub to: Option<CommitId>,
    /// Its stacks.
    pub stacks: Vec<StackEntry>,
    /// Its releases.
    pub releases: Vec<Release>,
    /// Why it was refused or failed.
    pub error: Option<StepError>,
}

/// The newest entry of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its number.
    pub seq: u64,
    /// The digest of its bytes.
    pub sha256: Sha256Digest,
}

impl Head {
    /// The head of a chain that ends with these bytes.
    #[must_use]
    pub fn of(seq: u64, bytes: &[u8]) -> Self {
        Self {
            seq,
            sha256: Sha256Digest::of(bytes),
        }
    }
}

/// The digest that the first entry names.
fn none_before() -> Sha256Digest {
    // 64 zeros are a digest in form, and of nothing.
    Sha256Digest::parse(&"0".repeat(64)).unwrap_or_else(|_| Sha256Digest::of(b""))
}

fn path_of(seq: u64, run: &RunId) -> String {
    format!("{FOLDER}/{seq:08}-{run}.json")
}

/// The number of the entry that a path on the audit branch is of; none for any other file, since a
/// file that the pipeline did not write must not pass for an entry that was brought there.
#[must_use]
pub fn number_at(path: &str) -> Option<u64> {
    let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
    let (seq, run) = name.strip_suffix(".json")?.split_once('-')?;
    let (seq, run) = (seq.parse().ok()?, RunId::parse(run).ok()?);
    (path_of(seq, &run) == path).then_some(seq)
}

impl Entry {
    /// The entry of a run that ended, as the next one after `previous`.
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

    /// The bytes that are stored and that the next entry's digest is made from.
    ///
    /// # Errors
    /// Never for a value of this type; the signature is that of the JSON writer.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// What is wrong with the bytes, to follow the entry's name in a sentence.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let entry: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("is no audit entry: {error}"))?;
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

    /// The file on the audit branch.
    #[must_use]
    pub fn path(&self) -> String {
        path_of(self.seq, &self.run)
    }

    /// The message of the commit that adds the file.
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
            StackState::Pending | StackState::Planning { .. } => StackResult::NotPlanned,
            StackState::Planned { .. } => StackResult::Planned,
            StackState::Applying { .. } => StackResult::Unfinished,
            StackState::Applied { .. } => StackResult::Applied,
            StackState::Unchanged => StackResult::Unchanged,
            StackState::Failed {
                side_effects: SideEffects::None,
            } => StackResult::Failed,
            StackState::Failed {
                side_effects: SideEffects::Possible,
            } => StackResult::FailedMidway,
        };
        Self {
            stack: run.name().clone(),
            plan_kind: run.plan_kind(),
            result,
            plan: run.plan().map(|plan| plan.sha256.clone()),
            counts: run.plan().map_or_else(Counts::default, |plan| plan.counts),
        }
    }
}

impl RollbackEntry {
    /// A run's rollback; none when nothing failed, or while it goes on.
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
    let mut message: String = error.message.chars().take(MESSAGE_LIMIT).collect();
    if error.message.chars().nth(MESSAGE_LIMIT).is_some() {
        message.push('…');
    }
    StepError::new(error.name, message)
}

/// The newer commit that took a run's place, as far as the environment still shows it.
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

/// An entry as it was found: where, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its key or path; it holds the entry's number in eight digits.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a good chain holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The newest entry; none for an empty chain.
    pub head: Option<Head>,
    /// How many runs ended how.
    pub outcomes: BTreeMap<&'static str, u64>,
}

/// Something wrong in a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The key or path of the entry where it shows.
    pub name: String,
    /// What is wrong, to follow the name in a sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.message)
    }
}

/// Checks a chain, the oldest entry first. Every edit, removal, swap or insertion shows: in the
/// entry itself or in the one after it, and for the newest entry in `anchor`, a head that was
/// noted elsewhere.
///
/// # Errors
/// Everything that is wrong.
pub fn verify(chain: &[Found], anchor: Option<&Head>) -> Result<Summary, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut outcomes: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut runs: BTreeMap<RunId, u64> = BTreeMap::new();
    let mut repository: Option<RepositoryKey> = None;
    let mut head: Option<Head> = None;
    for (found, seq) in chain.iter().zip(1_u64..) {
        let mut problem = |message: String| {
            problems.push(Problem {
                name: found.name.clone(),
                message,
            });
        };
        if !found.name.contains(&format!("{seq:08}")) {
            problem(format!(
                "is at place {seq} of the chain: an entry is missing or was added"
            ));
        }
        match Entry::from_bytes(&found.bytes) {
            Err(why) => problem(why),
            Ok(entry) => {
                if entry.seq != seq {
                    problem(format!("has the number {}, expected {seq}", entry.seq));
                }
                let expected = head
                    .as_ref()
                    .map_or_else(none_before, |head| head.sha256.clone());
                if entry.previous != expected {
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

fn check_anchor(chain: &[Found], anchor: &Head, problems: &mut Vec<Problem>) {
    let at = usize::try_from(anchor.seq)
        .ok()
        .and_then(|seq| seq.checked_sub(1))
        .and_then(|index| chain.get(index));
    let (name, message) = match at {
        None => (
            "the chain".to_owned(),
            format!("ends before entry {}, which was noted", anchor.seq),
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
