//! Approvals before each apply, and executions that an operator stops.

use super::{ALARMS, Matrix, first_cause};
use anyhow::{Context as _, ensure};
use domain::error::ErrorName;
use domain::ids::{CommitId, RunId, StackName};
use domain::keys::JobFile;
use domain::run::{Approval, Lock, Outcome, Run, StackState};
use engine::status::{self, TransitionKind};
use std::time::Duration;
use story::Ended;
use tests::compared::{CASES, Execution};

impl Matrix<'_> {
    /// With `approval: always`, nothing is applied before a person approves.
    pub(super) async fn people_are_asked(&mut self) -> anyhow::Result<()> {
        self.harness.progress.heading("A person is asked.");
        self.configure("approval: never", "approval: always")
            .await?;

        self.harness.progress.step("a person agrees");
        let before = self.states().await?;
        let commit = self.commit().await?;
        let run = self.start(&commit).await?;
        self.asked(&run, "data").await?;
        self.developers_see_the_question(&commit, &run).await?;
        ensure!(
            self.states().await? == before,
            "something was applied before anybody agreed"
        );
        self.answer("approve", &run, "data").await?;
        self.asked(&run, "app").await?;
        self.answer("approve", &run, "app").await?;
        let ended = self.harness.ended(&run).await?;
        self.judge(&ended, Outcome::Applied, &before).await?;

        for case in CASES.iter().filter(|case| case.asks) {
            let checked = Box::pin(self.check(case)).await;
            checked.with_context(|| case.name())?;
        }
        Ok(())
    }

    /// An execution that is stopped in the AWS console leaves a run that is recorded anyway.
    pub(super) async fn operators_stop_runs(&mut self) -> anyhow::Result<()> {
        self.harness
            .progress
            .heading("An operator stops executions.");
        self.harness.progress.step("while a person is asked");
        let before = self.states().await?;
        let commit = self.commit().await?;
        let run = self.start(&commit).await?;
        let waiting = self.asked(&run, "data").await?;
        self.stop(&waiting).await?;
        let ended = self.harness.ended(&run).await?;
        first_cause(&ended, ErrorName::Interrupted)?;
        let stopped = (Outcome::Failed, Execution::Stopped);
        self.judge_all(&ended, stopped, &before).await?;
        self.configure("approval: always", "approval: never")
            .await?;

        self.harness.progress.step("while terraform applies");
        let before = self.states().await?;
        // In the first five seconds the apply has created nothing: a resource that is interrupted during its
        // creation would be in no state.
        let slow = (
            ALARMS,
            r#"alarms = ["disk"]"#,
            r#"alarms = ["disk", "slow"]"#,
        );
        let commit = self
            .harness
            .commit(&self.sample, &[slow], "A slow alarm")
            .await?;
        let run = self.start(&commit).await?;
        let applying = |run: &Run| {
            run.forward()
                .stacks()
                .iter()
                .any(|stack| matches!(stack.state(), StackState::Applying { .. }))
        };
        let applying = self.harness.until(&run, "apply", applying).await?;
        self.works(&applying).await?;
        self.stop(&applying).await?;
        self.reconcile_until_ended(&run).await?;
        let ended = self.harness.ended(&run).await?;
        first_cause(&ended, ErrorName::Interrupted)?;
        let stopped = (Outcome::NeedsOperator, Execution::Stopped);
        self.judge_all(&ended, stopped, &before).await
    }

    /// Pushes a commit, and returns its run when it holds the environment.
    async fn start(&self, commit: &CommitId) -> anyhow::Result<RunId> {
        let delivery = uuid::Uuid::new_v4().to_string();
        let status = self.harness.push(&self.sample, commit, &delivery).await?;
        ensure!(status == 202, "the webhook answered {status}");
        let run = self.harness.run_id(&self.sample, commit)?;
        let owns = |run: &Run| matches!(run.lock(), Lock::Held { .. }) || run.is_ended();
        let found = self
            .harness
            .until(&run, "own its environment", owns)
            .await?;
        ensure!(!found.is_ended(), "run {run} ended: {:?}", found.failure());
        Ok(run)
    }

    /// Waits until the approval of a stack is requested.
    async fn asked(&self, run: &RunId, stack: &str) -> anyhow::Result<Run> {
        let stack = StackName::parse(stack)?;
        let asked = |run: &Run| waits(run).contains(&stack) || run.is_ended();
        let found = self.harness.until(run, "ask a person", asked).await?;
        ensure!(!found.is_ended(), "run {run} ended: {:?}", found.failure());
        Ok(found)
    }

    /// Calls the reconciliation until a stopped run has ended, as the schedule does every five minutes. The run ends when
    /// its job has ended.
    async fn reconcile_until_ended(&self, run: &RunId) -> anyhow::Result<()> {
        let functions = &self.harness.local.installed.functions;
        let name = functions
            .get("reconcile")
            .context("no Lambda `reconcile`")?;
        let end = tokio::time::Instant::now() + Duration::from_secs(180);
        while !self.harness.begun(run).await?.is_ended() {
            ensure!(
                tokio::time::Instant::now() < end,
                "run {run} did not end after its job"
            );
            let call = ["lambda", "invoke", "--function-name", name, "/dev/null"];
            self.harness.aws(&call).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// Waits until an apply job of the run has started. A stopped run whose job never started changed nothing.
    async fn works(&self, run: &Run) -> anyhow::Result<()> {
        let bucket = &self.harness.local.installed.buckets.artifacts;
        let stacks = run.forward().stacks().iter();
        let jobs: Vec<String> = stacks
            .filter_map(|stack| match stack.state() {
                StackState::Applying { job, .. } => Some(job),
                _ => None,
            })
            .map(|job| run.objects().unwrap().job(job, JobFile::Started))
            .collect();
        let end = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            for key in &jobs {
                if self.harness.object(bucket, key).await?.is_some() {
                    return Ok(());
                }
            }
            ensure!(
                tokio::time::Instant::now() < end,
                "no apply job started: {jobs:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn answer(&self, answer: &str, run: &RunId, stack: &str) -> anyhow::Result<()> {
        let args = [answer, run.as_str(), stack, "--by", "an operator"];
        self.harness.sluicegate(&args).await?;
        Ok(())
    }

    /// Checks that the approval request is on the status queue and in the commit status.
    async fn developers_see_the_question(
        &self,
        commit: &CommitId,
        run: &RunId,
    ) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let sent = self.harness.messages().iter().any(|message| {
                status::parse(message).is_ok_and(|message| {
                    message.data.run == *run
                        && message.data.transition == TransitionKind::ApprovalRequested
                })
            });
            let statuses = self.harness.statuses(&self.sample, commit).await?;
            let shown = statuses.first().is_some_and(|status| {
                let text = status.description.as_deref().unwrap_or_default();
                status.state == "pending" && text.contains("sluicegate approve")
            });
            if sent && shown {
                return Ok(());
            }
            ensure!(
                tokio::time::Instant::now() < end,
                "the approval was not requested: sent {sent}, statuses {statuses:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Delivers a commit, and approves every plan.
    pub(super) async fn deliver_and_approve(&self, commit: &CommitId) -> anyhow::Result<Ended> {
        let run = self.harness.run_id(&self.sample, commit)?;
        tokio::select! {
            ended = self.harness.deliver(&self.sample, commit) => ended,
            never = self.agree(&run) => never,
        }
    }

    async fn agree(&self, run: &RunId) -> anyhow::Result<Ended> {
        loop {
            let asking = |run: &Run| !waits(run).is_empty();
            let asked = self.harness.until(run, "ask a person", asking).await?;
            for stack in waits(&asked) {
                // The wait may have ended in the meantime. The run's end then shows it.
                self.answer("approve", run, stack.as_str()).await.ok();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn stop(&self, run: &Run) -> anyhow::Result<()> {
        let args = [
            "stepfunctions",
            "stop-execution",
            "--execution-arn",
            run.execution(),
            "--cause",
            "an operator stopped it",
        ];
        self.harness.aws(&args).await?;
        Ok(())
    }

    /// Changes the configuration without a push. The next commit includes it.
    async fn configure(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let edit = ("sluicegate.yaml", from, to);
        self.harness.commit(&self.sample, &[edit], to).await?;
        Ok(())
    }
}

/// Returns the stacks whose plans wait for approval.
fn waits(run: &Run) -> Vec<StackName> {
    let waiting = run.forward().stacks().iter().filter(|stack| {
        matches!(
            stack.state(),
            StackState::Planned {
                approval: Some(Approval::Requested { .. }),
                ..
            }
        )
    });
    waiting.map(|stack| stack.name().clone()).collect()
}
