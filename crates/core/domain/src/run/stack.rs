//! A stack on a leg of a run.

mod retry;
mod validation;

use crate::config::Stack;
use crate::ids::{CommitId, JobId, StackName};
use crate::job::Undo;
use crate::plan::{
    Counts, Extent, ObjectRef, PlanKind, PlanMade, SealedPlan, SideEffects, Unrecorded, Verdict,
};
use crate::run::{Change, JobEvent, JudgedPlan, RunError};
use crate::stack_digest::StackDigest;
use crate::warning::Warnings;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The maximum number of times that a stale plan is made again.
pub const REPLANS: u32 = 1;

/// The maximum number of a stack's jobs that replace one that never started.
pub const RESTARTS: u32 = 1;

/// A stack on a leg of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackRun {
    spec: Stack,
    /// What the stack's plans are for.
    plan_kind: PlanKind,
    /// The digest of what decides the stack's plan. None on the rollback leg, and if it is not known
    /// what the stack reads.
    digest: Option<StackDigest>,
    /// The number of plan and apply jobs that the stack had on this leg.
    jobs: u32,
    /// The number of the validation job that found the stack's configuration valid.
    pub(super) validated: Option<u32>,
    /// The number of times that a stale plan was made again.
    replans: u32,
    /// The number of jobs that replaced one that never started.
    restarts: u32,
    pub(super) state: StackState,
    /// When the stack reached its state.
    since: Timestamp,
    /// The last plan that was judged.
    pub(super) plan: Option<PlanMade>,
    /// The last plan that an apply job used.
    pub(super) applied: Option<SealedPlan>,
    /// What that apply did. None until it is known.
    made: Option<Counts>,
    /// What that apply may have made that is in no state.
    #[serde(default, skip_serializing_if = "Unrecorded::is_empty")]
    pub(super) unrecorded: Unrecorded,
    /// The warnings of the last plan and of its apply.
    pub(super) warnings: Warnings,
    pub(super) outputs: Option<ObjectRef>,
    /// The sealed modules and lock file of the last plan that was judged. Before the first one,
    /// those to plan with: set if the stack has the source of the last good commit, or of the leg
    /// that a rollback undoes.
    pub(super) dependencies: Option<ObjectRef>,
}

/// The state of a stack on a leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(
    clippy::large_enum_variant,
    reason = "a run has few stacks, and most of them are planned"
)]
pub enum StackState {
    /// No plan job was made yet.
    Pending,
    /// A validation job was made.
    Validating {
        /// The validation job's id.
        job: JobId,
    },
    /// A plan job was made.
    Planning {
        /// The plan job's id.
        job: JobId,
    },
    /// The plan was judged and sealed.
    Planned {
        /// The plan job's id.
        job: JobId,
        /// The sealed plan.
        plan: SealedPlan,
        /// The verdict on the plan.
        verdict: Verdict,
        /// The approval, once it is requested.
        approval: Option<Approval>,
    },
    /// An apply job uses the plan.
    Applying {
        /// The apply job's id.
        job: JobId,
    },
    /// The plan was applied.
    Applied {
        /// The apply job's id.
        job: JobId,
    },
    /// The plan had no changes.
    Unchanged,
    /// The stack was not planned, because it is the same as in the last good commit.
    Skipped {
        /// The last good commit.
        same_as: CommitId,
    },
    /// A job of the stack failed.
    Failed {
        /// Whether the job may have changed resources.
        side_effects: SideEffects,
    },
    /// The rollback does not change the stack: the last good commit does not have it, and it had
    /// resources before the run.
    Left,
}

/// A person's decision on a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Approval {
    /// The approval is requested.
    Requested {
        /// The task token that ends the wait.
        token: String,
        /// When the approval was requested.
        since: Timestamp,
    },
    /// A person decided.
    Decided {
        /// The decision.
        decision: ApprovalDecision,
        /// The person, for display.
        by: String,
        /// When the person decided.
        at: Timestamp,
    },
}

/// The decision itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalDecision {
    /// The plan is applied.
    Approved,
    /// The plan is not applied.
    Rejected,
}

impl ApprovalDecision {
    /// Returns the decision as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for ApprovalDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StackRun {
    pub(super) fn new(spec: &Stack, plan_kind: PlanKind, now: Timestamp) -> Self {
        Self {
            spec: spec.clone(),
            plan_kind,
            digest: None,
            jobs: 0,
            validated: None,
            replans: 0,
            restarts: 0,
            state: StackState::Pending,
            since: now,
            plan: None,
            warnings: Warnings::default(),
            applied: None,
            made: None,
            unrecorded: Unrecorded::default(),
            outputs: None,
            dependencies: None,
        }
    }

    pub(super) fn with_dependencies(self, dependencies: Option<&ObjectRef>) -> Self {
        let dependencies = dependencies.cloned();
        Self {
            dependencies,
            ..self
        }
    }

    pub(super) fn with_digest(self, digest: Option<StackDigest>) -> Self {
        Self { digest, ..self }
    }

    /// Returns the stack's name.
    #[must_use]
    pub fn name(&self) -> &StackName {
        &self.spec.name
    }

    /// Returns the stack's part of the configuration.
    #[must_use]
    pub fn spec(&self) -> &Stack {
        &self.spec
    }

    #[cfg(test)]
    pub(super) fn spec_mut(&mut self) -> &mut Stack {
        &mut self.spec
    }

    /// Returns what the stack's plans are for.
    #[must_use]
    pub fn plan_kind(&self) -> PlanKind {
        self.plan_kind
    }

    /// Returns the digest of what decides the stack's plan, or none if it is not known.
    #[must_use]
    pub fn digest(&self) -> Option<&StackDigest> {
        self.digest.as_ref()
    }

    /// Returns the number of plan and apply jobs that the stack had on this leg.
    #[must_use]
    pub fn jobs(&self) -> u32 {
        self.jobs
    }

    /// Returns the stack's state on this leg.
    #[must_use]
    pub fn state(&self) -> &StackState {
        &self.state
    }

    /// Returns when the stack reached its state.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Returns the last plan that was judged.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanMade> {
        self.plan.as_ref()
    }

    /// Returns the warnings of the last plan and of its apply.
    #[must_use]
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Returns the sealed plan that the stack's next apply job uses, or none if it has no plan to apply.
    #[must_use]
    pub fn plan_to_apply(&self) -> Option<&SealedPlan> {
        match &self.state {
            StackState::Planned { plan, .. } => Some(plan),
            // Of a job that replaces one that never started.
            StackState::Applying { .. } => self.applied.as_ref(),
            _ => None,
        }
    }

    /// Returns what the stack's apply did, or none if it is not known.
    #[must_use]
    pub fn made(&self) -> Option<&Counts> {
        self.made.as_ref()
    }

    /// Returns what the stack's apply may have made that is in no state.
    #[must_use]
    pub fn unrecorded(&self) -> &Unrecorded {
        &self.unrecorded
    }

    /// Returns what a rollback undoes in the stack, or none if no apply changed it. `source` is the
    /// archive that the stack was planned from.
    pub(super) fn undo(&self, source: &ObjectRef) -> Option<Undo> {
        let applied = self.applied.clone().filter(|_| self.has_side_effects())?;
        let extent = match self.state {
            StackState::Applied { .. } => Extent::Whole,
            StackState::Failed {
                side_effects: SideEffects::Possible,
            } => Extent::Part,
            _ => Extent::Unknown,
        };
        Some(Undo {
            applied,
            extent,
            source: source.clone(),
            dir: self.spec.dir.clone(),
        })
    }

    /// Returns the stack's outputs, or none if they are not known yet.
    #[must_use]
    pub fn outputs(&self) -> Option<&ObjectRef> {
        self.outputs.as_ref()
    }

    /// Returns the sealed modules and lock file that the stack's next job uses. None if its source
    /// archive has all of them, and before its first plan.
    #[must_use]
    pub fn dependencies(&self) -> Option<&ObjectRef> {
        self.dependencies.as_ref()
    }

    /// Returns whether Terraform may have changed the stack's resources on this leg.
    #[must_use]
    pub fn has_side_effects(&self) -> bool {
        match self.state {
            StackState::Applying { .. } | StackState::Applied { .. } => true,
            StackState::Failed { side_effects } => side_effects.are_possible(),
            _ => false,
        }
    }

    /// Returns whether the stack's state could not be written. It does not show what exists.
    #[must_use]
    pub fn is_unwritten(&self) -> bool {
        let side_effects = SideEffects::Unwritten;
        self.state == StackState::Failed { side_effects }
    }

    /// Returns whether the stack's plan needs an approval.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        matches!(
            self.state,
            StackState::Planned {
                verdict: Verdict::NeedsApproval,
                ..
            }
        )
    }

    /// Returns whether the stack waits for an approval.
    #[must_use]
    pub fn awaits_approval(&self) -> bool {
        matches!(
            self.state,
            StackState::Planned {
                approval: Some(Approval::Requested { .. }),
                ..
            }
        )
    }

    pub(super) fn reach(&mut self, state: StackState, now: Timestamp) {
        self.state = state;
        self.since = now;
    }

    fn unexpected(&self, event: JobEvent, job: &JobId) -> RunError {
        RunError::OtherJob {
            stack: self.name().clone(),
            event,
            job: job.clone(),
        }
    }

    /// Records the plan job, which is the stack's `attempt`th job. Does nothing unless the stack is
    /// pending.
    pub(super) fn planning(&mut self, job: JobId, attempt: u32, now: Timestamp) {
        if self.state == StackState::Pending {
            self.jobs = attempt;
            self.reach(StackState::Planning { job }, now);
        }
    }

    pub(super) fn planned(&mut self, job: &JobId, plan: JudgedPlan<'_>, now: Timestamp) -> Change {
        let verdict = plan.judgement.verdict;
        match &self.state {
            StackState::Planning { job: expected } if expected == job => {}
            StackState::Planned { job: known, .. } if known == job => return Ok(()),
            StackState::Unchanged if verdict == Verdict::NoChanges => return Ok(()),
            _ => return Err(self.unexpected(JobEvent::Plan, job)),
        }
        self.outputs = plan.outputs.or(self.outputs.take());
        self.warnings = plan.warnings;
        self.dependencies.clone_from(&plan.sealed.dependencies);
        self.plan = Some(PlanMade {
            sha256: plan.sealed.file.sha256.clone(),
            counts: plan.summary.counts(),
            reasons: plan.judgement.reasons,
        });
        let state = if verdict == Verdict::NoChanges {
            StackState::Unchanged
        } else {
            StackState::Planned {
                job: job.clone(),
                plan: plan.sealed,
                verdict,
                approval: None,
            }
        };
        self.reach(state, now);
        Ok(())
    }

    /// Checks that an apply job may use the sealed plan.
    ///
    /// # Errors
    /// Fails with `ApprovalRejected` when the plan needs an approval and is not approved, with
    /// `PlanConsumed` when another job used the plan, and with `ContractViolation` when the stack
    /// has no plan.
    pub fn check_apply(&self, apply_job: &JobId) -> Change {
        let name = self.name();
        match &self.state {
            StackState::Planned {
                verdict, approval, ..
            } => match verdict {
                Verdict::NeedsApproval => approved(name, approval.as_ref()),
                Verdict::NoChanges | Verdict::Auto => Ok(()),
            },
            StackState::Applying { job, .. } if job == apply_job => Ok(()),
            StackState::Applying { job, .. } | StackState::Applied { job, .. } => {
                Err(RunError::PlanConsumed {
                    stack: name.clone(),
                    job: job.clone(),
                })
            }
            _ => Err(self.unexpected(JobEvent::Apply, apply_job)),
        }
    }

    pub(super) fn applying(&mut self, apply_job: JobId, attempt: u32, now: Timestamp) -> Change {
        self.check_apply(&apply_job)?;
        if let StackState::Planned { plan, .. } = &self.state {
            let job = apply_job;
            self.applied = Some(plan.clone());
            self.jobs = attempt;
            self.reach(StackState::Applying { job }, now);
        }
        Ok(())
    }

    pub(super) fn applied(
        &mut self,
        job: &JobId,
        outputs: ObjectRef,
        warnings: &Warnings,
        now: Timestamp,
    ) -> Change {
        match &self.state {
            StackState::Applying { job: expected } if expected == job => {
                let job = job.clone();
                self.reach(StackState::Applied { job }, now);
                self.outputs = Some(outputs);
                self.warnings = self.warnings.applied(warnings);
                self.made = self.plan.as_ref().map(|plan| plan.counts);
                Ok(())
            }
            StackState::Applied { job: known, .. } if known == job => Ok(()),
            _ => Err(self.unexpected(JobEvent::Applied, job)),
        }
    }

    pub(super) fn changes_known(&mut self, made: Counts, unrecorded: &Unrecorded) {
        if self.has_side_effects() {
            self.made = Some(made);
            self.unrecorded.clone_from(unrecorded);
        }
    }
}

/// Checks that a stack's plan was approved. The error says whether it was rejected, not approved in
/// time, or never submitted for approval.
fn approved(stack: &StackName, approval: Option<&Approval>) -> Change {
    let stack = stack.clone();
    match approval {
        Some(Approval::Decided {
            decision: ApprovalDecision::Approved,
            ..
        }) => Ok(()),
        Some(Approval::Decided {
            decision: ApprovalDecision::Rejected,
            by,
            at,
        }) => Err(RunError::Rejected {
            stack,
            by: by.clone(),
            at: *at,
        }),
        Some(Approval::Requested { since, .. }) => Err(RunError::NotApprovedInTime {
            stack,
            since: *since,
        }),
        None => Err(RunError::ApprovalNotRequested { stack }),
    }
}

impl StackState {
    /// Returns whether the stack has nothing left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(
            self,
            Self::Applied { .. } | Self::Unchanged | Self::Skipped { .. } | Self::Left
        )
    }
}

/// Returns the outputs of the stacks whose outputs are known.
pub(super) fn outputs<'run>(
    stacks: impl IntoIterator<Item = &'run StackRun>,
) -> impl Iterator<Item = (StackName, ObjectRef)> {
    let known = |one: &StackRun| Some((one.name().clone(), one.outputs.clone()?));
    stacks.into_iter().filter_map(known)
}
