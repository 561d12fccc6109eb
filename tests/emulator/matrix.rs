//! The failure matrix: each Task of the real state machine fails in turn, and the invariants are
//! checked after each.
//!
//! The sample needs no cloud provider, so a delivery takes seconds; the runner, terraform, the
//! Lambdas and the state machine are the real ones.

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

/// A fault, and how the run is to end.
struct Case {
    /// The Task states that fail, each once, in any order.
    states: &'static [&'static str],
    /// Whether the states do their work first and only their replies are lost.
    after: bool,
    /// The ends that are right; a reply that is lost may be found again.
    outcomes: &'static [Outcome],
}

const fn fails(states: &'static [&'static str], outcomes: &'static [Outcome]) -> Case {
    Case {
        states,
        after: false,
        outcomes,
    }
}

const fn lost(states: &'static [&'static str], outcomes: &'static [Outcome]) -> Case {
    Case {
        states,
        after: true,
        outcomes,
    }
}

use Outcome::{Applied, Failed, NeedsOperator, RolledBack};

/// Every Task state fails once before its work, and those whose lost reply has another effect once
/// after it. `States.TaskFailed` is what an
/// integration says that has nothing better; no Retry names it.
const CASES: &[Case] = &[
    fails(&["Validate"], &[Failed]),
    fails(&["DecideBuild"], &[Failed]),
    fails(&["RunBuild"], &[Failed]),
    fails(&["FinishBuild"], &[Failed]),
    fails(&["AcquireLock"], &[Failed]),
    fails(&["NameFirstStacks"], &[Failed]),
    fails(&["RunFirstPlan"], &[Failed]),
    fails(&["JudgeFirstPlan"], &[Failed]),
    fails(&["StartApply"], &[Failed]),
    // A job without a result may have changed something.
    fails(&["RunApply"], &[RolledBack]),
    fails(&["FinishApply"], &[RolledBack]),
    fails(&["NameNextStacks"], &[RolledBack]),
    fails(&["RunPlan"], &[RolledBack]),
    fails(&["JudgePlan"], &[RolledBack]),
    fails(&["StartDeploy"], &[RolledBack]),
    fails(&["CheckDeploy"], &[RolledBack]),
    fails(&["Promote"], &[RolledBack]),
    // Step Functions' own event hands the run to `record` once more.
    fails(&["Record"], &[Applied]),
    // An error while an error is handled: a person has to look.
    fails(&["RunApply", "Rollback"], &[NeedsOperator]),
    lost(&["Validate"], &[Failed]),
    lost(&["DecideBuild"], &[Failed]),
    lost(&["FinishBuild"], &[Failed]),
    lost(&["NameFirstStacks"], &[Failed]),
    lost(&["JudgeFirstPlan"], &[Failed]),
    lost(&["StartApply"], &[RolledBack]),
    // The job's result is read whatever Step Functions heard of the job.
    lost(&["RunApply"], &[Applied]),
    lost(&["FinishApply"], &[RolledBack]),
    lost(&["NameNextStacks"], &[RolledBack]),
    lost(&["StartDeploy"], &[RolledBack]),
    lost(&["CheckDeploy"], &[RolledBack]),
    // The commit was verified and promoted: a lost reply does not undo that.
    lost(&["Promote"], &[Applied]),
    lost(&["Record"], &[Applied]),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_the_invariants_hold() {
    let fixture = machine().root.join("examples/fixture");
    let args = [
        format!("--sample={FIXTURE}={}", fixture.display()),
        "--faults".to_owned(),
        "--no-containers".to_owned(),
    ];
    with_world("matrix", &args, async |teller| matrix(teller).await).await;
}

async fn matrix(teller: &Teller) -> anyhow::Result<()> {
    every_task_has_a_case()?;
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
    for case in CASES {
        matrix.check(case).await.with_context(|| {
            format!(
                "{:?} fail {}",
                case.states,
                if case.after { "after their work" } else { "" }
            )
        })?;
    }
    matrix.every_push_in_order().await?;
    service.end();
    Ok(())
}

/// A Task state that is added to the state machine needs a case here.
fn every_task_has_a_case() -> anyhow::Result<()> {
    let file = machine().root.join("statemachine/deliver.asl.json");
    let machine: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let mut tasks = Vec::new();
    collect_tasks(&machine, &mut tasks);
    for task in tasks {
        // Nobody is asked in this sample; the path is in the tests of `plan` and `apply`.
        let covered = task == "AwaitApproval" || CASES.iter().any(|c| c.states.contains(&&*task));
        ensure!(
            covered,
            "Task state {task} has no case in the failure matrix"
        );
    }
    Ok(())
}

fn collect_tasks(value: &serde_json::Value, tasks: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::Object(states)) = fields.get("States") {
                let task = |state: &serde_json::Value| state["Type"] == "Task";
                tasks.extend(
                    states
                        .iter()
                        .filter(|(_, s)| task(s))
                        .map(|(name, _)| name.clone()),
                );
            }
            fields
                .values()
                .for_each(|field| collect_tasks(field, tasks));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_tasks(item, tasks)),
        _ => {}
    }
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
        let teller = self.teller;
        teller.narrator.step(&format!(
            "{} {}",
            case.states.join(" and "),
            if case.after {
                "lose their reply"
            } else {
                "fail"
            }
        ));
        let before = self.states().await?;
        for state in case.states {
            self.order(state, case.after).await?;
        }
        let commit = self.commit().await?;
        let ended = teller.deliver(&self.sample, &commit).await?;
        self.disarm().await?;
        self.runs += 1;
        let outcome = ended.run.outcome();
        ensure!(
            case.outcomes.contains(&outcome),
            "run {} ended {}; expected {:?}; first error: {:?}",
            ended.run.id,
            outcome.as_str(),
            case.outcomes,
            ended.run.failure
        );
        self.invariants(&ended, &commit, &before).await?;
        Ok(())
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
        plans_were_used_once(run)?;
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
        if outcome == Outcome::Failed || outcome == Outcome::RolledBack {
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
        if outcome == Outcome::NeedsOperator {
            self.mend().await?;
        }
        self.audit(run).await
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

    async fn order(&self, state: &str, after: bool) -> anyhow::Result<()> {
        let fault = serde_json::json!({
            "state": state, "error": "States.TaskFailed", "cause": "ordered by the test",
            "times": 1, "skip": 0, "after": after,
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

/// No apply job stands in the record twice. That a plan is used once is shown by the tests of
/// `apply` and `runner`.
fn plans_were_used_once(run: &Run) -> anyhow::Result<()> {
    let back = run.restore.iter().flat_map(|restore| &restore.stacks);
    let mut jobs = std::collections::BTreeSet::new();
    for stack in run.stacks.iter().chain(back) {
        if let domain::run::StackState::Applied { job, .. } = &stack.state {
            ensure!(jobs.insert(job.clone()), "job {job} is there twice");
        }
    }
    Ok(())
}

/// The service that the sample deploys to: ECS's control plane, and an address that is healthy.
struct Service {
    commit: CommitId,
    server: tokio::task::JoinHandle<()>,
}

impl Service {
    async fn make(teller: &Teller, sample: &Sample) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(answer_everything(listener));
        teller
            .aws(&["ecs", "create-cluster", "--cluster-name", "fixture"])
            .await?;
        let containers = r#"[{"name":"fixture","image":"none","essential":true}]"#;
        let register = [
            "ecs",
            "register-task-definition",
            "--family",
            "fixture",
            "--container-definitions",
            containers,
        ];
        teller.aws(&register).await?;
        let create = [
            "ecs",
            "create-service",
            "--cluster",
            "fixture",
            "--service-name",
            "fixture",
            "--task-definition",
            "fixture",
            "--desired-count",
            "0",
        ];
        teller.aws(&create).await?;
        let edits = [
            (
                "infra/app/service.tf",
                "http://127.0.0.1:8080",
                &*format!("http://{address}"),
            ),
            ("sluicegate.yaml", "  version: { path: /version }\n", ""),
        ];
        let commit = teller
            .commit(sample, &edits, "Where the service is")
            .await?;
        Ok(Self { commit, server })
    }

    fn end(self) {
        self.server.abort();
    }
}

/// Answers 200 to every request.
async fn answer_everything(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 2048];
        if stream.read(&mut request).await.is_ok() {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            stream.write_all(answer).await.ok();
        }
    }
}
