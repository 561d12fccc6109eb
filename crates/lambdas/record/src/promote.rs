//! Moves *last good*, or marks a commit as bad.

use crate::{Record, answer};
use domain::ids::RunId;
use domain::plan::LegKind;
use domain::run::Run;
use domain::step::RecordOutput;
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::environments::{self, Owned};
use engine::status::Transition;

impl Record {
    /// Ends the leg that the run is on: its commit becomes the last good one, or the last good one
    /// runs again and the run's commit is bad.
    pub(crate) async fn promote(&self, id: &RunId) -> Result<RecordOutput> {
        let run = load_run(&*self.records, id).await?;
        run.check_verified()?;
        let owned = environments::owned(&*self.records, &run).await?;
        self.finish_leg(run, &owned).await
    }

    async fn finish_leg(&self, run: Run, owned: &Owned) -> Result<RecordOutput> {
        let now = self.clock.now();
        // The environment first: it is the truth about what was verified.
        match run.leg().kind() {
            LegKind::Forward => {
                let good = run.to_last_good(run.promoted_at().unwrap_or(now))?;
                environments::promote(&*self.records, owned, &good).await?;
            }
            LegKind::Rollback => {
                let outputs = run.outputs();
                environments::record_rollback(&*self.records, owned, &outputs, now).await?;
            }
        }
        let leg = run.leg().kind();
        let run = update_run(&*self.records, run.id(), |run| {
            match leg {
                LegKind::Forward => run.promoted(now)?,
                LegKind::Rollback => run.rolled_back(now)?,
            }
            Ok(run.clone())
        })
        .await?;
        let transition = match leg {
            LegKind::Forward => Transition::Promoted,
            LegKind::Rollback => Transition::RolledBack,
        };
        self.announcer.announce(&run, transition).await;
        Ok(answer(&run))
    }
}
