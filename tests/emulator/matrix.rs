//! Representative cases of the failure matrix on real components: runner, terraform, Lambdas, and the
//! emulator's interpreter of the state machine. Each result is compared with the walker's result for the
//! same case (`tests::compared`). All other cases run in process (`tests/matrix`).
//!
//! The sample has no cloud provider, so a delivery takes seconds.

mod approval;
mod github;
mod jobs;
mod judge;
mod resources;
mod service;
mod together;

use self::judge::first_cause;
use self::service::Service;
use crate::installation;
use crate::setup::{machine, with_local_run};
use crate::swept;
use anyhow::{Context as _, ensure};
use domain::ids::CommitId;
use domain::run::Outcome;
use fakes::http;
use local_run::Sample;
use std::collections::BTreeSet;
use std::time::Duration;
use story::Harness;
use tests::compared::{self, Case, Fault};

const FIXTURE: &str = "acme/fixture";
const ENVIRONMENT: &str = "production";
const DATA: &str = "infra/data/main.tf";
const APP: &str = "infra/app/main.tf";
const ALARMS: &str = "infra/alarms/main.tf";
const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_the_invariants_hold_and_the_installation_can_be_destroyed() {
    let fixture = machine().root.join("examples/fixture");
    let args = [
        format!("--sample={FIXTURE}={}", fixture.display()),
        "--faults".to_owned(),
        "--no-containers".to_owned(),
    ];
    with_local_run("matrix", &args, async |harness| {
        installation::a_second_apply_changes_nothing(harness).await?;
        Box::pin(matrix(harness)).await?;
        installation::the_sweep_finds_planted_secrets(harness).await?;
        installation::destroy_removes_everything(harness).await
    })
    .await;
}

async fn matrix(harness: &Harness) -> anyhow::Result<()> {
    let sample = harness.sample(FIXTURE)?.clone();
    let service = Service::make(harness, &sample).await?;
    let mut matrix = Matrix {
        harness,
        sample,
        good: service.commit.clone(),
        runs: 0,
        item: 0,
    };
    harness.progress.heading("The failure matrix.");
    let first = matrix.commit().await?;
    let ended = harness.deliver(&matrix.sample, &first).await?;
    harness.expect(&ended, Outcome::Applied)?;
    matrix.good = first;
    matrix.runs = 1;
    Box::pin(matrix.stacks_together()).await?;
    for case in compared::CASES.iter().filter(|case| !case.asks) {
        let checked = Box::pin(matrix.check(case)).await;
        checked.with_context(|| case.name())?;
    }
    Box::pin(matrix.people_are_asked()).await?;
    Box::pin(matrix.operators_stop_runs()).await?;
    Box::pin(matrix.github_is_away()).await?;
    let applies = jobs::check(harness, &BTreeSet::new()).await?;
    harness.progress.fact(&format!(
        "{applies} applies: one at a time, each from a plan of its own; no job was started twice \
         that was not asked for twice, and no run was rolled back twice"
    ));
    let clone = matrix.clone_of("swept").await?;
    let swept = swept::no_secret_is_left(harness, &clone, 200).await?;
    ensure!(
        swept.kept > 0,
        "the fixture's sensitive output is nowhere: that no log shows it proves nothing"
    );
    ensure!(
        swept.redacted > 0,
        "no log shows that the fixture's sensitive output was printed"
    );
    service.end();
    Ok(())
}

struct Matrix<'a> {
    harness: &'a Harness,
    sample: Sample,
    good: CommitId,
    runs: u64,
    item: u32,
}

impl Matrix<'_> {
    /// Commits a change of the stacks `data` and `app`, and of the image.
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
        self.harness
            .commit(&self.sample, &edits, &format!("Item {}", self.item))
            .await
    }

    async fn check(&mut self, case: &Case) -> anyhow::Result<()> {
        self.harness.progress.step(&case.name());
        let before = self.states().await?;
        for fault in case.faults() {
            self.order(fault).await?;
        }
        let commit = self.commit().await?;
        let ended = if case.asks {
            self.deliver_and_approve(&commit).await?
        } else {
            self.harness.deliver(&self.sample, &commit).await?
        };
        self.disarm().await?;
        self.harness.expect_status(&self.sample, &ended).await?;
        if !case.outcome.is_success() {
            first_cause(&ended, case.cause)?;
        }
        let visited = self.visited(ended.run.execution()).await?;
        let line = case.line(&ended.run, &visited);
        let walked = std::fs::read_to_string(machine().root.join(compared::FILE))?;
        ensure!(
            walked.lines().any(|other| other == line),
            "the emulator and the walker differ; the emulator:\n{line}\n{} says:\n{walked}",
            compared::FILE
        );
        let end = (case.outcome, case.execution);
        self.judge_all(&ended, end, &before).await
    }

    /// Returns the states that an execution entered.
    async fn visited(&self, execution: &str) -> anyhow::Result<BTreeSet<String>> {
        let history = [
            "stepfunctions",
            "get-execution-history",
            "--execution-arn",
            execution,
            "--query",
            "events[?stateEnteredEventDetails].stateEnteredEventDetails.name",
        ];
        Ok(serde_json::from_str(&self.harness.aws(&history).await?)?)
    }

    async fn order(&self, fault: &Fault) -> anyhow::Result<()> {
        let fault = serde_json::json!({
            "state": fault.state, "error": fault.error, "cause": "ordered by the test",
            "times": 1, "skip": 0, "after": fault.after,
        });
        let url = format!("{}/_sluicegate/faults", self.harness.local.endpoint);
        let answer = http::post(&url, Vec::new(), fault.to_string().into_bytes(), LIMIT).await;
        let answer = answer.map_err(anyhow::Error::msg)?;
        ensure!(
            (200..300).contains(&answer.status),
            "the fault was refused: {answer:?}"
        );
        Ok(())
    }

    /// Checks that every injected fault fired, because otherwise the case would prove nothing.
    async fn disarm(&self) -> anyhow::Result<()> {
        let url = format!("{}/_sluicegate/faults", self.harness.local.endpoint);
        let answer = http::get(&url, LIMIT).await.map_err(anyhow::Error::msg)?;
        let said: serde_json::Value = serde_json::from_str(&answer.body)?;
        http::delete(&url, LIMIT)
            .await
            .map_err(anyhow::Error::msg)?;
        let armed = said["armed"].as_array().map_or(0, Vec::len);
        ensure!(armed == 0, "a fault did not fire: {said}");
        Ok(())
    }
}
