//! A commit that was rolled back is not applied again.

use super::{ENVIRONMENT, Matrix, first_cause};
use anyhow::{Context as _, ensure};
use domain::error::ErrorName;
use domain::ids::CommitId;
use domain::run::{Outcome, StackState};
use std::time::Duration;

impl Matrix<'_> {
    /// The last commit that was rolled back, once more: by the same push, and by a push that puts
    /// `main` from the last good commit to it.
    pub(super) async fn a_bad_commit_again(&mut self) -> anyhow::Result<()> {
        let harness = self.harness;
        harness.progress.heading("A bad commit is pushed again.");
        let environment = harness.environment(&self.sample, ENVIRONMENT).await?;
        let bad = environment.bad().last().context("no commit is bad")?;
        let bad = bad.commit.clone();
        let before = self.states().await?;

        harness.progress.step("by the same push");
        self.pushed_again(&bad).await?;
        let after = self.states().await?;
        ensure!(
            before == after,
            "expected the stacks to hold {before:?}, they hold {after:?}"
        );

        harness.progress.step("from the last good commit");
        let good = Some(&self.good);
        let delivery = uuid::Uuid::new_v4().to_string();
        let status = harness.push_after(&self.sample, good, &bad, &delivery);
        let status = status.await?;
        ensure!(status == 202, "the webhook answered {status}");
        let run = harness.run_id_after(&self.sample, good, &bad)?;
        let ended = harness.ended(&run).await?;
        first_cause(&ended, ErrorName::CommitIsBad)?;
        let stacks = &ended.run.stacks;
        ensure!(
            stacks
                .iter()
                .all(|stack| stack.state == StackState::Pending),
            "expected no plan of a bad commit, found {stacks:?}"
        );
        self.judge(&ended, Outcome::Rejected, &before).await?;
        harness.progress.fact("it is refused: CommitIsBad");
        Ok(())
    }

    /// The same push as a new delivery has a run already: its execution ends as a duplicate.
    async fn pushed_again(&self, commit: &CommitId) -> anyhow::Result<()> {
        let harness = self.harness;
        let run = harness.run_id(&self.sample, commit)?;
        let known = harness.begun(&run).await?;
        let executions = harness.executions().await?;
        let delivery = uuid::Uuid::new_v4().to_string();
        let status = harness.push(&self.sample, commit, &delivery).await?;
        ensure!(
            (200..300).contains(&status),
            "the webhook answered {status}"
        );
        let end = tokio::time::Instant::now() + Duration::from_secs(30);
        let new = loop {
            let now = harness.executions().await?;
            if let Some(new) = now.difference(&executions).next()
                && harness.running().await? == 0
            {
                break new.clone();
            }
            ensure!(
                tokio::time::Instant::now() < end,
                "expected an execution for delivery {delivery}, none came to its end"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let word = harness.executed(&new).await?;
        ensure!(
            word == "duplicate",
            "execution {new} ended {word}, expected duplicate"
        );
        ensure!(
            harness.begun(&run).await? == known,
            "expected the record of run {run} as it was"
        );
        Ok(())
    }
}
