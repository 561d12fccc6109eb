//! `sluicegate watch`

use crate::args::Watch;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::pipeline::Pipeline;
use crate::text::Fact;
use crate::{text, view};
use domain::run::Run;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// Follows a run to its end. On a terminal, redraws the run; elsewhere, prints one line with its
/// time for each new event; with `--json`, prints one line of JSON for each change.
///
/// # Errors
/// Fails if the run does not exist or fails, and with the errors of the table and of the output.
pub async fn watch(pipeline: &Pipeline, args: &Watch, out: &mut Output<'_>) -> Outcome {
    let mut shown = BTreeSet::new();
    let mut last: Option<Run> = None;
    loop {
        let run = super::run(&*pipeline.table, &args.run).await?;
        if last.as_ref() != Some(&run) {
            show(&run, &mut shown, out)?;
        }
        if run.is_ended() {
            return if run.outcome().is_success() {
                Ok(())
            } else {
                Err(Failure::already_reported())
            };
        }
        last = Some(run);
        tokio::time::sleep(Duration::from_secs(args.interval)).await;
    }
}

fn show(run: &Run, shown: &mut BTreeSet<(Timestamp, String)>, out: &mut Output<'_>) -> Outcome {
    if out.json {
        return out.line(&view::full(run)?);
    }
    if out.terminal {
        return out.redraw(&text::run(run));
    }
    let mut facts = text::facts(run);
    if let Some(end) = run.end() {
        let next = text::next(run).map(|next| format!("next: {next}"));
        let ended = format!("ended {}", text::state(run));
        let lines = std::iter::once(ended).chain(next);
        facts.extend(lines.map(|text| Fact { at: end.at, text }));
    }
    // The new events, in the order in which they happened.
    facts.retain(|fact| shown.insert((fact.at, fact.text.clone())));
    facts.sort_by_key(|fact| fact.at);
    for fact in facts {
        out.text(&format!("{}  {}\n", text::time(fact.at), fact.text))?;
    }
    Ok(())
}
