//! How things look: times, tables, a run.

use domain::plan::{Counts, LegKind};
use domain::run::{
    Approval, Build, ImageOrigin, Lock, Outcome, Rollback, Run, StackRun, StackState,
};
use jiff::Timestamp;
use std::fmt::Write as _;

/// A time, to the second, in UTC.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Rows under a header, aligned. The last column is not padded.
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

/// A text from outside in one line, without control characters: it could move the cursor.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Where a run stands, in a few words.
#[must_use]
pub fn state(run: &Run) -> String {
    if let Some(end) = &run.end {
        return end.outcome.as_str().to_owned();
    }
    let back = run.mode == LegKind::Rollback;
    let word = if run.config.is_none() {
        "checking"
    } else if run.way().iter().any(waits_for_a_person) {
        "awaiting approval"
    } else if run
        .rollout()
        .is_some_and(|rollout| rollout.healthy_at.is_some())
    {
        "recording"
    } else if run.rollout().is_some() {
        "deploying"
    } else if run
        .way()
        .iter()
        .any(|stack| matches!(stack.state, StackState::Applying { .. }))
    {
        "applying"
    } else if matches!(run.lock, Lock::Waiting { .. }) {
        "waiting"
    } else if matches!(run.build, Build::Started { .. }) {
        "building"
    } else {
        "planning"
    };
    if back {
        format!("rolling back: {word}")
    } else {
        word.to_owned()
    }
}

fn waits_for_a_person(stack: &StackRun) -> bool {
    matches!(
        stack.state,
        StackState::Planned {
            approval: Some(Approval::Asked { .. }),
            ..
        }
    )
}

/// The name of the run's environment; `-` before it is known.
#[must_use]
pub fn environment(run: &Run) -> &str {
    run.config
        .as_ref()
        .map_or("-", |config| config.environment.as_str())
}

/// A plan's counts: `3 to create, 1 to delete`.
#[must_use]
pub fn counts(counts: &Counts) -> String {
    let parts: Vec<String> = [
        (counts.create, "create"),
        (counts.update, "update"),
        (counts.replace, "replace"),
        (counts.delete, "delete"),
        (counts.forget, "forget"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, verb)| format!("{count} to {verb}"))
    .collect();
    parts.join(", ")
}

/// Where a stack stands.
#[must_use]
pub fn stack_state(stack: &StackRun) -> String {
    let word = match &stack.state {
        StackState::Pending => "pending".to_owned(),
        StackState::Planning { .. } => "planning".to_owned(),
        StackState::Planned { approval, .. } => match approval {
            None => "planned".to_owned(),
            Some(Approval::Asked { .. }) => "awaiting approval".to_owned(),
            Some(Approval::Answered { answer, by, .. }) => {
                let word = match answer {
                    domain::run::ApprovalDecision::Approved => "approved",
                    domain::run::ApprovalDecision::Rejected => "rejected",
                };
                format!("{word} by {}", clean(by))
            }
        },
        StackState::Applying { .. } => "applying".to_owned(),
        StackState::Applied { .. } => "applied".to_owned(),
        StackState::Unchanged => "unchanged".to_owned(),
        StackState::Failed { .. } => "failed".to_owned(),
    };
    let made = stack.plan.as_ref().map(|plan| counts(&plan.counts));
    match made.filter(|text| !text.is_empty()) {
        Some(made) => format!("{word} ({made})"),
        None => word,
    }
}

/// What a run came to, as facts in the order in which they come about.
#[must_use]
pub fn facts(run: &Run) -> Vec<String> {
    let mut facts = vec![format!("run {} claimed", run.id)];
    if let Some(source) = &run.source {
        let archive = source.archive.sha256.as_str();
        let archive = archive.get(..12).unwrap_or(archive);
        facts.push(format!("source sealed, sha256 {archive}"));
    }
    match &run.build {
        Build::None => {}
        Build::Started { .. } => facts.push("image is built".to_owned()),
        Build::Failed => facts.push("image: the tests or the build failed".to_owned()),
        Build::Ready { digest, origin } => {
            let word = match origin {
                ImageOrigin::Built => "built",
                ImageOrigin::Reused => "reused",
            };
            facts.push(format!("image {word}, {digest}"));
        }
    }
    match &run.lock {
        Lock::None => {}
        Lock::Waiting { .. } => facts.push(format!("waits for {}", environment(run))),
        Lock::Held { .. } | Lock::Released => facts.push(format!("owns {}", environment(run))),
        Lock::Superseded => facts.push("superseded by a newer commit".to_owned()),
    }
    stacks_and_rollout("", &run.stacks, run.deploy.as_ref(), &mut facts);
    if let Some(failure) = &run.failure {
        facts.push(format!("error {}", clean(&failure.error.to_string())));
    }
    if let Some(restore) = &run.restore {
        let target = &restore.target.commit;
        facts.push(format!("goes back to {}", target.short()));
        stacks_and_rollout(
            "back: ",
            &restore.stacks,
            restore.deploy.as_ref(),
            &mut facts,
        );
    }
    facts.extend(run.rollback.as_ref().map(rollback));
    if run.promoted_at.is_some() {
        facts.push(format!("last good in {}", environment(run)));
    }
    facts
}

fn stacks_and_rollout(
    way: &str,
    stacks: &[StackRun],
    rollout: Option<&domain::run::Rollout>,
    facts: &mut Vec<String>,
) {
    let begun = stacks
        .iter()
        .filter(|stack| stack.state != StackState::Pending);
    facts.extend(
        begun.map(|stack| format!("{way}stack {} {}", stack.stack.name, stack_state(stack))),
    );
    if let Some(rollout) = rollout {
        let word = if rollout.healthy_at.is_some() {
            "healthy"
        } else {
            "rolling out"
        };
        facts.push(format!(
            "{way}service {} {word}, {}",
            rollout.service, rollout.url
        ));
    }
}

fn rollback(rollback: &Rollback) -> String {
    match rollback {
        Rollback::NotNeeded => "rollback not-needed: nothing had changed".to_owned(),
        Rollback::NoLastGood => "rollback no-last-good: nothing to go back to".to_owned(),
        Rollback::Restored => "rolled-back".to_owned(),
        Rollback::Refused { error } => format!("rollback-refused: {}", clean(&error.to_string())),
        Rollback::Failed { error } => format!("rollback-failed: {}", clean(&error.to_string())),
    }
}

/// A run as `show` prints it.
#[must_use]
pub fn run(run: &Run) -> String {
    let trigger = &run.trigger;
    let mut rows = vec![
        ("run", run.id.to_string()),
        ("state", state(run)),
        (
            "repository",
            format!("{} ({})", trigger.repository, trigger.repository_key),
        ),
        ("environment", environment(run).to_owned()),
        ("branch", trigger.branch.to_string()),
        ("commit", trigger.commit.to_string()),
    ];
    if let Some(source) = &run.source {
        rows.push(("subject", clean(&source.subject)));
        rows.push(("author", clean(&source.author)));
    }
    rows.push((
        "pushed",
        format!(
            "{} by {}",
            time(trigger.received_at),
            clean(&trigger.pusher)
        ),
    ));
    rows.push(("started", time(run.started_at)));
    if let Some(end) = &run.end {
        rows.push(("ended", time(end.at)));
    }
    if let Build::Ready { digest, .. } = &run.build {
        rows.push(("image", digest.to_string()));
    }
    if let Some(seq) = run.end.as_ref().and_then(|end| end.audit_seq) {
        rows.push(("audit", format!("entry {seq}")));
    }
    rows.push(("execution", run.execution.clone()));
    let mut text = String::new();
    for (name, value) in rows {
        let _infallible = writeln!(text, "{name:<12}{value}");
    }
    text.push('\n');
    for fact in facts(run) {
        let _infallible = writeln!(text, "  {fact}");
    }
    if let Some(next) = next(run) {
        let _infallible = writeln!(text, "\nnext: {next}");
    }
    text
}

/// What a person does next about a run.
#[must_use]
pub fn next(run: &Run) -> Option<String> {
    let waiting = run.way().iter().find(|stack| waits_for_a_person(stack));
    if let (None, Some(stack)) = (&run.end, waiting) {
        let (id, name) = (&run.id, &stack.stack.name);
        return Some(format!(
            "`sluicegate approve {id} {name}` or `sluicegate reject {id} {name}`"
        ));
    }
    let failure = run.failure.as_ref().filter(|_| run.end.is_some())?;
    let hint = failure
        .error
        .name
        .hint()
        .replace(" RUN", &format!(" {}", run.id));
    if run.outcome() != Outcome::NeedsOperator {
        return Some(hint);
    }
    if matches!(run.rollback, Some(Rollback::Refused { .. })) {
        return Some(format!(
            "The way back would lose data: decide what to keep, then push a commit. {hint}"
        ));
    }
    Some(format!(
        "{hint} Mend the environment, then `sluicegate unfreeze {} {}`.",
        run.trigger.repository_key,
        environment(run)
    ))
}
