//! A stack on its way through a run.

use crate::config::Stack;
use crate::environment::LastGood;
use crate::error::{ErrorName, StepError};
use crate::ids::{JobId, StackName};
use crate::plan::{ObjectRef, PlanKind, PlanMade, PlanSummary, SealedPlan, SideEffects, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How often a stale plan is made again.
pub const REPLANS: u32 = 1;

/// A stack on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackRun {
    /// The stack.
    pub stack: Stack,
    /// What its plans are for.
    pub plan_kind: PlanKind,
    /// How many jobs it had.
    pub jobs: u32,
    /// How often its plan was made again.
    pub replans: u32,
    /// Where it stands.
    pub state: StackState,
    /// The last plan that was judged.
    pub plan: Option<PlanMade>,
    /// Its outputs, once they are known.
    pub outputs: Option<ObjectRef>,
}

/// Where a stack stands.
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
        /// The answer of a person, where one is needed.
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

/// A person's answer to a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Approval {
    /// Asked for; the token ends the wait.
    Asked {
        /// The task token.
        token: String,
        /// Since when.
        since: Timestamp,
    },
    /// Answered.
    Answered {
        /// The answer.
        answer: ApprovalDecision,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
}

/// What a person says to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalDecision {
    /// Apply it.
    Approved,
    /// Do not.
    Rejected,
}

impl StackRun {
    pub(super) fn new(stack: &Stack, plan_kind: PlanKind) -> Self {
        Self {
            stack: stack.clone(),
            plan_kind,
            jobs: 0,
            replans: 0,
            state: StackState::Pending,
            plan: None,
            outputs: None,
        }
    }

    /// Whether terraform may have changed the stack's resources in this run.
    #[must_use]
    pub fn was_touched(&self) -> bool {
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

    /// Takes the judged plan. A repeated call changes nothing.
    ///
    /// # Errors
    /// `ContractViolation` when the stack does not wait for this job's plan.
    pub fn planned(
        &mut self,
        job: &JobId,
        plan: SealedPlan,
        summary: &PlanSummary,
        verdict: Verdict,
        outputs: Option<ObjectRef>,
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
        self.state = if verdict == Verdict::NoChanges {
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
        Ok(())
    }

    /// Uses the sealed plan, once.
    ///
    /// # Errors
    /// `ApprovalRejected` when a person is needed and did not agree, `PlanRefused` when the plan
    /// was refused, `PlanConsumed` when it was used by another job, `ContractViolation` when
    /// there is no plan.
    pub fn consume(&mut self, apply_job: JobId) -> Result<(), StepError> {
        let name = &self.stack.name;
        match &self.state {
            StackState::Planned {
                summary,
                verdict,
                approval,
                ..
            } => {
                match verdict {
                    Verdict::NeedsApproval => approved(name, approval.as_ref())?,
                    Verdict::Refused => {
                        return Err(StepError::new(
                            ErrorName::PlanRefused,
                            format!("the plan of stack {name} was refused"),
                        ));
                    }
                    Verdict::NoChanges | Verdict::Auto => {}
                }
                self.state = StackState::Applying {
                    job: apply_job,
                    summary: summary.clone(),
                };
                Ok(())
            }
            StackState::Applying { job, .. } if *job == apply_job => Ok(()),
            StackState::Applying { job, .. } | StackState::Applied { job, .. } => {
                Err(StepError::new(
                    ErrorName::PlanConsumed,
                    format!("the plan of stack {name} was used by job {job}"),
                ))
            }
            _ => Err(self.unexpected("an apply", &apply_job)),
        }
    }

    /// Takes the end of the apply. A repeated call changes nothing.
    ///
    /// # Errors
    /// `ContractViolation` when the stack does not wait for this job.
    pub fn applied(&mut self, job: &JobId, outputs: ObjectRef) -> Result<(), StepError> {
        match &self.state {
            StackState::Applying {
                job: expected,
                summary,
            } if expected == job => {
                let summary = summary.clone();
                self.state = StackState::Applied {
                    job: job.clone(),
                    summary,
                };
                self.outputs = Some(outputs);
                Ok(())
            }
            StackState::Applied { job: known, .. } if known == job => Ok(()),
            _ => Err(self.unexpected("the end of an apply", job)),
        }
    }

    /// Takes note that the plan of this apply job was stale: it is made again, once. A repeated
    /// call changes nothing.
    ///
    /// # Errors
    /// `StalePlan` when it was made again already; `ContractViolation` when the stack does not wait
    /// for this job.
    pub fn stale(&mut self, job: &JobId) -> Result<(), StepError> {
        let twice = StepError::new(
            ErrorName::StalePlan,
            format!(
                "the state of stack {} changed twice since it was planned",
                self.stack.name
            ),
        );
        match &self.state {
            StackState::Applying { job: known, .. } if known == job => {}
            StackState::Failed { .. } if self.replans >= REPLANS => return Err(twice),
            // It was put back already, and perhaps planned again.
            _ if self.replans > 0 => return Ok(()),
            _ => return Err(self.unexpected("a stale plan", job)),
        }
        if self.replans >= REPLANS {
            self.state = StackState::Failed {
                side_effects: SideEffects::None,
            };
            return Err(twice);
        }
        self.replans += 1;
        self.state = StackState::Pending;
        Ok(())
    }

    fn unexpected(&self, what: &str, job: &JobId) -> StepError {
        StepError::new(
            ErrorName::ContractViolation,
            format!(
                "stack {} does not wait for {what} of job {job}",
                self.stack.name
            ),
        )
    }
}

/// Whether a person agreed to the plan of a stack; if not, what was said, or that nobody answered.
fn approved(name: &StackName, approval: Option<&Approval>) -> Result<(), StepError> {
    let why = match approval {
        Some(Approval::Answered {
            answer: ApprovalDecision::Approved,
            ..
        }) => return Ok(()),
        Some(Approval::Answered {
            answer: ApprovalDecision::Rejected,
            by,
            at,
        }) => format!("was rejected by {by} at {at}"),
        Some(Approval::Asked { since, .. }) => format!(
            "waited for approval since {since}, and nobody answered in time; it was not applied"
        ),
        None => "needs approval, and nobody was asked".to_owned(),
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
    let known = |one: &StackRun| Some((one.stack.name.clone(), one.outputs.clone()?));
    stacks.into_iter().filter_map(known)
}

/// The stacks on the way back: those of the last good commit that this run touched, with all
/// that need them, planned from the last good source; and those that only the new commit has,
/// to be destroyed.
pub(super) fn restore_stacks(delivered: &[StackRun], target: &LastGood) -> Vec<StackRun> {
    let touched: Vec<&StackRun> = delivered
        .iter()
        .filter(|stack| stack.was_touched())
        .collect();
    let known = |name: &StackName| target.config.stacks.iter().any(|stack| &stack.name == name);
    let mut back: Vec<StackRun> = Vec::new();
    for stack in &target.config.stacks {
        let was_touched = touched.iter().any(|other| other.stack.name == stack.name);
        let needs_restored = stack
            .needs
            .iter()
            .any(|need| back.iter().any(|other| &other.stack.name == need));
        if was_touched || needs_restored {
            back.push(StackRun::new(stack, PlanKind::Normal));
        }
    }
    for stack in touched
        .iter()
        .rev()
        .filter(|stack| !known(&stack.stack.name))
    {
        back.push(StackRun::new(&stack.stack, PlanKind::Destroy));
    }
    back
}
