//! The wait for the environment.

use crate::Plan;
use domain::ids::RunId;
use engine::environments::{self, Environments};
use engine::status::Transition;
use engine::{Result, documents};

impl Plan {
    /// Queues the run for its environment. The task token is answered as soon as there is an
    /// answer, which is often at once.
    pub(crate) async fn acquire(&self, run: &RunId, token: &str) -> Result<()> {
        let run = documents::load_run(&*self.records, run).await?;
        let environment = environments::of_run(&*self.records, &run).await?;
        let holder = environment.as_ref().and_then(|it| it.holder());
        let other = holder.filter(|holder| &holder.run != run.id());
        // A build that failed may have ended the run already: nothing is announced after its end.
        if let (false, Some(other)) = (run.is_ended(), other) {
            let transition = Transition::LockWaiting(other.run.clone());
            self.announcer.announce(&run, transition).await;
        }
        let environments = Environments {
            records: &*self.records,
            tokens: &*self.tokens,
            clock: &*self.clock,
        };
        for run in environments.acquire(run.id(), token).await? {
            self.announcer.announce(&run, Transition::Superseded).await;
        }
        Ok(())
    }
}
