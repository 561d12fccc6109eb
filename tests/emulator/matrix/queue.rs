//! Pushes that wait for one another.

use super::Matrix;
use anyhow::{Context as _, ensure};
use domain::run::{Lock, Outcome, Run, StackState};
use std::collections::BTreeMap;

impl Matrix<'_> {
    /// With `queue: every`, each of three pushes is deployed, in order.
    pub(super) async fn every_push_in_order(&mut self) -> anyhow::Result<()> {
        self.harness
            .progress
            .heading("Three pushes with `queue: every`.");
        let edit = ("sluicegate.yaml", "queue: newest", "queue: every");
        let mut commits = vec![
            self.harness
                .commit(&self.sample, &[edit], "Deliver every commit")
                .await?,
        ];
        for _ in 0..3 {
            commits.push(self.commit().await?);
        }
        let mut runs = Vec::new();
        for commit in &commits {
            let delivery = uuid::Uuid::new_v4().to_string();
            let status = self.harness.push(&self.sample, commit, &delivery).await?;
            ensure!(status == 202, "the webhook answered {status}");
            let run = self.harness.run_id(&self.sample, commit)?;
            self.harness
                .until(&run, "ask for its environment", |run| {
                    run.lock != Lock::None || run.end.is_some()
                })
                .await?;
            runs.push(run);
        }
        let mut ends = Vec::new();
        for (i, run) in runs.iter().enumerate() {
            let ended = self.harness.ended(run).await?;
            // The first changes no stack, and is rolled out since the service says its commit.
            changed(&ended.run, if i == 0 { &[] } else { &["data", "app"] })?;
            if i + 1 < runs.len() {
                self.harness.expect(&ended, Outcome::Applied)?;
                self.runs += 1;
            } else {
                // All of them are over: the lock is free, and the chain holds each.
                self.judge(&ended, Outcome::Applied, &BTreeMap::new())
                    .await?;
            }
            let end = ended.run.end.context("the run has no end")?;
            ends.push((end.at, end.audit_seq));
        }
        ensure!(ends.is_sorted(), "the runs ended out of order: {ends:?}");
        self.harness
            .progress
            .fact("each was deployed, in the order of the pushes");
        Ok(())
    }
}

/// The run applied these stacks and no other.
fn changed(run: &Run, expected: &[&str]) -> anyhow::Result<()> {
    let applied =
        |stack: &&domain::run::StackRun| matches!(stack.state, StackState::Applied { .. });
    let names = run.stacks.iter().filter(applied);
    let names: Vec<&str> = names.map(|stack| stack.stack.name.as_str()).collect();
    ensure!(
        names == expected,
        "expected run {} to apply {expected:?}, it applied {names:?}",
        run.id
    );
    Ok(())
}
