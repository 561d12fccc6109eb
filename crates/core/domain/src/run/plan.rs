//! Plans of a run's stacks, and their approvals.

use crate::ids::{JobId, StackName};
use crate::plan::{Judgement, ObjectRef, PlanSummary, SealedPlan, SideEffects};
use crate::run::{Approval, ApprovalDecision, Change, Run, RunError, StackState};
use crate::warning::Warnings;
use jiff::Timestamp;

/// A plan that was judged, to be recorded.
#[derive(Debug, Clone)]
pub struct JudgedPlan<'a> {
    /// The sealed plan.
    pub sealed: SealedPlan,
    /// Everything that the plan changes.
    pub summary: &'a PlanSummary,
    /// The verdict, and its reasons.
    pub judgement: Judgement,
    /// The warnings of `terraform plan`.
    pub warnings: Warnings,
    /// The outputs in the state, if the plan changes nothing.
    pub outputs: Option<ObjectRef>,
}

impl Run {
    /// Records a plan job of a stack, which is its `attempt`th job. If the stack already has a plan
    /// job, keeps it. Returns the job that counts, with its attempt.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended, and with
    /// `ContractViolation` when the leg does not have the stack or the stack is already planned.
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
            _ => Err(RunError::PlannedAlready {
                run,
                stack: stack.name().clone(),
            }),
        }
    }

    /// Records that a job's plan was judged and sealed. A repeated call changes nothing.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended, and with
    /// `ContractViolation` when the stack does not wait for this job's plan.
    pub fn planned(
        &mut self,
        stack: &StackName,
        job: &JobId,
        plan: JudgedPlan<'_>,
        now: Timestamp,
    ) -> Change {
        self.open_stack(stack)?.planned(job, plan, now)
    }

    /// Records that a plan job or a validation failed, or that the plan cannot be applied. Does
    /// nothing if the stack waits for another job.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended, and with
    /// `ContractViolation` when the leg does not have the stack.
    pub fn plan_failed(&mut self, stack: &StackName, job: &JobId, now: Timestamp) -> Change {
        let stack = self.open_stack(stack)?;
        if matches!(
            stack.state(),
            StackState::Planning { job: known } | StackState::Validating { job: known }
                if known == job
        ) {
            let side_effects = SideEffects::None;
            stack.reach(StackState::Failed { side_effects }, now);
        }
        Ok(())
    }

    /// Records that an approval is requested. The token ends the wait. If a person has already
    /// decided (the request is repeated with a new token), keeps and returns the decision.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended, and with
    /// `ContractViolation` when the stack has no plan to approve.
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

    /// Records a person's decision on a plan. Returns the request, for the caller to end the wait,
    /// or none if the same decision was already recorded.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended, and with
    /// `ContractViolation` when no approval is pending or the opposite decision was already
    /// recorded.
    pub fn approval_decided(
        &mut self,
        stack: &StackName,
        decision: ApprovalDecision,
        by: &str,
        now: Timestamp,
    ) -> Change<Option<Approval>> {
        let approval = self.approval(stack)?;
        let stack = stack.clone();
        match approval {
            Some(Approval::Decided {
                decision: known, ..
            }) if *known == decision => Ok(None),
            Some(Approval::Requested { .. }) => Ok(approval.replace(Approval::Decided {
                decision,
                by: by.to_owned(),
                at: now,
            })),
            Some(Approval::Decided {
                decision: known,
                by,
                at,
            }) => Err(RunError::DecidedBefore {
                stack,
                decision: *known,
                by: by.clone(),
                at: *at,
            }),
            None => Err(RunError::NoApproval { stack }),
        }
    }

    /// Reverts a decision whose wait could not be ended: `requested` is pending again.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended, and with
    /// `ContractViolation` when the stack has no plan to approve.
    pub fn approval_reopened(&mut self, stack: &StackName, requested: Approval) -> Change {
        *self.approval(stack)? = Some(requested);
        Ok(())
    }

    fn approval(&mut self, name: &StackName) -> Change<&mut Option<Approval>> {
        match &mut self.open_stack(name)?.state {
            StackState::Planned { approval, .. } => Ok(approval),
            _ => Err(RunError::NoApproval {
                stack: name.clone(),
            }),
        }
    }
}
