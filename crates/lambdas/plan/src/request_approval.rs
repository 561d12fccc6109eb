//! The action `request-approval`: asks an operator for a decision on a plan.
//!
//! Decides nothing: it keeps the task token until an operator decides.
//!
//! Undo: none, because an approval of a plan that is not applied has no effect.
//!
//! Running it twice is safe. The new task token replaces the old one, and a decision that was made
//! already completes it at once.
//!
//! Fails with `ContractViolation` if the stack has no plan.

use crate::Plan;
use domain::json;
use domain::step::{ApprovalAnswer, NoOutput, RequestApproval};
use engine::Result;
use engine::documents::update_run;
use engine::status::Transition;

impl Plan {
    /// Keeps the task token until `sluicegate approve` or `sluicegate reject` completes it. If the
    /// decision was made already, completes the token at once.
    pub(crate) async fn request_approval(&self, input: RequestApproval) -> Result<NoOutput> {
        let RequestApproval { run, stack, token } = input;
        let now = self.clock.now();
        let (run, decision) = update_run(&*self.table, &run, |run| {
            let decision = run.approval_requested(&stack, token.clone(), now)?;
            Ok((run.clone(), decision))
        })
        .await?;
        if let Some(decision) = decision {
            let output = json::to_text("the answer to an approval", &ApprovalAnswer { decision })?;
            // A closed token was completed before, or its execution has ended. Both are fine.
            self.tokens.succeed(&token, &output).await?;
            return Ok(NoOutput {});
        }
        let attempt = run.stack(&stack)?.jobs();
        let transition = Transition::ApprovalRequested(stack, attempt);
        self.announcer.announce(&run, transition).await;
        Ok(NoOutput {})
    }
}
