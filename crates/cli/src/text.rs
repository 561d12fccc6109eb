//! Text output: times, tables, runs.

use domain::error::{ErrorName, StepError};
use domain::plan::{Counts, LegKind, SideEffects};
use domain::rollout::Rollout;
use domain::run::{
    Approval, ArtifactOrigin, Build, Leg, Lock, Outcome, RollbackOutcome, Run, StackRun, StackState,
};
use domain::text::inert;
use domain::warning::WarningKind;
use jiff::Timestamp;
use std::fmt::Write as _;

/// Formats a time in UTC, to the second.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats the time since a moment, such as `3 h 12 min`.
#[must_use]
pub fn age(now: Timestamp, since: Timestamp) -> String {
    let minutes = now.duration_since(since).as_mins().max(0);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// Formats aligned rows under a header. The last column is not padded.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _infallible = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns the state of a run in brief, prefixed with `rolling back:` on the rollback leg.
#[must_use]
pub fn state(run: &Run) -> String {
    if let Some(end) = run.end() {
        return end.outcome.as_str().to_owned();
    }
    let leg = run.leg();
    let applying = |stack: &StackRun| matches!(stack.state(), StackState::Applying { .. });
    let state = if run.accepted_at().is_none() {
        "checking"
    } else if leg.stacks().iter().any(StackRun::awaits_approval) {
        "awaiting approval"
    } else if run
        .rollout()
        .is_some_and(|rollout| rollout.healthy_at.is_some())
    {
        "recording"
    } else if run.rollout().is_some() {
        "deploying"
    } else if leg.stacks().iter().any(applying) {
        "applying"
    } else if matches!(run.lock(), Lock::Waiting { .. }) {
        "waiting"
    } else if matches!(run.build(), Build::Started { .. }) {
        "building"
    } else {
        "planning"
    };
    match leg.kind() {
        LegKind::Forward => state.to_owned(),
        LegKind::Rollback => format!("rolling back: {state}"),
    }
}

/// Returns the environment of a run; `-` before it is known.
#[must_use]
pub fn environment(run: &Run) -> &str {
    run.environment()
        .map_or("-", |environment| environment.as_str())
}

/// Formats the counts of a plan: `3 to create, 1 to delete`.
#[must_use]
pub fn counts(counts: &Counts) -> String {
    let parts: Vec<String> = counts
        .by_verb()
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, verb)| format!("{count} to {verb}"))
        .collect();
    parts.join(", ")
}

/// Formats what an apply did: `3 created, 1 imported`.
fn carried_out(counts: &Counts) -> String {
    let participle = |verb: &str| match verb {
        "forget" => "removed from the state".to_owned(),
        verb if verb.ends_with('e') => format!("{verb}d"),
        verb => format!("{verb}ed"),
    };
    let parts: Vec<String> = counts
        .by_verb()
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, verb)| format!("{count} {}", participle(verb)))
        .collect();
    parts.join(", ")
}

/// Returns the state of a stack, with the counts of its last plan.
#[must_use]
pub fn stack_state(stack: &StackRun) -> String {
    let state = match stack.state() {
        StackState::Pending => "pending".to_owned(),
        StackState::Validating { .. } => "validating".to_owned(),
        StackState::Planning { .. } => "planning".to_owned(),
        StackState::Planned { approval, .. } => match approval {
            None => "planned".to_owned(),
            Some(Approval::Requested { .. }) => "awaiting approval".to_owned(),
            Some(Approval::Decided { decision, by, .. }) => {
                format!("{} by {}", decision.as_str(), inert(by))
            }
        },
        StackState::Applying { .. } => "applying".to_owned(),
        StackState::Applied { .. } => "applied".to_owned(),
        StackState::Unchanged => "unchanged".to_owned(),
        StackState::Skipped { same_as } => format!("skipped, same as in {}", same_as.short()),
        StackState::Failed { side_effects } => match side_effects {
            SideEffects::None | SideEffects::Possible => "failed".to_owned(),
            SideEffects::Unrecorded => {
                "failed; what its apply did last may be in no state".to_owned()
            }
            SideEffects::Unwritten => "failed; its state is not written".to_owned(),
        },
        StackState::Left => "left as it is: it had resources before the run, and the last good \
                             commit does not have it"
            .to_owned(),
    };
    // A stack that is planned again still has the counts of its stale plan.
    let is_planning = matches!(
        stack.state(),
        StackState::Pending | StackState::Validating { .. } | StackState::Planning { .. }
    );
    let planned = stack.plan().filter(|_| !is_planning);
    let planned = planned.map(|plan| match stack.state() {
        StackState::Applied { .. } => carried_out(&plan.counts),
        _ => counts(&plan.counts),
    });
    let planned = planned.filter(|text| !text.is_empty());
    let made = match stack.state() {
        StackState::Failed { .. } => stack.made().map(|made| match carried_out(made) {
            nothing if nothing.is_empty() => "done: nothing".to_owned(),
            done => format!("done: {done}"),
        }),
        _ => None,
    };
    let notes: Vec<String> = planned.into_iter().chain(made).collect();
    if notes.is_empty() {
        state
    } else {
        format!("{state} ({})", notes.join("; "))
    }
}

/// An event in a run, and when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// When it happened.
    pub at: Timestamp,
    /// What happened, in one line.
    pub text: String,
}

impl Fact {
    fn new(at: Timestamp, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { at, text }
    }
}

/// Returns the events of a run, grouped by part.
#[must_use]
pub fn facts(run: &Run) -> Vec<Fact> {
    let mut facts = vec![Fact::new(
        run.started_at(),
        format!("run {} claimed", run.id()),
    )];
    if let (Some(at), Some(source)) = (run.accepted_at(), run.forward().source()) {
        let digest = source.sha256.as_str();
        let digest = digest.get(..12).unwrap_or(digest);
        facts.push(Fact::new(at, format!("source sealed, sha256 {digest}")));
    }
    match run.build() {
        Build::None => {}
        Build::Started { at } => facts.push(Fact::new(*at, "building the image")),
        Build::Failed { at, .. } => {
            facts.push(Fact::new(*at, "image: the tests or the build failed"));
        }
        Build::Ready {
            artifact,
            origin,
            at,
        } => {
            let origin = match origin {
                ArtifactOrigin::Built => "built",
                ArtifactOrigin::Reused => "reused",
            };
            facts.push(Fact::new(*at, format!("{artifact} {origin}")));
        }
    }
    facts.extend(lock(run));
    leg("", run.forward(), &mut facts);
    if let Some(failure) = run.failure() {
        let error = inert(&failure.error.to_string());
        facts.push(Fact::new(failure.at, format!("error {error}")));
    }
    if let Some(rollback) = run.rollback() {
        let text = format!("rolling back to {}", rollback.commit().short());
        facts.push(Fact::new(rollback.since(), text));
        leg("rollback: ", rollback, &mut facts);
    }
    facts.extend(rollback(run));
    if let Some(at) = run.promoted_at() {
        facts.push(Fact::new(at, format!("last good in {}", environment(run))));
    }
    facts
}

/// Describes how the run queued for its environment, or acquired it.
fn lock(run: &Run) -> Option<Fact> {
    let name = environment(run);
    match run.lock() {
        Lock::None => None,
        Lock::Waiting { since } => Some(Fact::new(since, format!("queued for {name}"))),
        Lock::Held { since, .. } => Some(Fact::new(since, format!("acquired {name}"))),
        Lock::Superseded { at } => Some(Fact::new(at, "superseded by a newer commit")),
    }
}

fn leg(prefix: &str, leg: &Leg, facts: &mut Vec<Fact>) {
    let begun = leg
        .stacks()
        .iter()
        .filter(|stack| *stack.state() != StackState::Pending);
    for stack in begun {
        let text = format!("{prefix}stack {} {}", stack.name(), stack_state(stack));
        facts.push(Fact::new(at(stack), text));
        facts.extend(details(prefix, stack));
    }
    facts.extend(leg.rollouts().iter().map(|one| rollout(prefix, one)));
}

/// Returns why a stack's plan needs an approval, and the stack's warnings, a line each.
fn details(prefix: &str, stack: &StackRun) -> Vec<Fact> {
    let mut lines = Vec::new();
    if let Some(plan) = stack.plan() {
        let reasons = plan.reasons.kept.iter();
        lines.extend(reasons.map(|reason| format!("approval: {reason}")));
        if plan.reasons.more > 0 {
            lines.push(format!(
                "approval: {} further resources, see the plan's log",
                plan.reasons.more
            ));
        }
    }
    if !stack.unrecorded().is_empty() {
        lines.push(format!(
            "may exist, in no state: {}; `sluicegate logs` shows the ids of what was created: import or \
             delete only an object whose id is not in the state",
            stack.unrecorded()
        ));
    }
    let warnings = stack.warnings();
    let first = warnings.first.iter();
    lines.extend(first.map(|warning| match warning.kind {
        WarningKind::Check => format!("failed check: {warning}"),
        WarningKind::Other => format!("warning: {warning}"),
    }));
    let shown = u32::try_from(warnings.first.len()).unwrap_or(u32::MAX);
    let more = warnings.count().saturating_sub(shown);
    if more > 0 {
        lines.push(format!("further warnings, see the logs: {more}"));
    }
    let name = stack.name();
    let fact =
        |line: String| Fact::new(at(stack), format!("{prefix}stack {name} {}", inert(&line)));
    lines.into_iter().map(fact).collect()
}

/// Returns when a stack came to what [`stack_state`] says of it.
fn at(stack: &StackRun) -> Timestamp {
    match stack.state() {
        StackState::Planned {
            approval: Some(Approval::Requested { since, .. }),
            ..
        } => *since,
        StackState::Planned {
            approval: Some(Approval::Decided { at, .. }),
            ..
        } => *at,
        _ => stack.since(),
    }
}

fn rollout(prefix: &str, rollout: &Rollout) -> Fact {
    let (service, url) = (&rollout.release.service, &rollout.url);
    match rollout.healthy_at {
        Some(at) => Fact::new(at, format!("{prefix}service {service} healthy, {url}")),
        None => Fact::new(
            rollout.since,
            format!("{prefix}service {service} rolling out, {url}"),
        ),
    }
}

fn rollback(run: &Run) -> Option<Fact> {
    let outcome = run.rollback_outcome()?;
    let ended = run.end().map(|end| end.at);
    let at = run.rollback_ended_at().or(ended)?;
    let why = match (outcome, run.rollback_error()) {
        (_, Some(error)) => inert(&error.to_string()),
        (RollbackOutcome::NotNeeded, None) => "nothing had changed".to_owned(),
        (RollbackOutcome::NoLastGood, None) => "the environment has no last good commit".to_owned(),
        (_, None) => return Some(Fact::new(at, outcome.as_str())),
    };
    Some(Fact::new(at, format!("{outcome}: {why}")))
}

/// Formats a run for `show`.
#[must_use]
pub fn run(run: &Run) -> String {
    let trigger = run.trigger();
    let repository = trigger.repository();
    let mut rows = vec![
        ("run", run.id().to_string()),
        ("state", state(run)),
        (
            "repository",
            format!("{} ({})", repository.full_name, repository.key),
        ),
        ("environment", environment(run).to_owned()),
        ("branch", trigger.branch().to_string()),
        ("commit", trigger.commit().to_string()),
    ];
    if let (Some(subject), Some(author)) = (run.subject(), run.author()) {
        rows.push(("subject", inert(subject)));
        rows.push(("author", inert(author)));
    }
    rows.push((
        "trigger",
        format!(
            "{} at {} by {}",
            trigger.kind(),
            time(trigger.received_at()),
            inert(trigger.actor())
        ),
    ));
    rows.push(("started", time(run.started_at())));
    if let Some(end) = run.end() {
        rows.push(("ended", time(end.at)));
    }
    if let Some(artifact) = run.artifact() {
        rows.push(("artifact", artifact.to_string()));
    }
    if let Some(seq) = run.end().and_then(|end| end.audit_seq) {
        rows.push(("audit", format!("entry {seq}")));
    }
    rows.push(("execution", run.execution().to_owned()));
    let mut text = String::new();
    for (name, value) in rows {
        let _infallible = writeln!(text, "{name:<12}{value}");
    }
    text.push('\n');
    for fact in facts(run) {
        let _infallible = writeln!(text, "  {}", fact.text);
    }
    if let Some(next) = next(run) {
        let _infallible = writeln!(text, "\nnext: {next}");
    }
    text
}

/// Returns what the operator can do next about a run.
#[must_use]
pub fn next(run: &Run) -> Option<String> {
    let mut stacks = run.leg().stacks().iter();
    if let (None, Some(stack)) = (run.end(), stacks.find(|stack| stack.awaits_approval())) {
        let (id, name) = (run.id(), stack.name());
        return Some(format!(
            "`sluicegate approve {id} {name}` or `sluicegate reject {id} {name}`"
        ));
    }
    let failure = run.failure().filter(|_| run.is_ended())?;
    if let Some(stack) = run.unwritten_stack() {
        let error = StepError::new(ErrorName::StateUnwritten, String::new());
        return Some(format!(
            "{} Then run `sluicegate unfreeze {} {}`, and push a commit to deliver again.",
            error.next_step(run.id(), Some(stack.name())),
            run.trigger().repository_key(),
            environment(run)
        ));
    }
    let hint = failure.error.next_step(run.id(), run.failed_stack());
    if run.outcome() != Outcome::NeedsOperator {
        return Some(hint);
    }
    if run.rollback_outcome() == Some(RollbackOutcome::RollbackRefused) {
        return Some(format!(
            "The rollback would do more than undo the run: `sluicegate show {}` names what. Decide about it, then push a new commit. {hint}",
            run.id()
        ));
    }
    Some(format!(
        "{hint} Repair the environment, then run `sluicegate unfreeze {} {}`.",
        run.trigger().repository_key(),
        environment(run)
    ))
}
