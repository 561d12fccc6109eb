//! Checks after a run: its execution, its record, the environment, the resources, the service, the
//! audit and the status messages must agree.

use super::{ENVIRONMENT, Matrix};
use anyhow::{Context as _, ensure};
use domain::environment::Environment;
use domain::error::ErrorName;
use domain::ids::RunId;
use domain::run::{Blame, ErrorDecision, Outcome, Run};
use engine::status::{self, TransitionKind};
use std::collections::BTreeMap;
use std::time::Duration;
use story::{Ended, ExecutionState};
use tests::compared::Execution;

/// The time limit for the last status message after the end of an execution.
const MESSAGE_LIMIT: Duration = Duration::from_secs(30);

/// Checks the first error of a run.
pub(super) fn first_cause(ended: &Ended, cause: ErrorName) -> anyhow::Result<()> {
    let found = ended.run.failure().map(|failure| &failure.error);
    ensure!(
        found.is_some_and(|error| error.name == cause),
        "expected {cause} as the first cause of run {}, found {found:?}",
        ended.run.id()
    );
    Ok(())
}

impl Matrix<'_> {
    /// Checks the outcome of a run and its execution, and everything that must be true after it.
    pub(super) async fn judge(
        &mut self,
        ended: &Ended,
        outcome: Outcome,
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        self.judge_all(ended, (outcome, Execution::AsTheRun), before)
            .await
    }

    /// As [`Self::judge`], for an execution whose end may differ from its run's outcome.
    pub(super) async fn judge_all(
        &mut self,
        ended: &Ended,
        end: (Outcome, Execution),
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        self.judge_records(ended, end, before).await?;
        self.at_most_one_rollback(&ended.run).await?;
        if end.0 == Outcome::NeedsOperator {
            self.recover().await?;
        }
        Ok(())
    }

    async fn judge_records(
        &mut self,
        ended: &Ended,
        (outcome, execution): (Outcome, Execution),
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        self.runs += 1;
        let run = &ended.run;
        ensure!(
            run.outcome() == outcome,
            "run {} ended {}; expected {}; first error: {:?}",
            run.id(),
            run.outcome().as_str(),
            outcome.as_str(),
            run.failure()
        );
        execution_ended(ended, execution)?;
        self.infrastructure(run, before).await?;
        self.audit(run).await
    }

    /// Checks that the environment is free, and that *last good*, the stacks and the service are at one
    /// commit: this run's commit if it was applied, otherwise the previous one.
    async fn infrastructure(
        &mut self,
        run: &Run,
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let (outcome, commit) = (run.outcome(), run.trigger().commit());
        let environment = self.harness.environment(&self.sample, ENVIRONMENT).await?;
        lock_is_free(&environment)?;
        if outcome == Outcome::Applied {
            self.good = commit.clone();
        }
        let good = environment.last_good().context("nothing is good")?;
        ensure!(
            good.commit == self.good,
            "last good is {}, expected {}",
            good.commit,
            self.good
        );
        match outcome {
            Outcome::Applied => {
                let after = self.states().await?;
                let items = [("data", "item"), ("app", "setting")]
                    .map(|(stack, item)| (stack, format!("\"{item}-{}\"", self.item)));
                for (stack, item) in items {
                    ensure!(
                        after.get(stack).is_some_and(|held| held.contains(&item)),
                        "expected stack {stack} to hold {item}, the states hold {after:?}"
                    );
                }
            }
            Outcome::Failed | Outcome::Rejected | Outcome::RolledBack => {
                let after = self.states().await?;
                ensure!(
                    *before == after,
                    "expected the stacks to hold {before:?}, they hold {after:?}"
                );
            }
            Outcome::NoOp | Outcome::Superseded | Outcome::NeedsOperator => {}
        }
        self.resources_are_in_states().await?;
        if outcome != Outcome::NeedsOperator {
            let runs = self.task_definition().await?;
            ensure!(
                released(good) == Some(runs.as_str()),
                "expected the service to run last good's {:?}, it runs {runs}",
                good.releases
            );
        }
        if outcome == Outcome::RolledBack {
            ensure!(
                environment.is_bad(commit) == (run.blame() == Blame::Commit),
                "the commit is marked as bad only if it caused the error; the bad commits are {:?}",
                environment.bad()
            );
        }
        if environment.frozen().is_some() {
            ensure!(
                outcome == Outcome::NeedsOperator,
                "the environment is frozen"
            );
            self.harness
                .sluicegate(&[
                    "unfreeze",
                    &format!("github-{}", self.sample.id),
                    ENVIRONMENT,
                ])
                .await?;
        }
        Ok(())
    }

    /// Returns the task definition in the service's configuration.
    async fn task_definition(&self) -> anyhow::Result<String> {
        let describe = [
            "ecs",
            "describe-services",
            "--cluster",
            "fixture",
            "--services",
            "fixture",
            "--query",
            "services[0].taskDefinition",
        ];
        Ok(serde_json::from_str(&self.harness.aws(&describe).await?)?)
    }

    /// Checks that there is at most one rollback leg, and none after it, in the run's record, its status
    /// messages and its execution's history.
    async fn at_most_one_rollback(&self, run: &Run) -> anyhow::Result<()> {
        let back = |error: &&domain::run::HandledError| error.decision == ErrorDecision::RollBack;
        let recorded = run.handled_errors().iter().filter(back).count();
        let sent = self.sent(run.id(), TransitionKind::RollbackStarted).await?;
        let expected = match run.outcome() {
            Outcome::RolledBack => 1..=1,
            Outcome::NeedsOperator => 0..=1,
            _ => 0..=0,
        };
        ensure!(
            expected.contains(&recorded) && expected.contains(&sent),
            "expected {expected:?} rollbacks of run {}, its record has {recorded}, its status \
             messages {sent}",
            run.id()
        );
        if *expected.end() > 0 {
            let begun = self.rollbacks(run.execution()).await?;
            ensure!(
                expected.contains(&begun),
                "expected {expected:?} rollbacks of run {}, its execution started {begun}",
                run.id()
            );
        }
        Ok(())
    }

    /// Returns how many of the run's status messages are of this kind, after all of them have arrived.
    async fn sent(&self, run: &RunId, kind: TransitionKind) -> anyhow::Result<usize> {
        let end = tokio::time::Instant::now() + MESSAGE_LIMIT;
        loop {
            let messages = self.harness.messages();
            let own = messages.iter().filter_map(|text| status::parse(text).ok());
            let kinds: Vec<TransitionKind> = own
                .filter(|message| message.data.run == *run)
                .map(|message| message.data.transition)
                .collect();
            if kinds.contains(&TransitionKind::Finished) {
                return Ok(kinds.iter().filter(|sent| **sent == kind).count());
            }
            ensure!(
                tokio::time::Instant::now() < end,
                "expected a status message that run {run} finished, its messages are {kinds:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Returns how often an execution left the state Rollback for the rollback leg.
    async fn rollbacks(&self, execution: &str) -> anyhow::Result<usize> {
        let history = [
            "stepfunctions",
            "get-execution-history",
            "--execution-arn",
            execution,
            "--query",
            "events[?stateExitedEventDetails.name=='Rollback'].stateExitedEventDetails.output",
        ];
        let outputs: Vec<String> = serde_json::from_str(&self.harness.aws(&history).await?)?;
        let mut count = 0;
        for output in outputs {
            let output: serde_json::Value = serde_json::from_str(&output)?;
            count += usize::from(output["verdict"] == "roll-back");
        }
        Ok(count)
    }

    /// Recovers from a failed rollback as a person does: delivers a working commit.
    async fn recover(&mut self) -> anyhow::Result<()> {
        let commit = self.commit().await?;
        let ended = self.deliver_and_approve(&commit).await?;
        self.harness.expect(&ended, Outcome::Applied)?;
        self.good = commit;
        self.runs += 1;
        Ok(())
    }

    /// Checks that each run has one audit entry with its outcome, and that the chain has no gap.
    async fn audit(&self, run: &Run) -> anyhow::Result<()> {
        let said = self
            .harness
            .sluicegate(&["audit", "list", "--json"])
            .await?;
        let entries: Vec<serde_json::Value> = serde_json::from_str(&said)?;
        let own: Vec<_> = entries
            .iter()
            .filter(|entry| entry["run"] == run.id().as_str())
            .map(|entry| &entry["outcome"])
            .collect();
        ensure!(
            own == [run.outcome().as_str()],
            "expected one audit entry of run {}, {}, found {own:?}",
            run.id(),
            run.outcome().as_str()
        );
        let count = u64::try_from(entries.len())?;
        ensure!(
            count == self.runs,
            "{count} audit entries for {} runs",
            self.runs
        );
        self.harness.sluicegate(&["audit", "verify"]).await?;
        Ok(())
    }
}

/// Checks that the execution ended as its run did, with the same first cause.
fn execution_ended(ended: &Ended, execution: Execution) -> anyhow::Result<()> {
    let run = &ended.run;
    let good = run.outcome().is_success();
    let failure = run.failure().map(|failure| &failure.error);
    let (state, error, cause) = match (execution, failure) {
        (Execution::AsTheRun, _) if good => (ExecutionState::Succeeded, None, ""),
        (Execution::AsTheRun, Some(error)) => (
            ExecutionState::Failed,
            Some(error.name.as_str()),
            &*error.message,
        ),
        (Execution::AsTheRun, None) => anyhow::bail!("run {} has no first error", run.id()),
        (Execution::Unrecorded, _) => (
            ExecutionState::Failed,
            Some("States.TaskFailed"),
            "The record could not be written",
        ),
        (Execution::Stopped, _) => (ExecutionState::Aborted, None, ""),
    };
    let said = ended.cause.as_deref().unwrap_or_default();
    ensure!(
        ended.state == state && ended.error.as_deref() == error && said.contains(cause),
        "expected the execution of run {}, {}, to end {state:?} with error {error:?} and a cause \
         with {cause:?}; it ended {:?} with error {:?} and cause {said:?}",
        run.id(),
        run.outcome().as_str(),
        ended.state,
        ended.error
    );
    Ok(())
}

fn lock_is_free(environment: &Environment) -> anyhow::Result<()> {
    ensure!(
        environment.holder().is_none(),
        "the lock is held by {:?}",
        environment.holder()
    );
    ensure!(
        environment.queue().is_empty(),
        "runs still wait: {:?}",
        environment.queue()
    );
    ensure!(
        environment.outbox().is_empty(),
        "notifications were not sent: {:?}",
        environment.outbox()
    );
    Ok(())
}

/// Returns the task definition of the environment's last good release.
fn released(good: &domain::environment::LastGood) -> Option<&str> {
    let state = good.releases.first()?.target.ecs()?;
    Some(&state.task_definition)
}
