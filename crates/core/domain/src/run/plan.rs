//! Plans of a run's stacks, and the decisions of persons about them.

use crate::error::{ErrorName, StepError};
use crate::ids::{JobId, StackName};
use crate::plan::{ObjectRef, PlanSummary, SealedPlan, SideEffects, Verdict};
use crate::run::{Approval, ApprovalDecision, Change, Run, StackState};
use jiff::Timestamp;

impl Run {
    /// The plan job of a stack was made, as its `attempt`th job. A job that was made before stays;
    /// the one that counts is returned, with its attempt.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); `ContractViolation` when the stack is not on
    /// the leg, or is planned already.
    pub fn planning(
        &mut self,
        stack: &StackName,
        job: JobId,
        attempt: u32,
        now: Timestamp,
    ) -> Change<(JobId, u32)> {
        let run = self.id.clone();
        let stack = self.open_stack(stack)?;
        stack.planning(job, attempt, now);
        match stack.state() {
            StackState::Planning { job } => Ok((job.clone(), stack.jobs())),
            _ => Err(StepError::new(
                ErrorName::ContractViolation,
                format!("stack {} of run {run} is planned already", stack.name()),
            )
            .into()),
        }
    }

    /// The plan that a job made was judged: it is sealed. A repeated call changes nothing.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); `ContractViolation` when the stack does not
    /// wait for this job's plan.
    #[expect(clippy::too_many_arguments, reason = "all of them are the plan")]
    pub fn planned(
        &mut self,
        stack: &StackName,
        job: &JobId,
        plan: SealedPlan,
        summary: &PlanSummary,
        verdict: Verdict,
        outputs: Option<ObjectRef>,
        now: Timestamp,
    ) -> Change {
        let stack = self.open_stack(stack)?;
        Ok(stack.planned(job, plan, summary, verdict, outputs, now)?)
    }

    /// The plan of a job failed, or may not be applied. A stack that waits for another job stays
    /// as it is.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); `ContractViolation` when the stack is not on
    /// the leg.
    pub fn plan_failed(&mut self, stack: &StackName, job: &JobId, now: Timestamp) -> Change {
        let stack = self.open_stack(stack)?;
        if matches!(stack.state(), StackState::Planning { job: known } if known == job) {
            let side_effects = SideEffects::None;
            stack.reach(StackState::Failed { side_effects }, now);
        }
        Ok(())
    }

    /// A person's approval of a plan is requested; the token ends the wait. A decision that was
    /// made already (the question is repeated with a new token) is returned, and stays.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); `ContractViolation` when the stack has no plan
    /// to approve.
    pub fn approval_requested(
        &mut self,
        stack: &StackName,
        token: String,
        now: Timestamp,
    ) -> Change<Option<ApprovalDecision>> {
        let approval = self.approval(stack)?;
        if let Some(Approval::Decided { decision, .. }) = approval {
            return Ok(Some(*decision));
        }
        *approval = Some(Approval::Requested { token, since: now });
        Ok(None)
    }

    /// A person decides about a plan. What was requested is returned, for the caller to end the
    /// wait; none when the same decision was made before.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); `ContractViolation` when no approval is
    /// pending, or the other decision was made before.
    pub fn approval_decided(
        &mut self,
        stack: &StackName,
        decision: ApprovalDecision,
        by: &str,
        now: Timestamp,
    ) -> Change<Option<Approval>> {
        let approval = self.approval(stack)?;
        let refused = match approval {
            Some(Approval::Decided {
                decision: known, ..
            }) if *known == decision => {
                return Ok(None);
            }
            Some(Approval::Requested { .. }) => {
                return Ok(approval.replace(Approval::Decided {
                    decision,
                    by: by.to_owned(),
                    at: now,
                }));
            }
            Some(Approval::Decided {
                decision: known,
                by,
                at,
            }) => format!(
                "the plan of stack {stack} was {} by {by} at {at} before",
                known.as_str()
            ),
            None => format!("stack {stack} has no pending approval"),
        };
        Err(StepError::new(ErrorName::ContractViolation, refused).into())
    }

    /// Takes a decision back whose wait could not be ended: `requested` is pending again.
    ///
    /// # Errors
    /// [`RunError::Ended`](super::RunError::Ended); `ContractViolation` when the stack has no plan
    /// to approve.
    pub fn approval_reopened(&mut self, stack: &StackName, requested: Approval) -> Change {
        *self.approval(stack)? = Some(requested);
        Ok(())
    }

    fn approval(&mut self, name: &StackName) -> Change<&mut Option<Approval>> {
        match &mut self.open_stack(name)?.state {
            StackState::Planned { approval, .. } => Ok(approval),
            _ => Err(StepError::new(
                ErrorName::ContractViolation,
                format!("stack {name} has no pending approval"),
            )
            .into()),
        }
    }
}
