//! A commit that was rolled back is not applied again.

use super::{ENVIRONMENT, Matrix, first_cause};
use anyhow::{Context as _, ensure};
use contract::env;
use contract::event::{EVENT_SCHEMA, EventRepository, PushEvent};
use domain::error::ErrorName;
use domain::ids::{BranchRef, CommitId, DeliveryId, RepositoryId, RepositoryName, RunKind};
use domain::run::{Outcome, StackState};
use serde_json::{Value, json};
use std::time::Duration;

/// A second branch that is watched for a while.
const BRANCH: &str = "release";

impl Matrix<'_> {
    /// The last commit that was rolled back, once more: by the same push, and by a push to another
    /// branch that goes to the same environment.
    pub(super) async fn a_bad_commit_again(&mut self) -> anyhow::Result<()> {
        let teller = self.teller;
        teller.narrator.chapter("A bad commit is pushed again.");
        let environment = teller.environment(&self.sample, ENVIRONMENT).await?;
        let bad = environment.bad.last().context("no commit is bad")?;
        let bad = bad.commit.clone();
        let before = self.states().await?;

        teller.narrator.step("to the same branch");
        self.pushed_again(&bad).await?;
        let after = self.states().await?;
        ensure!(
            before == after,
            "expected the stacks to hold {before:?}, they hold {after:?}"
        );

        teller.narrator.step("to another branch");
        let main = self.watch(&["main", BRANCH]).await?;
        let event = self.event(&bad)?;
        let input = serde_json::to_string(&event)?;
        let machine = &teller.world.installed.state_machine_arn;
        let start = ["stepfunctions", "start-execution", "--input", &input];
        teller
            .aws(&[&start[..], &["--state-machine-arn", machine]].concat())
            .await?;
        let ended = teller.ended(&event.run_id()).await?;
        self.configure_validate(&main).await?;
        first_cause(&ended, ErrorName::CommitIsBad)?;
        let stacks = &ended.run.stacks;
        ensure!(
            stacks
                .iter()
                .all(|stack| stack.state == StackState::Pending),
            "expected no plan of a bad commit, found {stacks:?}"
        );
        self.judge(&ended, Outcome::Rejected, &before).await?;
        teller.narrator.fact("it is refused: CommitIsBad");
        Ok(())
    }

    /// The same push as a new delivery has a run already: its execution ends as a duplicate.
    async fn pushed_again(&self, commit: &CommitId) -> anyhow::Result<()> {
        let teller = self.teller;
        let run = teller.run_id(&self.sample, commit)?;
        let known = teller.begun(&run).await?;
        let executions = teller.executions().await?;
        let delivery = uuid::Uuid::new_v4().to_string();
        let status = teller.push(&self.sample, commit, &delivery).await?;
        ensure!(
            (200..300).contains(&status),
            "the webhook answered {status}"
        );
        let end = tokio::time::Instant::now() + Duration::from_secs(30);
        let new = loop {
            let now = teller.executions().await?;
            if let Some(new) = now.difference(&executions).next()
                && teller.running().await? == 0
            {
                break new.clone();
            }
            ensure!(
                tokio::time::Instant::now() < end,
                "expected an execution for delivery {delivery}, none came to its end"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let word = teller.executed(&new).await?;
        ensure!(
            word == "duplicate",
            "execution {new} ended {word}, expected duplicate"
        );
        ensure!(
            teller.begun(&run).await? == known,
            "expected the record of run {run} as it was"
        );
        Ok(())
    }

    fn event(&self, commit: &CommitId) -> anyhow::Result<PushEvent> {
        #[expect(
            clippy::disallowed_methods,
            reason = "what the webhook writes: when it took the event"
        )]
        let received_at = jiff::Timestamp::now();
        Ok(PushEvent {
            schema: EVENT_SCHEMA,
            kind: RunKind::Push,
            delivery: DeliveryId::parse(&uuid::Uuid::new_v4().to_string())?,
            repository: EventRepository {
                id: RepositoryId(self.sample.id),
                full_name: RepositoryName::parse(&self.sample.full_name)?,
            },
            branch: BranchRef::parse(&format!("refs/heads/{BRANCH}"))?,
            before: None,
            after: commit.clone(),
            pusher: "octocat".into(),
            received_at,
        })
    }

    /// Has `validate` take pushes to these branches. Gives the variables as they were.
    async fn watch(&self, branches: &[&str]) -> anyhow::Result<Value> {
        let get = ["lambda", "get-function-configuration", "--function-name"];
        let query = ["--query", "Environment.Variables"];
        let said = self
            .teller
            .aws(&[&get[..], &[self.validate()?], &query].concat())
            .await?;
        let before: Value = serde_json::from_str(&said)?;
        let mut after = before.clone();
        let enrolled = after[env::REPOSITORIES]
            .as_str()
            .with_context(|| format!("{} is not set in {said}", env::REPOSITORIES))?;
        let mut enrolled: Value = serde_json::from_str(enrolled)?;
        for repository in enrolled.as_array_mut().into_iter().flatten() {
            repository["branches"] = json!(branches);
        }
        after[env::REPOSITORIES] = enrolled.to_string().into();
        self.configure_validate(&after).await?;
        Ok(before)
    }

    async fn configure_validate(&self, variables: &Value) -> anyhow::Result<()> {
        let environment = json!({ "Variables": variables }).to_string();
        let update = ["lambda", "update-function-configuration", "--function-name"];
        let with = ["--environment", &environment];
        self.teller
            .aws(&[&update[..], &[self.validate()?], &with].concat())
            .await?;
        Ok(())
    }

    fn validate(&self) -> anyhow::Result<&str> {
        let functions = &self.teller.world.installed.functions;
        let name = functions.get("validate").context("no function validate")?;
        Ok(name)
    }
}
