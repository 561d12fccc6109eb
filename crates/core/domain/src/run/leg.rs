//! A leg: one way through the stacks and releases, towards the goal or back.

use crate::config::{Config, Stack};
use crate::environment::LastGood;
use crate::error::{ErrorName, StepError};
use crate::ids::{CommitId, StackName};
use crate::plan::{LegKind, ObjectRef, PlanKind};
use crate::rollout::Rollout;
use crate::run::stack::{self, StackRun, StackState};
use crate::run::{Change, Run};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A leg of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    kind: LegKind,
    /// None until `validate` sealed it.
    source: Option<ObjectRef>,
    commit: CommitId,
    since: Timestamp,
    /// Each after those that it needs.
    pub(super) stacks: Vec<StackRun>,
    /// By service, in the order of the configuration.
    pub(super) rollouts: Vec<Rollout>,
    /// What a rollback leads to.
    target: Option<LastGood>,
}

/// What to do next with the stacks.
#[derive(Debug, PartialEq, Eq)]
pub enum Wave {
    /// Plan these at the same time.
    Plan(Vec<StackName>),
    /// No stack can be planned.
    Done,
}

impl Leg {
    pub(super) fn forward(commit: CommitId, now: Timestamp) -> Self {
        Self {
            kind: LegKind::Forward,
            source: None,
            commit,
            since: now,
            stacks: Vec::new(),
            rollouts: Vec::new(),
            target: None,
        }
    }

    pub(super) fn rollback(forward: &Self, target: &LastGood, now: Timestamp) -> Self {
        Self {
            kind: LegKind::Rollback,
            source: Some(target.source.clone()),
            commit: target.commit.clone(),
            since: now,
            stacks: stack::rollback_stacks(&forward.stacks, target, now),
            rollouts: Vec::new(),
            target: Some(target.clone()),
        }
    }

    pub(super) fn accept(&mut self, archive: ObjectRef, stacks: &[Stack], now: Timestamp) {
        self.source = Some(archive);
        self.stacks = stacks
            .iter()
            .map(|stack| StackRun::new(stack, PlanKind::Normal, now))
            .collect();
    }

    /// Towards the goal, or back.
    #[must_use]
    pub fn kind(&self) -> LegKind {
        self.kind
    }

    /// The sealed source archive; none before the commit was accepted.
    #[must_use]
    pub fn source(&self) -> Option<&ObjectRef> {
        self.source.as_ref()
    }

    /// The commit that it brings the environment to.
    #[must_use]
    pub fn commit(&self) -> &CommitId {
        &self.commit
    }

    /// When it began.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Its stacks, each after those that it needs.
    #[must_use]
    pub fn stacks(&self) -> &[StackRun] {
        &self.stacks
    }

    /// What was rolled out so far, by service.
    #[must_use]
    pub fn rollouts(&self) -> &[Rollout] {
        &self.rollouts
    }

    /// The last good commit that a rollback leads to; none for the leg towards the goal.
    #[must_use]
    pub fn target(&self) -> Option<&LastGood> {
        self.target.as_ref()
    }

    /// What is to be planned next: every stack whose needs are done, and those whose plan job
    /// was made already, so that a repeated question gets the same answer.
    #[must_use]
    pub fn next_wave(&self) -> Wave {
        let done = |name: &StackName| {
            self.stacks
                .iter()
                .filter(|other| other.name() == name)
                .all(|other| other.state().is_done())
        };
        // What is destroyed goes last, once nothing that stays uses it any more: after all that is
        // rolled back, after those that need it, and so before those that it needs.
        let in_use = |stack: &StackRun| {
            self.stacks.iter().any(|other| {
                let uses = other.plan_kind() == PlanKind::Normal
                    || other.spec().needs.contains(stack.name());
                uses && !other.state().is_done()
            })
        };
        let ready: Vec<StackName> = self
            .stacks
            .iter()
            .filter(|stack| {
                matches!(
                    stack.state(),
                    StackState::Pending | StackState::Planning { .. }
                )
            })
            .filter(|stack| match stack.plan_kind() {
                PlanKind::Normal => stack.spec().needs.iter().all(done),
                PlanKind::Destroy => !in_use(stack),
            })
            .map(|stack| stack.name().clone())
            .collect();
        if ready.is_empty() {
            Wave::Done
        } else {
            Wave::Plan(ready)
        }
    }
}

impl Run {
    /// The leg that the run is on.
    #[must_use]
    pub fn leg(&self) -> &Leg {
        self.rollback.as_ref().unwrap_or(&self.forward)
    }

    pub(super) fn leg_mut(&mut self) -> &mut Leg {
        self.rollback.as_mut().unwrap_or(&mut self.forward)
    }

    /// The leg towards the goal.
    #[must_use]
    pub fn forward(&self) -> &Leg {
        &self.forward
    }

    /// The rollback, once the run began it.
    #[must_use]
    pub fn rollback(&self) -> Option<&Leg> {
        self.rollback.as_ref()
    }

    /// Its legs, in their order.
    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        std::iter::once(&self.forward).chain(&self.rollback)
    }

    /// The configuration of the commit that the run's leg leads to.
    pub(super) fn leg_config(&self) -> Result<&Config, StepError> {
        match self.leg().target() {
            Some(target) => Ok(&target.config),
            None => self.config(),
        }
    }

    /// A stack of the leg that the run is on.
    ///
    /// # Errors
    /// `ContractViolation` when the leg has no such stack.
    pub fn stack(&self, name: &StackName) -> Result<&StackRun, StepError> {
        let found = self.leg().stacks.iter().find(|stack| stack.name() == name);
        found.ok_or_else(|| self.no_stack(name))
    }

    /// A stack of the leg that the run is on, to change it, unless the run has ended.
    pub(super) fn open_stack(&mut self, name: &StackName) -> Change<&mut StackRun> {
        self.open()?;
        let error = self.no_stack(name);
        let stacks = &mut self.leg_mut().stacks;
        let found = stacks.iter_mut().find(|stack| stack.name() == name);
        Ok(found.ok_or(error)?)
    }

    fn no_stack(&self, name: &StackName) -> StepError {
        let what = format!("has no stack {name} on its current leg");
        self.refused(ErrorName::ContractViolation, &what)
    }

    /// The stack whose job failed, of the leg that the run is on or of the one before it.
    #[must_use]
    pub fn failed_stack(&self) -> Option<&StackName> {
        let failed = |stack: &&StackRun| matches!(stack.state(), StackState::Failed { .. });
        let legs = [self.rollback.as_ref(), Some(&self.forward)];
        let mut stacks = legs.into_iter().flatten().flat_map(Leg::stacks);
        stacks.find(failed).map(StackRun::name)
    }

    /// The sealed source that a stack is planned and applied from, and its commit. What is
    /// destroyed comes from the run's own commit: the last good one does not have it.
    ///
    /// # Errors
    /// `Internal` before the commit was accepted.
    pub fn source_of(&self, stack: &StackRun) -> Result<(&ObjectRef, &CommitId), StepError> {
        match self.leg().target() {
            Some(target) if stack.plan_kind() == PlanKind::Normal => {
                Ok((&target.source, &target.commit))
            }
            _ => Ok((self.sealed_source()?, self.trigger.commit())),
        }
    }

    /// The sealed source of the run's own commit.
    ///
    /// # Errors
    /// `Internal` before the commit was accepted.
    pub fn sealed_source(&self) -> Result<&ObjectRef, StepError> {
        let source = self.forward.source.as_ref();
        source.ok_or_else(|| self.refused(ErrorName::Internal, "has no sealed source yet"))
    }

    /// The outputs of the stacks of the leg that the run is on, as far as they are known.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<StackName, ObjectRef> {
        let mut outputs = BTreeMap::new();
        if let Some(target) = self.leg().target() {
            outputs.clone_from(&target.outputs);
            // What this run found unchanged is as the last good run left it, whose own objects may
            // have expired since.
            let unchanged = |stack: &&StackRun| *stack.state() == StackState::Unchanged;
            outputs.extend(stack::outputs(self.forward.stacks.iter().filter(unchanged)));
        }
        outputs.extend(stack::outputs(&self.leg().stacks));
        outputs
    }

    /// The outputs that a stack takes as its variables. What is destroyed was made by this run's
    /// commit, whose other stacks the last good commit may not have.
    #[must_use]
    pub fn inputs(&self, stack: &StackRun) -> BTreeMap<StackName, ObjectRef> {
        let mut inputs = self.outputs();
        if stack.plan_kind() == PlanKind::Destroy {
            inputs.extend(stack::outputs(&self.forward.stacks));
        }
        inputs.retain(|other, _| stack.spec().needs.contains(other));
        inputs
    }

    /// Whether the leg towards the goal may have changed infrastructure or the application.
    #[must_use]
    pub fn has_side_effects(&self) -> bool {
        !self.forward.rollouts.is_empty()
            || self.forward.stacks.iter().any(StackRun::has_side_effects)
    }
}
