//! `sluicegate approve` and `sluicegate reject`

use crate::args::OfStack;
use crate::failure::{Failure, Kind, LIST_RUNS, Outcome};
use crate::output::Output;
use crate::pipeline::Pipeline;
use domain::ids::{RunId, StackName};
use domain::run::{Approval, ApprovalDecision, Change, Run, RunError};
use domain::step::ApprovalAnswer;
use domain::text;
use engine::TokenState;
use engine::documents::update_run;
use serde_json::json;

/// Approves or rejects a plan. The decision is in the run before the wait ends. If the wait cannot
/// be ended, the approval is pending again.
///
/// # Errors
/// Fails if no approval is pending, and with the errors of the table, of Step Functions and of the
/// output.
pub async fn answer(
    pipeline: &Pipeline,
    args: &OfStack,
    decision: ApprovalDecision,
    out: &mut Output<'_>,
) -> Outcome {
    let id = super::id_of(&args.run, RunId::parse, LIST_RUNS)?;
    let next = format!("`sluicegate show {id}` lists its stacks.");
    let stack = super::id_of(&args.stack, StackName::parse, &next)?;
    let now = pipeline.clock.now();
    let by = text::line(&args.by, 100);
    let requested = change(pipeline, &id, |run| {
        run.approval_decided(&stack, decision, &by, now)
    })
    .await?;
    if let Some(Approval::Requested { token, .. }) = &requested {
        let output = serde_json::to_string(&ApprovalAnswer { decision })?;
        match pipeline.tokens.succeed(token, &output).await {
            Ok(TokenState::Open) => {}
            Ok(TokenState::Closed) => {
                return Err(Failure::new(
                    Kind::NotWaiting,
                    format!("run {id} is no longer waiting: it ended, or the approval timed out"),
                    format!("Run `sluicegate show {id}` for its state."),
                ));
            }
            Err(error) => {
                if let Some(requested) = requested {
                    change(pipeline, &id, |run| {
                        run.approval_reopened(&stack, requested.clone())
                    })
                    .await?;
                }
                return Err(error.into());
            }
        }
    }
    let decided = decision.as_str();
    if out.json {
        return out.value(&json!({"run": id, "stack": stack, "decision": decided}));
    }
    out.text(&format!("{decided}: stack {stack} of run {id}\n"))
}

/// Changes the run. Fails with `NotWaiting` if its approval cannot change now.
async fn change<T>(
    pipeline: &Pipeline,
    id: &RunId,
    decide: impl Fn(&mut Run) -> Change<T>,
) -> Outcome<T> {
    let changed = update_run(&*pipeline.table, id, |run| match decide(run) {
        Ok(done) => Ok(Ok(done)),
        Err(
            error @ (RunError::Ended { .. }
            | RunError::NoStack { .. }
            | RunError::NoApproval { .. }
            | RunError::DecidedBefore { .. }),
        ) => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    })
    .await?;
    changed.map_err(|message| {
        let next = format!("Run `sluicegate show {id}` for its state.");
        Failure::new(Kind::NotWaiting, message, next)
    })
}
