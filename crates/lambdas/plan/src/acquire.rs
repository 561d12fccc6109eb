//! The action `acquire`: queues the run for its environment.
//!
//! Decides whether the run gets the environment, waits for it or is superseded, according to the
//! queue rule of its configuration. A run of a frozen environment or of a bad commit fails.
//!
//! Undo: the state `Record` releases the environment, or ends the run's wait for it.
//!
//! Running it twice is safe. A run that asks again is answered on the new task token, and a run
//! that holds the environment keeps it.

use crate::Plan;
use domain::ids::RunId;
use engine::environments::{self, Environments};
use engine::status::Transition;
use engine::{Result, documents};

impl Plan {
    /// Queues the run for its environment. The task token is completed as soon as the answer is
    /// known, often during this call.
    pub(crate) async fn acquire(&self, run: &RunId, token: &str) -> Result<()> {
        let run = documents::load_run(&*self.table, run).await?;
        let environment = environments::of_run(&*self.table, &run).await?;
        let holder = environment.as_ref().and_then(|it| it.holder());
        let other = holder.filter(|holder| &holder.run != run.id());
        // A failed build may have ended the run already, and an ended run sends no status messages.
        if let (false, Some(other)) = (run.is_ended(), other) {
            let transition = Transition::LockWaiting(other.run.clone());
            self.announcer.announce(&run, transition).await;
        }
        let environments = Environments {
            table: &*self.table,
            tokens: &*self.tokens,
            clock: &*self.clock,
        };
        for run in environments.acquire(run.id(), token).await? {
            self.announcer.announce(&run, Transition::Superseded).await;
        }
        Ok(())
    }
}
