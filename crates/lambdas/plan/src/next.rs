//! The action `next`: selects the stacks to plan, and creates their jobs.
//!
//! Decides which stacks can be planned now, or that the leg is done. Skips the stacks that are the
//! same as in the last good commit: they keep its outputs and get no job. Beside the first plans, the
//! stacks that are planned later are validated, so that all mistakes are known before the first apply.
//!
//! Undo: none, because a plan changes nothing.
//!
//! Running it twice is safe. A stack that is being planned keeps its job, and the run's item refers
//! to a job only after its spec is stored.
//!
//! Fails with the errors of the wave before and of the build, with `NotEnrolled` if the environment is
//! not enrolled any more, with `LockLost` without the environment, with
//! `StackMissing` if the configuration says nothing about a stack of the last good commit, and with
//! `Internal` if a stack can never be planned.

use crate::{Error, Plan};
use domain::failed::{self, Failed};
use domain::ids::{JobId, Sha256Digest, StackName};
use domain::job::Verb;
use domain::plan::{LegKind, ObjectRef};
use domain::run::{Run, SameStack, StackRun, StackState, Wave};
use domain::source_rules;
use domain::step::{SelectStacks, SelectStacksOutput, StackJob};
use engine::documents::{load_run, update_run};
use engine::enrolment::enrolled_environment;
use engine::environments::{self, Owned};
use engine::status::Transition;
use engine::{Result, jobs};
use futures::future::join_all;
use std::collections::BTreeSet;

impl Plan {
    /// Fails with `failures` and the error of the build. Otherwise selects the stacks that can be
    /// planned now, and creates their jobs.
    pub(crate) async fn next(&self, input: SelectStacks) -> Result<SelectStacksOutput> {
        let run = load_run(&*self.table, &input.run).await?;
        let build = run.build_error().map(|error| Failed {
            what: "the build".to_owned(),
            error: error.clone(),
        });
        let stacks = input.failures.iter().map(|failure| Failed {
            what: format!("stack {}", failure.stack),
            error: failure.error.to_step_error(),
        });
        let failures: Vec<Failed> = build.into_iter().chain(stacks).collect();
        if let Some(error) = failed::together(&failures) {
            return Err(error);
        }
        let owned = environments::owned(&*self.table, &run).await?;
        Box::pin(self.wave(run, &owned)).await
    }

    /// Selects the stacks that can be planned now, and creates their jobs.
    async fn wave(&self, run: Run, owned: &Owned) -> Result<SelectStacksOutput> {
        let run = self.hold(run, owned).await?;
        let run = self.skip(run, owned).await?;
        let Wave::Plan(stacks) = run.leg().next_wave() else {
            return match run
                .leg()
                .stacks()
                .iter()
                .find(|stack| !stack.state().is_done())
            {
                None => Ok(SelectStacksOutput::Done),
                Some(stuck) => Err(Error::Stuck {
                    run: run.id().clone(),
                    stack: stuck.name().clone(),
                }
                .into()),
            };
        };
        let environment = enrolled_environment(&*self.enrolments, &run).await?;
        let stack_job = |stack, job| StackJob {
            stack,
            job,
            definition: environment.jobs.plan.clone(),
        };
        let mut jobs = Vec::with_capacity(stacks.len());
        let mut started = Vec::with_capacity(stacks.len());
        for stack in stacks {
            let (job, attempt) = self.plan_job(&run, owned, &stack).await?;
            started.push(Transition::PlanStarted(
                run.leg().kind(),
                stack.clone(),
                attempt,
            ));
            jobs.push(stack_job(stack, job));
        }
        for stack in run.stacks_to_validate(owned.environment().last_good()) {
            if let Some(job) = self.validation_job(&run, owned, &stack).await? {
                let attempt = job.attempt().unwrap_or_default();
                started.push(Transition::ValidationStarted(stack.clone(), attempt));
                jobs.push(stack_job(stack, job));
            }
        }
        // Sent concurrently: if the queue does not answer, the call waits for one time limit, not
        // for one per stack.
        let announcements = started
            .into_iter()
            .map(|transition| self.announcer.announce(&run, transition));
        join_all(announcements).await;
        Ok(SelectStacksOutput::Plan { jobs })
    }

    /// Records in the run that it holds its environment, and which stacks of the last good commit
    /// it destroys. Fails if the configuration says nothing about one of them.
    async fn hold(&self, run: Run, owned: &Owned) -> Result<Run> {
        let now = self.clock.now();
        let good = owned.environment().last_good();
        let forward = run.leg().kind() == LegKind::Forward;
        let run = update_run(&*self.table, run.id(), |run| {
            // The execution may have been stopped in the meantime.
            let fence = owned.environment().fence_of(run)?;
            run.lock_held(fence, now)?;
            if let Some(good) = good.filter(|_| forward) {
                // Another run may have been delivered since `validate` compared the stacks.
                source_rules::compare(run.config()?, good).map_err(|it| it.to_error())?;
                run.destroy_removed(good, now)?;
            }
            Ok(run.clone())
        })
        .await?;
        // Announced until the first stack begins: an earlier call may have stopped before this point.
        let waits = |stack: &StackRun| *stack.state() == StackState::Pending && stack.jobs() == 0;
        if run.leg().kind() == LegKind::Forward && run.forward().stacks().iter().all(waits) {
            self.announcer.announce(&run, Transition::LockHeld).await;
        }
        Ok(run)
    }

    /// Settles every stack that is the same as in the last good commit, until the stacks that can be
    /// planned now all differ. A stack is planned if what *last good* keeps of it has expired or
    /// differs from what was recorded.
    async fn skip(&self, mut run: Run, owned: &Owned) -> Result<Run> {
        let mut lost = BTreeSet::new();
        loop {
            let mut same = run.same_stacks(owned.environment());
            same.retain(|one| !lost.contains(&one.stack));
            if same.is_empty() {
                break;
            }
            let kept = join_all(same.iter().map(|one| self.keep(&run, one))).await;
            let kept = kept.into_iter().collect::<Result<Vec<_>>>()?;
            let mut skipped = Vec::new();
            for (one, kept) in same.into_iter().zip(kept) {
                match kept {
                    Some(kept) => skipped.push(kept),
                    None => {
                        lost.insert(one.stack);
                    }
                }
            }
            let now = self.clock.now();
            run = update_run(&*self.table, run.id(), |run| {
                for same in &skipped {
                    run.skipped(same, now)?;
                }
                Ok(run.clone())
            })
            .await?;
        }
        // Announced again by a repeated call: an earlier one may have stopped before this point.
        let skipped = run.leg().newly_skipped();
        join_all(skipped.map(|(stack, same_as)| {
            let transition = Transition::StackSkipped(stack.clone(), same_as.clone());
            self.announcer.announce(&run, transition)
        }))
        .await;
        Ok(run)
    }

    /// Copies what *last good* keeps of a stack to the run's own objects, so that it does not expire
    /// before the other objects of *last good*. Returns none if a part has expired or is not the
    /// recorded one.
    async fn keep(&self, run: &Run, same: &SameStack) -> Result<Option<SameStack>> {
        let key = run.objects()?.outputs(&same.stack);
        let Some(outputs) = self.copy(run, same, &same.outputs, key).await? else {
            return Ok(None);
        };
        let mut kept = SameStack {
            outputs,
            ..same.clone()
        };
        if let Some(dependencies) = &same.dependencies {
            let key = run.objects()?.dependencies(&same.stack);
            kept.dependencies = self.copy(run, same, dependencies, key).await?;
            if kept.dependencies.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(kept))
    }

    /// Copies an object of a stack. Returns none if it has expired or is not the recorded one.
    async fn copy(
        &self,
        run: &Run,
        same: &SameStack,
        object: &ObjectRef,
        key: String,
    ) -> Result<Option<ObjectRef>> {
        let sha256 = object.sha256.clone();
        let why = match self.objects.get(&object.key).await? {
            Some(bytes) if Sha256Digest::of(&bytes) == sha256 => {
                self.objects.put(&key, bytes).await?;
                return Ok(Some(ObjectRef { key, sha256 }));
            }
            Some(_) => "planned, because the object is not the one that last good recorded",
            None => "planned, because an object of last good has expired",
        };
        tracing::warn!(run = %run.id(), stack = %same.stack, key = object.key, "{why}");
        Ok(None)
    }

    /// Creates a stack's validation job, or returns the existing one.
    async fn validation_job(
        &self,
        run: &Run,
        owned: &Owned,
        name: &StackName,
    ) -> Result<Option<JobId>> {
        if let StackState::Validating { job } = run.stack(name)?.state() {
            return Ok(Some(job.clone()));
        }
        let spec = jobs::spec(run, owned, name, Verb::Validate, &self.states)?;
        let (job, key, bytes) = spec.sealed()?;
        self.objects.put(&key, bytes).await?;
        let now = self.clock.now();
        update_run(&*self.table, run.id(), |run| {
            Ok(run.validating(name, job.clone(), now)?)
        })
        .await
    }

    /// Creates a stack's plan job, or returns the existing one, with its attempt number.
    async fn plan_job(&self, run: &Run, owned: &Owned, name: &StackName) -> Result<(JobId, u32)> {
        let stack = run.stack(name)?;
        if let StackState::Planning { job } = stack.state() {
            return Ok((job.clone(), stack.jobs()));
        }
        let spec = jobs::spec(run, owned, name, Verb::Plan, &self.states)?;
        let (job, key, bytes) = spec.sealed()?;
        self.objects.put(&key, bytes).await?;
        let attempt = spec.attempt;
        let now = self.clock.now();
        update_run(&*self.table, run.id(), |run| {
            Ok(run.planning(name, job.clone(), attempt, now)?)
        })
        .await
    }
}
