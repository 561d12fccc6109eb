//! `sluicegate watch`

use crate::args::Watch;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::world::World;
use crate::{text, view};
use domain::run::Run;
use std::collections::BTreeSet;
use std::time::Duration;

/// Follows a run to its end: a picture that renews itself on a terminal, a line for each new
/// fact elsewhere, a line of JSON for each change with `--json`.
///
/// # Errors
/// When there is no such run, when the run fails; those of the table and of the output.
pub async fn watch(world: &World, args: &Watch, out: &mut Output<'_>) -> Outcome {
    let mut said = BTreeSet::new();
    let mut last: Option<Run> = None;
    loop {
        let run = super::run(&*world.records, &args.run).await?;
        if last.as_ref() != Some(&run) {
            show(world, &run, &mut said, out)?;
        }
        if run.end.is_some() {
            return if run.outcome().is_success() {
                Ok(())
            } else {
                Err(Failure::said())
            };
        }
        last = Some(run);
        tokio::time::sleep(Duration::from_secs(args.interval)).await;
    }
}

fn show(world: &World, run: &Run, said: &mut BTreeSet<String>, out: &mut Output<'_>) -> Outcome {
    if out.json {
        return out.line(&view::full(run)?);
    }
    if out.terminal {
        return out.redraw(&text::run(run));
    }
    let now = text::time(world.clock.now());
    let mut facts = text::facts(run);
    if run.end.is_some() {
        facts.push(format!("ended {}", text::state(run)));
        facts.extend(text::next(run).map(|next| format!("next: {next}")));
    }
    for fact in facts {
        if said.insert(fact.clone()) {
            out.text(&format!("{now}  {fact}\n"))?;
        }
    }
    Ok(())
}
