//! An unreachable GitHub, which changes no run's outcome.

use super::Matrix;
use anyhow::ensure;
use domain::run::{Outcome, Run};
use fakes::github::{Operation, Repository};
use fakes::service::FaultKind;
use std::path::PathBuf;
use tests::compared::Fault;

impl Matrix<'_> {
    /// An unreachable GitHub never changes a run's outcome, and later receives what it missed.
    pub(super) async fn github_is_away(&mut self) -> anyhow::Result<()> {
        let harness = self.harness;
        harness.progress.heading("GitHub is unreachable.");

        harness.progress.step(
            "all of it hangs once the source is sealed: a commit whose rollout does not start",
        );
        let before = self.states().await?;
        self.order(&Fault {
            state: "StartDeploy",
            error: "States.TaskFailed",
            after: false,
        })
        .await?;
        let commit = self.commit().await?;
        let gone = (FaultKind::Hang, FaultKind::Hang);
        let ended = self.deliver_without_github(&commit, gone).await?;
        self.disarm().await?;
        self.judge(&ended, Outcome::RolledBack, &before).await?;

        harness.progress.step("it is back: a good commit");
        let before = self.states().await?;
        let commit = self.commit().await?;
        let ended = harness.deliver(&self.sample, &commit).await?;
        harness.expect_status(&self.sample, &ended).await?;
        self.judge(&ended, Outcome::Applied, &before).await?;
        let entries = self.audited("caught-up").await?;
        ensure!(
            entries == self.runs,
            "the audit branch has {entries} entries for {} runs",
            self.runs
        );
        harness.progress.fact(&format!(
            "the audit branch caught up: {entries} entries, one for each run"
        ));
        Ok(())
    }

    async fn deliver_without_github(
        &self,
        commit: &domain::ids::CommitId,
        (api, git): (FaultKind, FaultKind),
    ) -> anyhow::Result<story::Ended> {
        let harness = self.harness;
        let delivery = uuid::Uuid::new_v4().to_string();
        let status = harness.push(&self.sample, commit, &delivery).await?;
        ensure!(status == 202, "the webhook answered {status}");
        let run = harness.run_id(&self.sample, commit)?;
        let sealed = |run: &Run| run.accepted_at().is_some();
        let found = harness.until(&run, "seal its source", sealed).await?;
        ensure!(!found.is_ended(), "run {run} ended too early");
        let met = harness.heal_github().await?;
        harness.break_github(Operation::Api, api, None).await?;
        harness.break_github(Operation::Git, git, None).await?;
        let ended = harness.ended(&run).await;
        ensure!(
            harness.heal_github().await? > met,
            "no request was sent to GitHub"
        );
        ended
    }

    /// Returns the number of entries on a fresh clone's audit branch. Verifies its chain without AWS.
    async fn audited(&self, name: &str) -> anyhow::Result<u64> {
        let harness = self.harness;
        let clone = self.clone_of(name).await?;
        let log = Repository::open(&clone)
            .log("origin/sluicegate/audit")
            .await?;
        harness.verify_audit(&clone).await?;
        Ok(u64::try_from(log.lines().count())?)
    }

    /// Returns a fresh clone of the sample's repository.
    pub(super) async fn clone_of(&self, name: &str) -> anyhow::Result<PathBuf> {
        let local = &self.harness.local;
        let clone = local.dir.join(name);
        let origin = format!("{}/{}.git", local.github, self.sample.full_name);
        Repository::clone(&origin, &local.secrets.token, &clone).await?;
        Ok(clone)
    }
}
