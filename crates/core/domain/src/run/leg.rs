//! A leg: one direction of a run, through its stacks and releases.

use crate::config::{Config, Stack};
use crate::environment::LastGood;
use crate::ids::{CommitId, StackName};
use crate::job::Undo;
use crate::plan::{LegKind, ObjectRef, PlanKind};
use crate::rollout::Rollout;
use crate::run::stack::{self, StackRun, StackState};
use crate::run::{Change, Run, RunError};
use crate::stack_digest::StackDigest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A leg of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    kind: LegKind,
    /// None until `validate` seals it.
    source: Option<ObjectRef>,
    commit: CommitId,
    since: Timestamp,
    /// Each after the stacks that it needs.
    pub(super) stacks: Vec<StackRun>,
    /// By service, in the order of the configuration.
    pub(super) rollouts: Vec<Rollout>,
    /// The last good commit, for a rollback. Boxed, because few runs have one.
    target: Option<Box<LastGood>>,
    /// The last good commit whose stacks the forward leg destroys, because the run's own commit
    /// removed them. None if it destroys none.
    base: Option<Base>,
}

/// What destroys a stack that the run's commit no longer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    source: ObjectRef,
    commit: CommitId,
    /// The outputs that the destroyed stacks take as variables.
    outputs: BTreeMap<StackName, ObjectRef>,
}

/// The stacks to plan next.
#[derive(Debug, PartialEq, Eq)]
pub enum Wave {
    /// Stacks to plan at the same time.
    Plan(Vec<StackName>),
    /// No stack is ready to be planned.
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
            base: None,
        }
    }

    pub(super) fn rollback(forward: &Self, target: &LastGood, now: Timestamp) -> Self {
        Self {
            kind: LegKind::Rollback,
            source: Some(target.source.clone()),
            commit: target.commit.clone(),
            since: now,
            stacks: super::rollback::rollback_stacks(&forward.stacks, target, now),
            rollouts: Vec::new(),
            target: Some(Box::new(target.clone())),
            base: None,
        }
    }

    pub(super) fn accept(
        &mut self,
        archive: ObjectRef,
        stacks: &[Stack],
        digests: &BTreeMap<StackName, StackDigest>,
        now: Timestamp,
    ) {
        self.source = Some(archive);
        self.stacks = stacks
            .iter()
            .map(|stack| {
                let digest = digests.get(&stack.name).cloned();
                StackRun::new(stack, PlanKind::Normal, now).with_digest(digest)
            })
            .collect();
    }

    /// Adds the stacks of the last good commit that are to be destroyed. Does nothing to those that
    /// the leg has.
    pub(super) fn destroy(&mut self, good: &LastGood, removed: &[&Stack], now: Timestamp) {
        let base = self.base.get_or_insert_with(|| Base {
            source: good.source.clone(),
            commit: good.commit.clone(),
            outputs: BTreeMap::new(),
        });
        for stack in removed {
            // Never a state that a stack of this commit has.
            if self
                .stacks
                .iter()
                .any(|known| known.spec().state() == stack.state())
            {
                continue;
            }
            let needs = stack.needs.iter();
            let outputs = needs.filter_map(|need| good.outputs.get_key_value(need));
            base.outputs
                .extend(outputs.map(|(need, outputs)| (need.clone(), outputs.clone())));
            let dependencies = good.dependencies.get(&stack.name);
            self.stacks
                .push(StackRun::new(stack, PlanKind::Destroy, now).with_dependencies(dependencies));
        }
    }

    /// Returns the leg's direction.
    #[must_use]
    pub fn kind(&self) -> LegKind {
        self.kind
    }

    /// Returns the sealed source archive, or none before the commit is accepted.
    #[must_use]
    pub fn source(&self) -> Option<&ObjectRef> {
        self.source.as_ref()
    }

    /// Returns the commit that the leg brings the environment to.
    #[must_use]
    pub fn commit(&self) -> &CommitId {
        &self.commit
    }

    /// Returns when the leg began.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Returns the leg's stacks, each after the stacks that it needs.
    #[must_use]
    pub fn stacks(&self) -> &[StackRun] {
        &self.stacks
    }

    /// Returns the rollouts that were started, by service.
    #[must_use]
    pub fn rollouts(&self) -> &[Rollout] {
        &self.rollouts
    }

    /// Returns the last good commit of a rollback, or none for the forward leg.
    #[must_use]
    pub fn target(&self) -> Option<&LastGood> {
        self.target.as_deref()
    }

    /// Returns the stacks to plan next: every pending stack whose needs are done. A stack whose
    /// plan job was already made is included, so that a repeated call returns the same stacks.
    #[must_use]
    pub fn next_wave(&self) -> Wave {
        let done = |name: &StackName| {
            self.stacks
                .iter()
                .filter(|other| other.name() == name)
                .all(|other| other.state().is_done())
        };
        // A stack is destroyed last, when no remaining stack uses it: after every stack that is
        // rolled back, and after the stacks that need it.
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
    /// Returns the leg that the run is on.
    #[must_use]
    pub fn leg(&self) -> &Leg {
        self.rollback.as_ref().unwrap_or(&self.forward)
    }

    pub(super) fn leg_mut(&mut self) -> &mut Leg {
        self.rollback.as_mut().unwrap_or(&mut self.forward)
    }

    /// Returns the leg toward the goal.
    #[must_use]
    pub fn forward(&self) -> &Leg {
        &self.forward
    }

    /// Returns the rollback leg, or none if no rollback began.
    #[must_use]
    pub fn rollback(&self) -> Option<&Leg> {
        self.rollback.as_ref()
    }

    /// Returns the run's legs, the forward leg first.
    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        std::iter::once(&self.forward).chain(&self.rollback)
    }

    /// Returns the configuration of the commit that the current leg leads to.
    pub(super) fn leg_config(&self) -> Change<&Config> {
        match self.leg().target() {
            Some(target) => Ok(&target.config),
            None => self.config(),
        }
    }

    /// Returns a stack of the current leg.
    ///
    /// # Errors
    /// Fails with `ContractViolation` when the leg does not have the stack.
    pub fn stack(&self, name: &StackName) -> Change<&StackRun> {
        let found = self.leg().stacks.iter().find(|stack| stack.name() == name);
        found.ok_or_else(|| self.no_stack(name))
    }

    /// Returns a stack of the current leg for a change. Fails when the run has ended.
    pub(super) fn open_stack(&mut self, name: &StackName) -> Change<&mut StackRun> {
        self.open()?;
        let error = self.no_stack(name);
        let stacks = &mut self.leg_mut().stacks;
        let found = stacks.iter_mut().find(|stack| stack.name() == name);
        found.ok_or(error)
    }

    fn no_stack(&self, name: &StackName) -> RunError {
        RunError::NoStack {
            run: self.id.clone(),
            stack: name.clone(),
        }
    }

    /// Returns the first stack that failed on the forward leg. The run's error is about it.
    #[must_use]
    pub fn failed_stack(&self) -> Option<&StackName> {
        let failed = |stack: &&StackRun| matches!(stack.state(), StackState::Failed { .. });
        let stack = self.forward.stacks().iter().find(failed);
        stack.map(StackRun::name)
    }

    /// Returns the sealed source that a stack is planned and applied from, and its commit. A stack
    /// that a rollback destroys uses the run's own commit, because the last good commit does not
    /// have it. A stack that the forward leg destroys uses the last good commit, because the run's
    /// own commit does not have it.
    ///
    /// # Errors
    /// Fails with `Internal` before the commit is accepted.
    pub fn source_of(&self, stack: &StackRun) -> Change<(&ObjectRef, &CommitId)> {
        match self.leg().target() {
            Some(target) if stack.plan_kind() == PlanKind::Normal => {
                Ok((&target.source, &target.commit))
            }
            None if stack.plan_kind() == PlanKind::Destroy
                && let Some(base) = &self.forward.base =>
            {
                Ok((&base.source, &base.commit))
            }
            _ => Ok((self.sealed_source()?, self.trigger.commit())),
        }
    }

    /// Returns the sealed source of the run's own commit.
    ///
    /// # Errors
    /// Fails with `Internal` before the commit is accepted.
    pub fn sealed_source(&self) -> Change<&ObjectRef> {
        let source = self.forward.source.as_ref();
        source.ok_or_else(|| RunError::NotSealed {
            run: self.id.clone(),
        })
    }

    /// Returns the outputs that are known for the stacks of the current leg.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<StackName, ObjectRef> {
        let mut outputs = BTreeMap::new();
        if let Some(target) = self.leg().target() {
            outputs.clone_from(&target.outputs);
            // Stacks that this run found unchanged or skipped are as the last good run left them,
            // and that run's own objects may have expired.
            let unchanged = |stack: &&StackRun| {
                matches!(
                    stack.state(),
                    StackState::Unchanged | StackState::Skipped { .. }
                )
            };
            // By the state: the last good commit may know the stack under another name.
            for stack in self.forward.stacks.iter().filter(unchanged) {
                let mut known = target.config.stacks.iter();
                let known = known.find(|known| known.state() == stack.spec().state());
                if let Some((known, kept)) = known.zip(stack.outputs()) {
                    outputs.insert(known.name.clone(), kept.clone());
                }
            }
        }
        outputs.extend(stack::outputs(&self.leg().stacks));
        outputs
    }

    /// Returns the outputs that a stack takes as variables. A stack that a rollback destroys takes the
    /// forward leg's outputs, because the last good commit may not have the stacks that it needs. A
    /// stack that the forward leg destroys takes those of the last good commit.
    #[must_use]
    pub fn inputs(&self, stack: &StackRun) -> BTreeMap<StackName, ObjectRef> {
        let mut inputs = self.outputs();
        if stack.plan_kind() == PlanKind::Destroy {
            inputs.extend(stack::outputs(&self.forward.stacks));
            // A removed stack has the code of the last good commit, which reads those outputs.
            if let Some(base) = &self.leg().base {
                inputs.extend(base.outputs.clone());
            }
        }
        inputs.retain(|other, _| stack.spec().needs.contains(other));
        inputs
    }

    /// Returns what the current leg undoes in a stack: none on the forward leg, and none in a stack
    /// that the run did not change.
    #[must_use]
    pub fn undo(&self, stack: &StackName) -> Option<Undo> {
        let mut back = self.rollback.as_ref()?.stacks.iter();
        let back = back.find(|back| back.name() == stack)?;
        // By the state: a stack that the commit renamed is the same stack.
        let mut changed = self.forward.stacks.iter();
        let changed = changed.find(|changed| changed.spec().state() == back.spec().state())?;
        let source = match &self.forward.base {
            Some(base) if changed.plan_kind() == PlanKind::Destroy => &base.source,
            _ => self.forward.source.as_ref()?,
        };
        changed.undo(source)
    }

    /// Returns whether the forward leg may have changed infrastructure or the application.
    #[must_use]
    pub fn has_side_effects(&self) -> bool {
        !self.forward.rollouts.is_empty()
            || self.forward.stacks.iter().any(StackRun::has_side_effects)
    }
}
