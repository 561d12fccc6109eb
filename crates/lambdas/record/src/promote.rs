//! Moves *last good*, or marks a commit as bad.

use crate::{Record, answer};
use domain::environment::LastGood;
use domain::error::{ErrorName, StepError};
use domain::ids::RunId;
use domain::plan::LegKind;
use domain::run::{Build, Run};
use domain::step::RecordOutput;
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::environments::{self, Owned};
use engine::status::Transition;
use jiff::Timestamp;

impl Record {
    /// Takes the end of the way that the run went: the commit is the last good one, or the last
    /// good one runs again and the commit is bad.
    pub(crate) async fn promote(&self, id: &RunId) -> Result<RecordOutput> {
        let run = load_run(&*self.records, id).await?;
        verified(&run)?;
        let owned = environments::owned(&*self.records, &run).await?;
        self.finish_leg(run, &owned).await
    }

    async fn finish_leg(&self, run: Run, owned: &Owned) -> Result<RecordOutput> {
        let now = self.clock.now();
        // The environment first: it is the truth about what was verified.
        match run.mode {
            LegKind::Forward => {
                let good = last_good(&run, run.promoted_at.unwrap_or(now))?;
                environments::promote(&*self.records, owned, &good).await?;
            }
            LegKind::Rollback => {
                let outputs = run.outputs();
                environments::record_rollback(&*self.records, owned, &outputs, now).await?;
            }
        }
        let mode = run.mode;
        let run = update_run(&*self.records, &run.id, |run| {
            match mode {
                LegKind::Forward => {
                    run.promoted_at.get_or_insert(now);
                }
                LegKind::Rollback => run.restored(),
            }
            Ok(run.clone())
        })
        .await?;
        let transition = match mode {
            LegKind::Forward => Transition::Promoted,
            LegKind::Rollback => Transition::Restored,
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
