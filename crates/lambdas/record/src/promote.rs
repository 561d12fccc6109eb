//! The action `promote`: ends a verified leg.
//!
//! Decides nothing: it fails unless every stack of the leg is done and its release is healthy. On
//! the forward leg it moves *last good* to the run's commit; on the rollback leg it marks the
//! commit as bad.
//!
//! Undo: none, because only a verified commit is promoted.
//!
//! Running it twice is safe. While the run holds its environment, both writes have the same result
//! each time, and the run keeps the time of the first call.
//!
//! Fails with `ContractViolation` if the leg is not verified, and with `LockLost` without the
//! environment.

use crate::Record;
use domain::plan::LegKind;
use domain::run::Run;
use domain::step::{NoOutput, Promote};
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::environments::{self, Owned};
use engine::status::Transition;

impl Record {
    /// Ends the run's current leg. On the forward leg its commit becomes last good; on the rollback
    /// leg the last good commit runs again, and the run's commit is bad if it caused the error.
    pub(crate) async fn promote(&self, input: Promote) -> Result<NoOutput> {
        let run = load_run(&*self.table, &input.run).await?;
        run.check_verified()?;
        let owned = environments::owned(&*self.table, &run).await?;
        self.finish_leg(run, &owned).await
    }

    async fn finish_leg(&self, run: Run, owned: &Owned) -> Result<NoOutput> {
        let now = self.clock.now();
        // The environment first: its item decides what was verified.
        match run.leg().kind() {
            LegKind::Forward => {
                let good = run.to_last_good(run.promoted_at().unwrap_or(now))?;
                environments::promote(&*self.table, owned, &good).await?;
            }
            LegKind::Rollback => {
                environments::record_rollback(&*self.table, owned, &run, now).await?;
            }
        }
        let leg = run.leg().kind();
        let run = update_run(&*self.table, run.id(), |run| {
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
        Ok(NoOutput {})
    }
}
