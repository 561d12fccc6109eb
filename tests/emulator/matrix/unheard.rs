//! Nobody hears of a run: the queue of status messages is gone.

use super::Matrix;
use domain::run::Outcome;

impl Matrix<'_> {
    /// A status consumer that stops cannot stop a run, and not even a queue that was deleted can.
    /// Nothing is heard of a run from here on.
    pub(super) async fn nobody_listens(&mut self) -> anyhow::Result<()> {
        let harness = self.harness;
        harness.progress.heading("The status queue is gone.");
        let queue = &harness.local.installed.status_queue_url;
        let delete = ["sqs", "delete-queue", "--queue-url", queue];
        harness.aws(&delete).await?;

        harness.progress.step("a good commit");
        let before = self.states().await?;
        let commit = self.commit().await?;
        let ended = harness.deliver(&self.sample, &commit).await?;
        self.judge_unheard(&ended, Outcome::Applied, &before)
            .await?;

        harness.progress.step("a commit whose apply fails");
        let before = self.states().await?;
        let items = format!(r#"items = ["item-{}"]"#, self.item);
        let refused = format!(r#"items = ["item-{}", "refused"]"#, self.item);
        let edit = (super::DATA, &*items, &*refused);
        let commit = harness.commit(&self.sample, &[edit], "Refused").await?;
        let ended = harness.deliver(&self.sample, &commit).await?;
        self.judge_unheard(&ended, Outcome::RolledBack, &before)
            .await?;
        harness
            .progress
            .fact("the first was delivered, the second taken back, and both are in the audit");
        Ok(())
    }
}
