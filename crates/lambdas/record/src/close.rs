//! The end of a run.

use crate::Record;
use domain::error::StepError;
use domain::ids::RunId;
use domain::run::Run;
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::environments::Environments;
use engine::status::Transition;

impl Record {
    /// Ends a run. Each part finds what an earlier call did, and does the rest.
    pub(crate) async fn close(&self, id: &RunId, error: Option<&StepError>) -> Result<Run> {
        let run = self.end(id, error).await?;
        let run = self.write_entry(run).await?;
        self.hand_over(&run).await?;
        self.project(&run).await;
        let outcome = run.outcome();
        self.announcer
            .announce(&run, Transition::Finished(outcome))
            .await;
        Ok(run)
    }

    /// Records how the run ends. From here on, the run does not change.
    async fn end(&self, id: &RunId, error: Option<&StepError>) -> Result<Run> {
        let run = load_run(&*self.table, id).await?;
        if run.is_ended() {
            return Ok(run);
        }
        let audit_from = self.next_number(run.trigger().repository_key()).await?;
        let now = self.clock.now();
        update_run(&*self.table, id, |run| {
            if !run.is_ended() {
                run.close(error.cloned(), audit_from, now)?;
            }
            Ok(run.clone())
        })
        .await
    }

    /// Releases the environment, and hands it to the next run.
    async fn hand_over(&self, run: &Run) -> Result<()> {
        let environments = Environments {
            table: &*self.table,
            tokens: &*self.tokens,
            clock: &*self.clock,
        };
        for run in environments.release(run).await? {
            self.announcer.announce(&run, Transition::Superseded).await;
        }
        Ok(())
    }
}
