//! Nobody hears of a run: the queue of status messages is gone.

use super::Matrix;
use domain::run::Outcome;

impl Matrix<'_> {
    /// A status consumer that stops cannot stop a run, and not even a queue that was deleted can.
    /// Nothing is heard of a run from here on.
    pub(super) async fn nobody_listens(&mut self) -> anyhow::Result<()> {
        let teller = self.teller;
        teller.narrator.chapter("The status queue is gone.");
        let queue = &teller.world.installed.status_queue_url;
        let delete = ["sqs", "delete-queue", "--queue-url", queue];
        teller.aws(&delete).await?;

        teller.narrator.step("a good commit");
        let before = self.states().await?;
        let commit = self.commit().await?;
        let ended = teller.deliver(&self.sample, &commit).await?;
        self.judge_unheard(&ended, Outcome::Applied, &before)
            .await?;

        teller.narrator.step("a commit whose apply fails");
        let before = self.states().await?;
        let items = format!(r#"items = ["item-{}"]"#, self.item);
        let refused = format!(r#"items = ["item-{}", "refused"]"#, self.item);
        let edit = (super::DATA, &*items, &*refused);
        let commit = teller.commit(&self.sample, &[edit], "Refused").await?;
        let ended = teller.deliver(&self.sample, &commit).await?;
        self.judge_unheard(&ended, Outcome::RolledBack, &before)
            .await?;
        teller
            .narrator
            .fact("the first was delivered, the second taken back, and both are in the audit");
        Ok(())
    }
}
