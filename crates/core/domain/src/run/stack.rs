//! A stack on a leg of a run.

use crate::config::Stack;
use crate::environment::LastGood;
use crate::error::{ErrorName, StepError};
use crate::ids::{JobId, StackName};
use crate::plan::{ObjectRef, PlanKind, PlanMade, PlanSummary, SealedPlan, SideEffects, Verdict};
use crate::run::StalePlan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How often a stale plan is made again.
pub const REPLANS: u32 = 1;

/// A stack on a leg of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackRun {
    spec: Stack,
    /// What its plans are for.
    plan_kind: PlanKind,
    /// How many jobs it had.
    jobs: u32,
    /// How often its plan was made again.
    replans: u32,
    pub(super) state: StackState,
    /// When it reached that state.
    since: Timestamp,
    /// The last plan that was judged.
    plan: Option<PlanMade>,
    pub(super) outputs: Option<ObjectRef>,
}

/// The state of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StackState {
    /// Nothing was done yet.
    Pending,
    /// A plan job was made.
    Planning {
        /// The job.
        job: JobId,
    },
    /// The plan was judged and sealed.
    Planned {
        /// The job.
        job: JobId,
        /// The plan.
        plan: SealedPlan,
        /// What it would do, in brief.
        summary: PlanSummary,
        /// The judgement.
        verdict: Verdict,
        /// The decision of a person, where one is needed.
        approval: Option<Approval>,
    },
    /// The plan was used: an apply job was made from it.
    Applying {
        /// The apply job.
        job: JobId,
        /// What it does.
        summary: PlanSummary,
    },
    /// The plan was applied.
    Applied {
        /// The apply job.
        job: JobId,
        /// What it did.
        summary: PlanSummary,
    },
    /// There was nothing to apply.
    Unchanged,
    /// It failed.
    Failed {
        /// Whether resources may have changed.
        side_effects: SideEffects,
    },
}

/// A person's decision about a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Approval {
    /// Asked for; the token ends the wait.
    Requested {
        /// The task token.
        token: String,
        /// Since when.
        since: Timestamp,
    },
    /// Decided.
    Decided {
        /// The decision.
        decision: ApprovalDecision,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
}

/// What a person decides about a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalDecision {
    /// Apply it.
    Approved,
    /// Do not.
    Rejected,
}

impl ApprovalDecision {
    /// The stable spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl StackRun {
    pub(super) fn new(spec: &Stack, plan_kind: PlanKind, now: Timestamp) -> Self {
        Self {
            spec: spec.clone(),
            plan_kind,
            jobs: 0,
            replans: 0,
            state: StackState::Pending,
            since: now,
            plan: None,
            outputs: None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &StackName {
        &self.spec.name
    }

    /// Its part of the configuration.
    #[must_use]
    pub fn spec(&self) -> &Stack {
        &self.spec
    }

    /// What its plans are for.
    #[must_use]
    pub fn plan_kind(&self) -> PlanKind {
        self.plan_kind
    }

    /// How many jobs it had.
    #[must_use]
    pub fn jobs(&self) -> u32 {
        self.jobs
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> &StackState {
        &self.state
    }

    /// When it reached its state.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The last plan that was judged.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanMade> {
        self.plan.as_ref()
    }

    /// Its outputs, once they are known.
    #[must_use]
    pub fn outputs(&self) -> Option<&ObjectRef> {
        self.outputs.as_ref()
    }

    /// Whether terraform may have changed the stack's resources in this run.
    #[must_use]
    pub fn has_side_effects(&self) -> bool {
        matches!(
            self.state,
            StackState::Applying { .. }
                | StackState::Applied { .. }
                | StackState::Failed {
                    side_effects: SideEffects::Possible
                }
        )
    }

    /// Whether it has a plan that a person has to agree to.
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

    /// Whether it waits for a person's decision.
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

    pub(super) fn unexpected(&self, what: &str, job: &JobId) -> StepError {
        StepError::new(
            ErrorName::ContractViolation,
            format!(
                "stack {} does not wait for {what} of job {job}",
                self.name()
            ),
        )
    }

    /// Its plan job was made, as its `attempt`th job.
    pub(super) fn planning(&mut self, job: JobId, attempt: u32, now: Timestamp) {
        if self.state == StackState::Pending {
            self.jobs = attempt;
            self.reach(StackState::Planning { job }, now);
        }
    }

    pub(super) fn planned(
        &mut self,
        job: &JobId,
        plan: SealedPlan,
        summary: &PlanSummary,
        verdict: Verdict,
        outputs: Option<ObjectRef>,
        now: Timestamp,
    ) -> Result<(), StepError> {
        match &self.state {
            StackState::Planning { job: expected } if expected == job => {}
            StackState::Planned { job: known, .. } if known == job => return Ok(()),
            StackState::Unchanged if verdict == Verdict::NoChanges => return Ok(()),
            _ => return Err(self.unexpected("a plan", job)),
        }
        self.outputs = outputs.or(self.outputs.take());
        self.plan = Some(PlanMade {
            sha256: plan.file.sha256.clone(),
            counts: summary.counts(),
        });
        let state = if verdict == Verdict::NoChanges {
            StackState::Unchanged
        } else {
            let job = job.clone();
            StackState::Planned {
                job,
                plan,
                summary: summary.brief(),
                verdict,
                approval: None,
            }
        };
        self.reach(state, now);
        Ok(())
    }

    /// Whether an apply job may use the sealed plan.
    ///
    /// # Errors
    /// `ApprovalRejected` when a person is needed and did not agree, `PlanRefused` when the plan
    /// was refused, `PlanConsumed` when another job used it, `ContractViolation` when there is no
    /// plan.
    pub fn check_apply(&self, apply_job: &JobId) -> Result<(), StepError> {
        let name = self.name();
        match &self.state {
            StackState::Planned {
                verdict, approval, ..
            } => match verdict {
                Verdict::NeedsApproval => approved(name, approval.as_ref()),
                Verdict::Refused => Err(StepError::new(
                    ErrorName::PlanRefused,
                    format!("the plan of stack {name} was refused"),
                )),
                Verdict::NoChanges | Verdict::Auto => Ok(()),
            },
            StackState::Applying { job, .. } if job == apply_job => Ok(()),
            StackState::Applying { job, .. } | StackState::Applied { job, .. } => {
                Err(StepError::new(
                    ErrorName::PlanConsumed,
                    format!("the plan of stack {name} was used by job {job}"),
                ))
            }
            _ => Err(self.unexpected("an apply", apply_job)),
        }
    }

    pub(super) fn applying(
        &mut self,
        apply_job: JobId,
        attempt: u32,
        now: Timestamp,
    ) -> Result<(), StepError> {
        self.check_apply(&apply_job)?;
        if let StackState::Planned { summary, .. } = &self.state {
            let summary = summary.clone();
            let job = apply_job;
            self.jobs = attempt;
            self.reach(StackState::Applying { job, summary }, now);
        }
        Ok(())
    }

    pub(super) fn applied(
        &mut self,
        job: &JobId,
        outputs: ObjectRef,
        now: Timestamp,
    ) -> Result<(), StepError> {
        match &self.state {
            StackState::Applying {
                job: expected,
                summary,
            } if expected == job => {
                let (job, summary) = (job.clone(), summary.clone());
                self.reach(StackState::Applied { job, summary }, now);
                self.outputs = Some(outputs);
                Ok(())
            }
            StackState::Applied { job: known, .. } if known == job => Ok(()),
            _ => Err(self.unexpected("the end of an apply", job)),
        }
    }

    pub(super) fn plan_stale(
        &mut self,
        job: &JobId,
        now: Timestamp,
    ) -> Result<StalePlan, StepError> {
        match &self.state {
            StackState::Applying { job: known, .. } if known == job => {}
            StackState::Failed { .. } if self.replans >= REPLANS => return Ok(StalePlan::GiveUp),
            // It was reset already, and perhaps planned again.
            _ if self.replans > 0 => return Ok(StalePlan::PlanAgain),
            _ => return Err(self.unexpected("a stale plan", job)),
        }
        if self.replans >= REPLANS {
            let side_effects = SideEffects::None;
            self.reach(StackState::Failed { side_effects }, now);
            return Ok(StalePlan::GiveUp);
        }
        self.replans += 1;
        self.reach(StackState::Pending, now);
        Ok(StalePlan::PlanAgain)
    }
}

/// Whether a person agreed to the plan of a stack; if not, what they decided, or that no decision
/// came in time.
fn approved(name: &StackName, approval: Option<&Approval>) -> Result<(), StepError> {
    let why = match approval {
        Some(Approval::Decided {
            decision: ApprovalDecision::Approved,
            ..
        }) => return Ok(()),
        Some(Approval::Decided {
            decision: ApprovalDecision::Rejected,
            by,
            at,
        }) => format!("was rejected by {by} at {at}"),
        Some(Approval::Requested { since, .. }) => {
            format!("was not approved in time, since {since}; it was not applied")
        }
        None => "needs approval, and no approval was requested".to_owned(),
    };
    Err(StepError::new(
        ErrorName::ApprovalRejected,
        format!("the plan of stack {name} {why}"),
    ))
}

impl StackState {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Applied { .. } | Self::Unchanged)
    }
}

/// The outputs of those stacks that have any yet.
pub(super) fn outputs<'run>(
    stacks: impl IntoIterator<Item = &'run StackRun>,
) -> impl Iterator<Item = (StackName, ObjectRef)> {
    let known = |one: &StackRun| Some((one.name().clone(), one.outputs.clone()?));
    stacks.into_iter().filter_map(known)
}

/// The stacks of a rollback: those of the last good commit that this run changed, with all that
/// need them, planned from the last good source; and those that only the new commit has, to be
/// destroyed.
pub(super) fn rollback_stacks(
    forward: &[StackRun],
    target: &LastGood,
    now: Timestamp,
) -> Vec<StackRun> {
    let changed: Vec<&StackRun> = forward
        .iter()
        .filter(|stack| stack.has_side_effects())
        .collect();
    let known = |name: &StackName| target.config.stacks.iter().any(|stack| &stack.name == name);
    let mut back: Vec<StackRun> = Vec::new();
    for stack in &target.config.stacks {
        let was_changed = changed.iter().any(|other| *other.name() == stack.name);
        let needs_changed = stack
            .needs
            .iter()
            .any(|need| back.iter().any(|other| other.name() == need));
        if was_changed || needs_changed {
            back.push(StackRun::new(stack, PlanKind::Normal, now));
        }
    }
    for stack in changed.iter().rev().filter(|stack| !known(stack.name())) {
        back.push(StackRun::new(&stack.spec, PlanKind::Destroy, now));
    }
    back
}
