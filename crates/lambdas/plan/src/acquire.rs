//! The action `acquire`: queues the run for its environment.
//!
//! Decides whether the run gets the environment, waits for it or is superseded, according to the
//! queue rule of its configuration. A run of a frozen environment or of a bad commit fails.
//!
//! Undo: the state `Record` releases the environment, or ends the run's wait for it.
//!
//! Running it twice is safe. A run that asks again is answered on the new task token, and a run
//! that holds the environment keeps it.
//!
//! The task token fails with `EnvironmentFrozen` or `CommitIsBad`. The action itself raises no error
//! of its own.

use crate::Plan;
use domain::step::{Acquire, NoOutput};
use engine::Result;
use engine::environments::Environments;
use engine::status::Transition;

impl Plan {
    /// Queues the run for its environment. The task token is completed as soon as the answer is
    /// known, often during this call.
    pub(crate) async fn acquire(&self, input: Acquire) -> Result<NoOutput> {
        let environments = Environments {
            table: &*self.table,
            tokens: &*self.tokens,
            clock: &*self.clock,
        };
        let superseded = environments
            .acquire(&input.run, &input.token, &self.announcer)
            .await?;
        for run in &superseded {
            self.announcer.announce(run, Transition::Superseded).await;
        }
        Ok(NoOutput {})
    }
}
