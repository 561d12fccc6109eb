//! Moves *last good*, or marks a commit as bad.

use crate::{Record, answer};
use domain::environment::{Environment, LastGood};
use domain::error::{ErrorName, StepError};
use domain::ids::{EnvironmentName, RunId};
use domain::plan::Mode;
use domain::run::{Build, Run};
use domain::step::RecordOutput;
use engine::Result;
use engine::documents::{load_run, update_environment, update_run};
use engine::status::Transition;
use jiff::Timestamp;

impl Record {
    /// Takes the end of the way that the run went: the commit is the last good one, or the last
    /// good one runs again and the commit is bad.
    pub(crate) async fn promote(&self, id: &RunId) -> Result<RecordOutput> {
        let run = load_run(&*self.records, id).await?;
        verified(&run)?;
        let now = self.clock.now();
        let name = run.config()?.environment.clone();
        // The environment first: it is the truth about what was verified.
        let good = last_good(&run, run.promoted_at.unwrap_or(now))?;
        let repository = run.trigger.repository_id;
        update_environment(&*self.records, repository, &name, |environment| {
            owns(environment, &run, &name)?;
            match run.mode {
                Mode::Deliver => environment.promote(good.clone()),
                Mode::Restore => {
                    environment.mark_bad(run.trigger.commit.clone(), id.clone(), now);
                    // What was made again on the way back may have other ids and addresses.
                    if let Some(good) = &mut environment.last_good {
                        good.outputs = run.outputs();
                        let stacks = &good.config.stacks;
                        good.outputs
                            .retain(|name, _| stacks.iter().any(|stack| &stack.name == name));
                    }
                }
            }
            Ok(())
        })
        .await?;
        let mode = run.mode;
        let run = update_run(&*self.records, id, |run| {
            match mode {
                Mode::Deliver => {
                    run.promoted_at.get_or_insert(now);
                }
                Mode::Restore => run.restored(),
            }
            Ok(run.clone())
        })
        .await?;
        let transition = match mode {
            Mode::Deliver => Transition::Promoted,
            Mode::Restore => Transition::Restored,
        };
        self.announcer.announce(&run, transition).await;
        Ok(answer(&run))
    }
}

/// Refuses to take a way's end that was not reached.
fn verified(run: &Run) -> Result<()> {
    let stacks = run.way().iter().all(|stack| stack.state.is_done());
    let healthy = match run.rollout_plan()? {
        Some(_) => run
            .rollout()
            .is_some_and(|rollout| rollout.healthy_at.is_some()),
        None => true,
    };
    if stacks && healthy {
        return Ok(());
    }
    Err(StepError::new(
        ErrorName::ContractViolation,
        format!(
            "run {} was to be promoted before all of it was verified",
            run.id
        ),
    ))
}

fn owns(environment: &Environment, run: &Run, name: &EnvironmentName) -> Result<()> {
    if environment.is_owned_by(&run.id) {
        return Ok(());
    }
    let owner = environment
        .owner
        .as_ref()
        .map_or("nobody", |owner| owner.run.as_str());
    Err(StepError::new(
        ErrorName::LockLost,
        format!(
            "environment {name} is owned by {owner}, not by run {}",
            run.id
        ),
    ))
}

fn last_good(run: &Run, verified_at: Timestamp) -> Result<LastGood> {
    let rollout = run.deploy.as_ref();
    Ok(LastGood {
        run: run.id.clone(),
        commit: run.trigger.commit.clone(),
        branch: run.trigger.branch.clone(),
        source: run.source()?.archive.clone(),
        config: run.config()?.clone(),
        image: match &run.build {
            Build::Ready { digest, .. } => Some(digest.clone()),
            Build::None | Build::Started { .. } | Build::Failed => None,
        },
        task_definition: rollout.map(|rollout| rollout.task_definition.clone()),
        outputs: run.outputs(),
        received_at: run.trigger.received_at,
        verified_at,
    })
}
