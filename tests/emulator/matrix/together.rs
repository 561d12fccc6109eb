//! Independent stacks are planned and applied at the same time.

use super::{ALARMS, DATA, Matrix, jobs};
use anyhow::{Context as _, ensure};
use domain::job::Verb;
use domain::run::Outcome;

impl Matrix<'_> {
    /// Checks the times that Batch reports: `data` and `alarms` are independent, `app` needs `data`.
    pub(super) async fn stacks_together(&mut self) -> anyhow::Result<()> {
        let harness = self.harness;
        harness
            .progress
            .heading("Stacks that do not need one another.");
        let before = self.states().await?;
        let items = format!("items = [\"item-{}\"]", self.item);
        let slow_items = format!("items = [\"item-{}\", \"slow\"]", self.item);
        let (alarms, slow_alarms) = (r#"alarms = ["disk"]"#, r#"alarms = ["disk", "slow"]"#);
        let edits = [(DATA, &*items, &*slow_items), (ALARMS, alarms, slow_alarms)];
        let commit = harness.commit(&self.sample, &edits, "Slow ones").await?;
        let ended = harness.deliver(&self.sample, &commit).await?;
        self.judge(&ended, Outcome::Applied, &before).await?;
        let spans = jobs::spans(harness, ended.run.id()).await?;
        let span = |verb: Verb, stack: &str| {
            let found = spans.get(&(verb.as_str(), stack.to_owned())).copied();
            found.with_context(|| format!("no {} of {stack} among {spans:?}", verb.as_str()))
        };
        for verb in [Verb::Plan, Verb::Apply] {
            let (data, alarms) = (span(verb, "data")?, span(verb, "alarms")?);
            ensure!(
                data.0 < alarms.1 && alarms.0 < data.1,
                "expected the {} jobs of data and alarms at the same time, they ran {data:?} and {alarms:?}",
                verb.as_str()
            );
        }
        let (needed, needs) = (span(Verb::Apply, "data")?, span(Verb::Plan, "app")?);
        ensure!(
            needed.1 <= needs.0,
            "expected app to be planned once data was applied, they ran {needs:?} and {needed:?}"
        );
        harness
            .progress
            .fact("data and alarms were planned and applied at the same time, app after data");

        let back = edits.map(|(file, from, to)| (file, to, from));
        let before = self.states().await?;
        let commit = harness.commit(&self.sample, &back, "Quick again").await?;
        let ended = harness.deliver(&self.sample, &commit).await?;
        self.judge(&ended, Outcome::Applied, &before).await
    }
}
