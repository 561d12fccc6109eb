//! The failure matrix: each Task of the real state machine fails in turn, and the invariants are
//! checked after each.
//!
//! The sample needs no cloud provider, so a delivery takes seconds; the runner, terraform, the
//! Lambdas and the state machine are the real ones.

mod approval;
mod cases;
mod github;
mod jobs;
mod service;

use self::cases::{Case, Fault};
use self::service::Service;
use crate::world::{machine, with_world};
use anyhow::{Context as _, ensure};
use domain::environment::Environment;
use domain::ids::CommitId;
use domain::run::{Outcome, Run};
use local::http;
use local::story::{Ended, Teller};
use local::world::Sample;
use std::collections::BTreeMap;
use std::time::Duration;

const FIXTURE: &str = "acme/fixture";
const ENVIRONMENT: &str = "production";
const DATA: &str = "infra/data/main.tf";
const APP: &str = "infra/app/main.tf";
const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_the_invariants_hold() {
    let fixture = machine().root.join("examples/fixture");
    let args = [
        format!("--sample={FIXTURE}={}", fixture.display()),
        "--faults".to_owned(),
        "--no-containers".to_owned(),
    ];
    with_world("matrix", &args, async |teller| {
        Box::pin(matrix(teller)).await
    })
    .await;
}

async fn matrix(teller: &Teller) -> anyhow::Result<()> {
    let definition = machine().root.join("statemachine/deliver.asl.json");
    cases::every_task_has_its_cases(&std::fs::read_to_string(definition)?)?;
    let sample = teller.sample(FIXTURE)?.clone();
    let service = Service::make(teller, &sample).await?;
    let mut matrix = Matrix {
        teller,
        sample,
        good: service.commit.clone(),
        runs: 0,
        item: 0,
    };
    teller.narrator.chapter("The failure matrix.");
    let first = matrix.commit().await?;
    let ended = teller.deliver(&matrix.sample, &first).await?;
    teller.expect(&ended, Outcome::Applied)?;
    matrix.good = first;
    matrix.runs = 1;
    for case in cases::CASES {
        matrix.check(case).await.with_context(|| case.name())?;
    }
    matrix.people_are_asked().await?;
    matrix.operators_stop_runs().await?;
    Box::pin(matrix.github_is_away()).await?;
    matrix.every_push_in_order().await?;
    let applies = jobs::check(teller).await?;
    teller.narrator.fact(&format!(
        "{applies} applies: one at a time, each from a plan of its own; no job was started twice"
    ));
    service.end();
    Ok(())
}

struct Matrix<'a> {
    teller: &'a Teller,
    sample: Sample,
    good: CommitId,
    runs: u64,
    item: u32,
}

impl Matrix<'_> {
    /// A commit that changes both stacks and the image.
    async fn commit(&mut self) -> anyhow::Result<CommitId> {
        let items = |n: u32| match n {
            0 => r#"items = ["first"]"#.to_owned(),
            n => format!(r#"items = ["item-{n}"]"#),
        };
        let settings = |n: u32| match n {
            0 => r#"settings = ["greeting"]"#.to_owned(),
            n => format!(r#"settings = ["setting-{n}"]"#),
        };
        let release = |n: u32| match n {
            0 => "first".to_owned(),
            n => format!("release {n}."),
        };
        let (old, new) = (self.item, self.item + 1);
        self.item = new;
        let edits = [
            (DATA, &*items(old), &*items(new)),
            (APP, &*settings(old), &*settings(new)),
            ("app/release.txt", &*release(old), &*release(new)),
        ];
        self.teller
            .commit(&self.sample, &edits, &format!("Item {}", self.item))
            .await
    }

    async fn check(&mut self, case: &Case) -> anyhow::Result<()> {
        self.teller.narrator.step(&case.name());
        let before = self.states().await?;
        for fault in case.faults() {
            self.order(fault).await?;
        }
        let commit = self.commit().await?;
        let ended = if case.asks {
            self.deliver_and_approve(&commit).await?
        } else {
            self.teller.deliver(&self.sample, &commit).await?
        };
        self.disarm().await?;
        self.teller.expect_status(&self.sample, &ended).await?;
        self.judge(&ended, case.outcome, &before).await
    }

    /// Checks how a run ended, and all that has to hold after it.
    async fn judge(
        &mut self,
        ended: &Ended,
        outcome: Outcome,
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        self.runs += 1;
        let run = &ended.run;
        ensure!(
            run.outcome() == outcome,
            "run {} ended {}; expected {}; first error: {:?}",
            run.id,
            run.outcome().as_str(),
            outcome.as_str(),
            run.failure
        );
        self.invariants(ended, &run.trigger.commit, before).await
    }

    /// The invariants of the design, as far as one run can break them.
    async fn invariants(
        &mut self,
        ended: &Ended,
        commit: &CommitId,
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let run = &ended.run;
        let outcome = run.outcome();
        let environment = self.teller.environment(&self.sample, ENVIRONMENT).await?;
        lock_is_free(&environment)?;
        let good = environment
            .last_good
            .as_ref()
            .map(|good| good.commit.clone());
        if outcome == Outcome::Applied {
            ensure!(
                good.as_ref() == Some(commit),
                "last good is {good:?}, expected {commit}"
            );
            self.good = commit.clone();
        } else {
            ensure!(
                good.as_ref() == Some(&self.good),
                "last good moved to {good:?}"
            );
        }
        if matches!(
            outcome,
            Outcome::Failed | Outcome::Rejected | Outcome::RolledBack
        ) {
            let after = self.states().await?;
            ensure!(
                *before == after,
                "the stacks held {before:?} and hold {after:?}"
            );
        }
        if outcome == Outcome::RolledBack {
            ensure!(
                environment.is_bad(commit),
                "the commit is not marked as bad"
            );
        }
        if environment.frozen.is_some() {
            ensure!(
                outcome == Outcome::NeedsOperator,
                "the environment is frozen"
            );
            self.teller
                .sluicegate(&["unfreeze", &self.sample.id.to_string(), ENVIRONMENT])
                .await?;
        }
        self.audit(run).await?;
        if outcome == Outcome::NeedsOperator {
            self.mend().await?;
        }
        Ok(())
    }

    /// What a person does after a rollback that failed: a commit that works.
    async fn mend(&mut self) -> anyhow::Result<()> {
        let commit = self.commit().await?;
        let ended = self.teller.deliver(&self.sample, &commit).await?;
        self.teller.expect(&ended, Outcome::Applied)?;
        self.good = commit;
        self.runs += 1;
        Ok(())
    }

    /// Each run has one entry, and the chain has no gap.
    async fn audit(&self, run: &Run) -> anyhow::Result<()> {
        let said = self.teller.sluicegate(&["audit", "list", "--json"]).await?;
        let entries: Vec<serde_json::Value> = serde_json::from_str(&said)?;
        let own = entries
            .iter()
            .filter(|entry| entry["run"] == run.id.as_str())
            .count();
        ensure!(own == 1, "run {} has {own} audit entries", run.id);
        let count = u64::try_from(entries.len())?;
        ensure!(
            count == self.runs,
            "{count} audit entries for {} runs",
            self.runs
        );
        self.teller.sluicegate(&["audit", "verify"]).await?;
        Ok(())
    }

    /// What the stacks hold, from their states: the items, without ids and serials.
    async fn states(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let bucket = &self.teller.world.installed.buckets.state;
        let mut held = BTreeMap::new();
        for stack in ["data", "app"] {
            let key = format!("{}/{ENVIRONMENT}/{stack}.tfstate", self.sample.id);
            let Some(bytes) = self.teller.object(bucket, &key).await? else {
                continue;
            };
            let state: serde_json::Value = serde_json::from_slice(&bytes)?;
            let mut inputs: Vec<String> = Vec::new();
            for resource in state["resources"].as_array().into_iter().flatten() {
                for instance in resource["instances"].as_array().into_iter().flatten() {
                    ensure!(
                        instance["status"] != "tainted",
                        "{stack} holds a tainted resource"
                    );
                    inputs.push(instance["attributes"]["input"].to_string());
                }
            }
            inputs.sort();
            held.insert(stack.to_owned(), inputs.join(" "));
        }
        Ok(held)
    }

    async fn order(&self, fault: &Fault) -> anyhow::Result<()> {
        let fault = serde_json::json!({
            "state": fault.state, "error": fault.error, "cause": "ordered by the test",
            "times": 1, "skip": 0, "after": fault.after,
        });
        let url = format!("{}/_sluicegate/faults", self.teller.world.endpoint);
        let answer = http::post(&url, Vec::new(), fault.to_string().into_bytes(), LIMIT).await;
        let answer = answer.map_err(anyhow::Error::msg)?;
        ensure!(
            (200..300).contains(&answer.status),
            "the fault was refused: {answer:?}"
        );
        Ok(())
    }

    /// Every ordered fault must have fired, else the case proved nothing.
    async fn disarm(&self) -> anyhow::Result<()> {
        let url = format!("{}/_sluicegate/faults", self.teller.world.endpoint);
        let answer = http::get(&url, LIMIT).await.map_err(anyhow::Error::msg)?;
        let said: serde_json::Value = serde_json::from_str(&answer.body)?;
        http::delete(&url, LIMIT)
            .await
            .map_err(anyhow::Error::msg)?;
        let armed = said["armed"].as_array().map_or(0, Vec::len);
        ensure!(armed == 0, "a fault did not fire: {said}");
        Ok(())
    }

    /// With `queue: every`, each of three pushes is deployed, in order.
    async fn every_push_in_order(&mut self) -> anyhow::Result<()> {
        self.teller
            .narrator
            .chapter("Three pushes with `queue: every`.");
        let edit = ("sluicegate.yaml", "queue: newest", "queue: every");
        let mut commits = vec![
            self.teller
                .commit(&self.sample, &[edit], "Deliver every commit")
                .await?,
        ];
        for _ in 0..3 {
            commits.push(self.commit().await?);
        }
        let mut runs = Vec::new();
        for commit in &commits {
            let delivery = uuid::Uuid::new_v4().to_string();
            let status = self.teller.push(&self.sample, commit, &delivery).await?;
            ensure!(status == 202, "the webhook answered {status}");
            let run = self.teller.run_id(&self.sample, commit)?;
            self.teller
                .until(&run, "ask for its environment", |run| {
                    run.lock != domain::run::Lock::None || run.end.is_some()
                })
                .await?;
            runs.push(run);
        }
        let mut held = Vec::new();
        for run in &runs {
            let ended = self.teller.ended(run).await?;
            let outcome = ended.run.outcome();
            ensure!(
                outcome.is_success() && outcome != Outcome::Superseded,
                "{run}: {outcome:?}"
            );
            held.push(ended.run.end.map(|end| end.at));
        }
        ensure!(held.is_sorted(), "the runs ended out of order: {held:?}");
        self.teller
            .narrator
            .fact("each was deployed, in the order of the pushes");
        Ok(())
    }
}

fn lock_is_free(environment: &Environment) -> anyhow::Result<()> {
    ensure!(
        environment.owner.is_none(),
        "the lock is held by {:?}",
        environment.owner
    );
    ensure!(
        environment.queue.is_empty(),
        "runs still wait: {:?}",
        environment.queue
    );
    ensure!(
        environment.untold.is_empty(),
        "runs were not told: {:?}",
        environment.untold
    );
    Ok(())
}
