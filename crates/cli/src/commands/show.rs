//! `sluicegate show`

use crate::args::OfRun;
use crate::failure::Outcome;
use crate::output::Output;
use crate::pipeline::Pipeline;
use crate::{text, view};

/// Shows a run.
///
/// # Errors
/// Fails if the run does not exist, and with the errors of the table and of the output.
pub async fn show(pipeline: &Pipeline, args: &OfRun, out: &mut Output<'_>) -> Outcome {
    let run = super::run(&*pipeline.table, &args.run).await?;
    if out.json {
        return out.value(&view::full(&run)?);
    }
    out.text(&text::run(&run))
}
