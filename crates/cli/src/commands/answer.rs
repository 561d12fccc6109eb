//! `sluicegate approve` and `sluicegate reject`

use crate::args::OfStack;
use crate::failure::{Failure, Kind, Outcome};
use crate::output::Output;
use crate::world::World;
use domain::error::{ErrorName, StepError};
use domain::ids::{RunId, StackName};
use domain::run::{Approval, ApprovalDecision, StackState};
use domain::step::ApprovalAnswer;
use engine::TokenState;
use engine::documents::update_run;
use serde_json::json;

/// Answers a plan that waits for a person. The answer is in the run before the wait ends; when
/// the wait cannot be ended, the question stands again.
///
/// # Errors
/// When nobody was asked; those of the table, of Step Functions and of the output.
pub async fn answer(
    world: &World,
    args: &OfStack,
    answer: ApprovalDecision,
    out: &mut Output<'_>,
) -> Outcome {
    let id = super::id_of(&args.run, RunId::parse)?;
    let stack = super::id_of(&args.stack, StackName::parse)?;
    let now = world.clock.now();
    let by: String = args
        .by
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    let asked = set(world, &id, &stack, |approval| match approval {
        Some(Approval::Asked { .. }) => Ok(approval.replace(Approval::Answered {
            answer,
            by: by.clone(),
            at: now,
        })),
        Some(Approval::Answered { answer: given, .. }) if *given == answer => Ok(None),
        Some(Approval::Answered { by, at, .. }) => Err(format!(
            "the plan of stack {stack} was answered otherwise by {by} at {at}"
        )),
        None => Err(format!("the plan of stack {stack} waits for nobody")),
    })
    .await?;
    if let Some(Approval::Asked { token, since }) = asked {
        let output = serde_json::to_string(&ApprovalAnswer { verdict: answer })?;
        match world.tokens.succeed(&token, &output).await {
            Ok(TokenState::Open) => {}
            Ok(TokenState::Closed) => {
                return Err(Failure::new(
                    Kind::NotWaiting,
                    format!("run {id} waits no more: its execution ended, or the time was over"),
                    format!("`sluicegate show {id}` says what came of it."),
                ));
            }
            Err(error) => {
                set(world, &id, &stack, |approval| {
                    *approval = Some(Approval::Asked {
                        token: token.clone(),
                        since,
                    });
                    Ok(None)
                })
                .await?;
                return Err(error.into());
            }
        }
    }
    let word = match answer {
        ApprovalDecision::Approved => "approved",
        ApprovalDecision::Rejected => "rejected",
    };
    if out.json {
        return out.value(&json!({"run": id, "stack": stack, "answer": word}));
    }
    out.text(&format!("{word}: stack {stack} of run {id}\n"))
}

/// Changes the approval of a planned stack.
async fn set(
    world: &World,
    id: &RunId,
    stack: &StackName,
    change: impl Fn(&mut Option<Approval>) -> Result<Option<Approval>, String>,
) -> Outcome<Option<Approval>> {
    let next = format!("`sluicegate show {id}` says where it stands.");
    let refused = |what: String| StepError::new(ErrorName::ContractViolation, what);
    let changed = update_run(&*world.records, id, |run| {
        let planned = run.stack_mut(stack)?;
        match &mut planned.state {
            StackState::Planned { approval, .. } => change(approval).map_err(refused),
            _ => Err(refused(format!(
                "stack {stack} of run {id} waits for nobody"
            ))),
        }
    })
    .await;
    changed.map_err(|error| match error.name {
        // Ours: the hint for it speaks of the pipeline's versions.
        ErrorName::ContractViolation => Failure::new(Kind::NotWaiting, error.message, next),
        _ => error.into(),
    })
}
