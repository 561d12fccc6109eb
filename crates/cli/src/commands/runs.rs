//! `sluicegate runs`

use crate::args::Runs;
use crate::failure::Outcome;
use crate::output::Output;
use crate::pipeline::Pipeline;
use crate::text;
use crate::view::Brief;
use domain::run::Run;
use engine::documents::{OPEN_RUNS, RUNS};

/// Lists runs, the newest first.
///
/// # Errors
/// The errors of the table and of the output.
pub async fn list(pipeline: &Pipeline, args: &Runs, out: &mut Output<'_>) -> Outcome {
    let mut runs: Vec<Run> = Vec::new();
    let mut unreadable = 0;
    for index in [OPEN_RUNS, RUNS] {
        for item in pipeline.table.list(index, args.limit).await? {
            match serde_json::from_str(&item.doc) {
                Ok(run) => runs.push(run),
                Err(_) => unreadable += 1,
            }
        }
    }
    runs.sort_by_key(|run| std::cmp::Reverse((run.started_at(), run.id().clone())));
    // A run that is recorded while both partitions are read can be in both.
    runs.dedup_by(|one, other| one.id() == other.id());
    runs.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    if unreadable > 0 {
        out.warn(&format!(
            "{unreadable} runs were written by another version and are left out"
        ))?;
    }
    if out.json {
        return out.value(&runs.iter().map(Brief::of).collect::<Vec<_>>());
    }
    if runs.is_empty() {
        return out.text("no runs yet\n");
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            vec![
                run.id().to_string(),
                text::state(run),
                text::environment(run).to_owned(),
                run.trigger().commit().short().to_owned(),
                text::time(run.started_at()),
                run.subject().map(domain::text::inert).unwrap_or_default(),
            ]
        })
        .collect();
    let header = [
        "RUN",
        "STATE",
        "ENVIRONMENT",
        "COMMIT",
        "STARTED",
        "SUBJECT",
    ];
    out.text(&text::table(&header, &rows))
}
