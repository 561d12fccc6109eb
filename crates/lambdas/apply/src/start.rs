//! The action `start`: uses a sealed plan, and creates the job that applies it.
//!
//! Decides whether the sealed plan may be applied: it must not be consumed, and its approval must
//! be granted if it needs one.
//!
//! Undo: none, because a consumed plan stays consumed.
//!
//! Running it twice is safe. The plan is consumed by a conditional write, and a repeated call
//! returns the job that consumed it.
//!
//! Fails with `NotEnrolled` if the environment is no longer enrolled, with `LockLost` without the
//! environment, with `ApprovalRejected` if the plan needs an
//! approval and has none, with `PlanConsumed` if the plan was applied already, and with
//! `ContractViolation` if the stack has no plan.

use crate::Apply;
use domain::ids::{JobId, StackName};
use domain::job::Verb;
use domain::run::{Run, RunError, StackRun, StackState};
use domain::step::{StackJob, StartApply};
use engine::documents::{load_run, update_run};
use engine::enrolment::enrolled_environment;
use engine::environments::{self, Owned};
use engine::status::Transition;
use engine::{Result, jobs};

impl Apply {
    /// Consumes the plan. A repeated call returns the job that consumed it.
    pub(crate) async fn start(&self, input: StartApply) -> Result<StackJob> {
        let run = load_run(&*self.table, &input.run).await?;
        let owned = environments::owned(&*self.table, &run).await?;
        self.use_plan(&run, &owned, &input.stack).await
    }

    /// Requires [`Owned`]: without the environment, the apply could run at the same time as one of
    /// another run.
    async fn use_plan(&self, run: &Run, owned: &Owned, name: &StackName) -> Result<StackJob> {
        let stack = run.stack(name)?;
        match stack.state() {
            StackState::Applying { job, .. } => {
                return self.started(run, stack, job.clone()).await;
            }
            StackState::Applied { job, .. } => {
                let (stack, job) = (name.clone(), job.clone());
                return Err(RunError::PlanConsumed { stack, job }.into());
            }
            StackState::Pending
            | StackState::Validating { .. }
            | StackState::Planning { .. }
            | StackState::Planned { .. }
            | StackState::Unchanged
            | StackState::Skipped { .. }
            | StackState::Failed { .. }
            | StackState::Left => {}
        }
        let spec = jobs::spec(run, owned, name, Verb::Apply, &self.states)?;
        let (job, key, bytes) = spec.sealed()?;
        // A plan that must not be applied gets no job spec either.
        let consumed = stack.check_apply(&job);
        self.answered(run, stack, consumed.as_ref().err()).await;
        consumed?;
        self.objects.put(&key, bytes).await?;
        environments::begin_changes(&*self.table, owned).await?;
        // From here on the plan is consumed, and no other job can use it.
        let run = update_run(&*self.table, run.id(), |run| {
            run.applying(name, job.clone(), spec.attempt, self.clock.now())?;
            Ok(run.clone())
        })
        .await?;
        self.started(&run, run.stack(name)?, job).await
    }

    /// Announces whether the plan was approved, if it needed an approval.
    async fn answered(&self, run: &Run, stack: &StackRun, error: Option<&RunError>) {
        if !stack.needs_approval() {
            return;
        }
        let (name, attempt) = (stack.name().clone(), stack.jobs());
        let transition = match error {
            None => Transition::ApprovalGranted(name, attempt),
            Some(error) => Transition::ApprovalDenied(name, attempt, error.clone().into()),
        };
        self.announcer.announce(run, transition).await;
    }

    /// Announces that an apply started. A repeated call announces it again, because the first one
    /// may have stopped before its announcement.
    async fn started(&self, run: &Run, stack: &StackRun, job: JobId) -> Result<StackJob> {
        let environment = enrolled_environment(&*self.enrolments, run).await?;
        let name = stack.name().clone();
        let transition = Transition::ApplyStarted(run.leg().kind(), name.clone(), stack.jobs());
        self.announcer.announce(run, transition).await;
        Ok(StackJob {
            stack: name,
            job,
            definition: environment.jobs.apply,
        })
    }
}
