//! Stacks that are the same as in the last good commit, and are not planned.

use crate::config::WhenChanged;
use crate::environment::{Environment, LastGood};
use crate::ids::{CommitId, Sha256Digest, StackName};
use crate::plan::{LegKind, ObjectRef, PlanKind};
use crate::run::{Change, Leg, Run, RunError, StackRun, StackState, Wave};
use crate::stack_digest::StackDigest;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A stack that need not be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SameStack {
    /// The stack.
    pub stack: StackName,
    /// The last good commit.
    pub same_as: CommitId,
    /// The stack's outputs, as *last good* keeps them.
    pub outputs: ObjectRef,
    /// The stack's sealed modules and lock file, as *last good* keeps them.
    pub dependencies: Option<ObjectRef>,
}

impl Run {
    /// Returns the stacks that could be planned now and need not be: what decides their plan is the
    /// same as in the last good commit, the stacks that they need have the same outputs, and it is
    /// known that the environment is as *last good* left it.
    ///
    /// On the rollback leg there are none: it plans only what the run changed, and what needs that.
    #[must_use]
    pub fn same_stacks(&self, environment: &Environment) -> Vec<SameStack> {
        let base = environment.last_good_base(&self.id);
        let (LegKind::Forward, Some(good), Wave::Plan(ready)) =
            (self.leg().kind(), base, self.forward.next_wave())
        else {
            return Vec::new();
        };
        let stacks = self.forward.stacks().iter();
        stacks
            .filter(|stack| ready.contains(stack.name()))
            .filter_map(|stack| {
                Some(SameStack {
                    stack: stack.name().clone(),
                    same_as: good.commit.clone(),
                    outputs: self.same_outputs(stack, good)?.clone(),
                    dependencies: good.dependencies.get(stack.name()).cloned(),
                })
            })
            .collect()
    }

    /// Returns the outputs of a stack in *last good*, if the stack is the same there.
    pub(super) fn same_outputs<'good>(
        &self,
        stack: &StackRun,
        good: &'good LastGood,
    ) -> Option<&'good ObjectRef> {
        let untouched = *stack.state() == StackState::Pending && stack.jobs() == 0;
        let asked = stack.spec().when_changed == WhenChanged::Always;
        // Two stacks may have exchanged their states.
        let mut known = good.config.stacks.iter();
        let same_state =
            known.any(|known| known.name == *stack.name() && known.state() == stack.spec().state());
        let same = same_state
            && stack.digest().is_some()
            && stack.digest() == good.digests.get(stack.name());
        let inputs = self.outputs();
        let same_inputs = stack.spec().needs.iter().all(|need| {
            let now = sha256(&inputs, need);
            now.is_some() && now == sha256(&good.outputs, need)
        });
        let outputs = good.outputs.get(stack.name());
        outputs.filter(|_| untouched && !asked && same && same_inputs)
    }

    /// Records that a stack is not planned: what is known about it is as in *last good*. A repeated
    /// call changes nothing.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended, and with
    /// `ContractViolation` on the rollback leg, when the leg does not have the stack, or the stack
    /// has a job.
    pub fn skipped(&mut self, same: &SameStack, now: Timestamp) -> Change {
        let name = &same.stack;
        let forward = self.leg().kind() == LegKind::Forward;
        let stack = self.open_stack(name)?;
        match stack.state() {
            StackState::Skipped { .. } => Ok(()),
            StackState::Pending if forward && stack.jobs() == 0 => {
                stack.outputs = Some(same.outputs.clone());
                stack.dependencies.clone_from(&same.dependencies);
                let same_as = same.same_as.clone();
                stack.reach(StackState::Skipped { same_as }, now);
                Ok(())
            }
            _ => {
                let stack = name.clone();
                Err(RunError::CannotSkip { stack })
            }
        }
    }

    /// Returns the sealed modules and lock files of the forward leg's stacks.
    pub(super) fn dependencies(&self) -> BTreeMap<StackName, ObjectRef> {
        dependencies(self.forward.stacks())
    }

    /// Returns the sealed modules and lock files of the stacks that the rollback restored.
    #[must_use]
    pub fn restored_dependencies(&self) -> BTreeMap<StackName, ObjectRef> {
        let restored = self.rollback.iter().flat_map(Leg::stacks);
        dependencies(restored.filter(|stack| stack.plan_kind() == PlanKind::Normal))
    }

    /// Returns the digests of the forward leg's stacks.
    pub(super) fn digests(&self) -> BTreeMap<StackName, StackDigest> {
        let known = |stack: &StackRun| Some((stack.name().clone(), stack.digest()?.clone()));
        self.forward.stacks().iter().filter_map(known).collect()
    }
}

impl LastGood {
    /// Sets the outputs of the commit's stacks after a rollback. Resources that the rollback
    /// recreated may have new ids and addresses. A stack that needs an output which is now a
    /// different one loses its digest: it may have been applied with the former one.
    pub(crate) fn set_outputs(&mut self, outputs: BTreeMap<StackName, ObjectRef>) {
        let before = std::mem::replace(&mut self.outputs, outputs);
        let stacks = &self.config.stacks;
        self.outputs
            .retain(|name, _| stacks.iter().any(|stack| &stack.name == name));
        for stack in stacks {
            let mut needs = stack.needs.iter();
            if needs.any(|need| sha256(&before, need) != sha256(&self.outputs, need)) {
                self.digests.remove(&stack.name);
            }
        }
    }
}

/// Returns the digest of a stack's outputs. The same outputs can be stored under several keys.
fn sha256<'a>(
    outputs: &'a BTreeMap<StackName, ObjectRef>,
    stack: &StackName,
) -> Option<&'a Sha256Digest> {
    outputs.get(stack).map(|outputs| &outputs.sha256)
}

impl Leg {
    /// Returns the stacks that were skipped, with the last good commit.
    pub fn skipped(&self) -> impl Iterator<Item = (&StackRun, &CommitId)> {
        self.stacks()
            .iter()
            .filter_map(|stack| match stack.state() {
                StackState::Skipped { same_as } => Some((stack, same_as)),
                _ => None,
            })
    }

    /// Returns the stacks that were skipped since the last plan or apply ended. A repeated call of a
    /// step announces them again.
    pub fn newly_skipped(&self) -> impl Iterator<Item = (&StackName, &CommitId)> {
        let ended = |stack: &&StackRun| {
            !matches!(
                stack.state(),
                StackState::Pending
                    | StackState::Validating { .. }
                    | StackState::Planning { .. }
                    | StackState::Skipped { .. }
            )
        };
        let last = self
            .stacks()
            .iter()
            .filter(ended)
            .map(StackRun::since)
            .max();
        self.skipped()
            .filter(move |(stack, _)| last.is_none_or(|last| stack.since() >= last))
            .map(|(stack, same_as)| (stack.name(), same_as))
    }
}

fn dependencies<'a>(
    stacks: impl IntoIterator<Item = &'a StackRun>,
) -> BTreeMap<StackName, ObjectRef> {
    let known = |stack: &StackRun| Some((stack.name().clone(), stack.dependencies()?.clone()));
    stacks.into_iter().filter_map(known).collect()
}
