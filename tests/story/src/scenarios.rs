//! The seven scenarios.

use super::harness::{Ended, Harness};
use super::load::Load;
use super::resources;
use anyhow::{Context as _, bail, ensure};
use domain::ids::CommitId;
use domain::run::{Build, Lock, Outcome, Run, StackState};
use fakes::github;
use fakes::http;
use local_run::Sample;
use local_run::machine::Docker;
use std::time::Duration;

/// The sample that the demo delivers.
const SHOP: &str = "acme/shop";
const ENVIRONMENT: &str = "production";
const SETTINGS: &str = "app/src/settings.rs";
const APP: &str = "infra/app/main.tf";
const GREETING: &str = r#"parameters = { "/${local.name}/greeting" = "welcome" }"#;
/// The sample's configuration. It ends with `deploy:`.
const CONFIG: &str = include_str!("../../../examples/shop/sluicegate.yaml");
const LIMIT: Duration = Duration::from_secs(10);

/// A scenario: its number and its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Counted from 1.
    pub number: u32,
    /// One phrase.
    pub title: &'static str,
}

/// The scenarios in order.
pub const SCENARIOS: [Scenario; 7] = [
    Scenario {
        number: 1,
        title: "A commit becomes a running service",
    },
    Scenario {
        number: 2,
        title: "A commit that changes code only; the same event twenty times",
    },
    Scenario {
        number: 3,
        title: "A commit whose tests fail",
    },
    Scenario {
        number: 4,
        title: "A commit whose terraform fails half-way",
    },
    Scenario {
        number: 5,
        title: "A commit whose application is unhealthy",
    },
    Scenario {
        number: 6,
        title: "Three pushes while a run is busy",
    },
    Scenario {
        number: 7,
        title: "The audit, from a clone without AWS",
    },
];

/// The state that one scenario passes to the next.
struct SoFar {
    /// The deployed commit.
    good: CommitId,
    /// Its run.
    run: Run,
    /// The service's address, or none if it is not deployed.
    url: Option<String>,
    /// All completed runs, in the order of their ends.
    runs: Vec<Run>,
}

/// Runs all scenarios, and returns the number of runs.
///
/// # Errors
/// The first difference from the expected state.
pub async fn run(harness: &Harness) -> anyhow::Result<usize> {
    let shop = harness.sample(SHOP)?.clone();
    let title = |number: usize| {
        if let Some(scenario) = SCENARIOS.get(number - 1) {
            harness.progress.heading(&format!(
                "Scenario {}. {}.",
                scenario.number, scenario.title
            ));
        }
    };
    title(1);
    let mut so_far = first(harness, &shop).await?;
    let mut load = so_far
        .url
        .as_ref()
        .map(|url| Load::start(format!("{url}/version")));
    title(2);
    code_only(harness, &shop, &mut so_far).await?;
    went_on(harness, load.as_mut())?;
    title(3);
    tests_fail(harness, &shop, &mut so_far).await?;
    went_on(harness, load.as_mut())?;
    title(4);
    half_way(harness, &shop, &mut so_far).await?;
    went_on(harness, load.as_mut())?;
    title(5);
    unhealthy(harness, &shop, &mut so_far).await?;
    went_on(harness, load.as_mut())?;
    title(6);
    three_pushes(harness, &shop, &mut so_far).await?;
    went_on(harness, load.as_mut())?;
    if let Some(load) = load {
        let seen = load.stop().await;
        harness.progress.text(&format!(
            "          {} requests were sent to the service since scenario 1; {} failed",
            seen.sent, seen.failed
        ));
    }
    title(7);
    audit(harness, &shop, &so_far).await?;
    Ok(so_far.runs.len())
}

/// Checks that requests were sent to the service during the scenario, and prints how many failed.
fn went_on(harness: &Harness, load: Option<&mut Load>) -> anyhow::Result<()> {
    let Some(load) = load else {
        return Ok(());
    };
    let seen = load.since();
    ensure!(
        seen.sent > 0,
        "expected requests to the service during the scenario, none was sent"
    );
    harness.progress.fact(&format!(
        "{} requests were sent to the service meanwhile; {} failed",
        seen.sent, seen.failed
    ));
    Ok(())
}

async fn first(harness: &Harness, shop: &Sample) -> anyhow::Result<SoFar> {
    if !deploys(harness) {
        // Without a service, the address cannot be verified.
        let (_, keys) = CONFIG
            .split_once("deploy:\n")
            .context("the sample has no `deploy:`")?;
        let deploy = format!("deploy:\n{keys}");
        harness.progress.text(
            "          not shown: no Docker engine answers, so the sample is delivered without `deploy:`",
        );
        harness
            .commit(shop, &[("sluicegate.yaml", &deploy, "")], "No deployment")
            .await?;
    }
    let commit = harness.head(shop).await?;
    harness
        .progress
        .step(&format!("push {} to main of {SHOP}", commit.short()));
    let ended = harness.deliver(shop, &commit).await?;
    ends(harness, shop, &ended, Outcome::Applied).await?;
    let run = ended.run;
    let states: Vec<_> = run
        .forward()
        .stacks()
        .iter()
        .map(|stack| (stack.name().as_str(), stack.state()))
        .collect();
    ensure!(
        matches!(
            states[..],
            [
                ("data", StackState::Applied { .. }),
                ("app", StackState::Applied { .. })
            ]
        ),
        "expected stacks data and app to be applied, found {states:?}"
    );
    let url = if deploys(harness) {
        let rollout = run
            .forward()
            .rollouts()
            .first()
            .context("the run deployed nothing")?;
        Some(rollout.url.clone())
    } else {
        None
    };
    let so_far = SoFar {
        good: commit,
        url,
        runs: vec![run.clone()],
        run,
    };
    answers(harness, &so_far).await?;
    if let Some(url) = &so_far.url {
        let item = format!("{url}/items/first");
        let put = http::put(&item, "written in scenario 1", LIMIT)
            .await
            .map_err(anyhow::Error::msg)?;
        ensure!(put.status == 204, "PUT {item} answered {}", put.status);
        harness
            .progress
            .fact("an item was written through the service");
    }
    Ok(so_far)
}

/// Returns whether the sample's service runs.
fn deploys(harness: &Harness) -> bool {
    harness.local.docker == Docker::Engine
}

/// Returns the expected outcome of a commit that changes only code.
fn delivered(harness: &Harness) -> Outcome {
    if deploys(harness) {
        Outcome::Applied
    } else {
        Outcome::NoOp
    }
}

/// Checks a run's outcome and its commit status on GitHub.
async fn ends(
    harness: &Harness,
    shop: &Sample,
    ended: &Ended,
    outcome: Outcome,
) -> anyhow::Result<()> {
    harness.expect(ended, outcome)?;
    harness.expect_status(shop, ended).await
}

/// Checks that the application responds with the deployed commit.
async fn answers(harness: &Harness, so_far: &SoFar) -> anyhow::Result<()> {
    let Some(url) = &so_far.url else {
        harness
            .progress
            .text("          not shown: no Docker engine answers, so nothing serves the address");
        return Ok(());
    };
    let url = format!("{url}/version");
    let answer = http::get(&url, LIMIT).await.map_err(anyhow::Error::msg)?;
    ensure!(
        answer.status == 200 && answer.body.trim() == so_far.good.as_str(),
        "{url} answered {} {:?}, expected commit {}",
        answer.status,
        answer.body,
        so_far.good
    );
    harness
        .progress
        .fact(&format!("{url} answers {}", so_far.good));
    Ok(())
}

async fn code_only(harness: &Harness, shop: &Sample, so_far: &mut SoFar) -> anyhow::Result<()> {
    let edit = (
        SETTINGS,
        r#"NAME: &str = "shop""#,
        r#"NAME: &str = "shop, second edition""#,
    );
    let commit = harness.commit(shop, &[edit], "Second edition").await?;
    harness
        .progress
        .step(&format!("push {} to main", commit.short()));
    let delivery = uuid::Uuid::new_v4().to_string();
    ensure!(
        harness.push(shop, &commit, &delivery).await? == 202,
        "the webhook refused the push"
    );
    let ended = harness.ended(&harness.run_id(shop, &commit)?).await?;
    ends(harness, shop, &ended, delivered(harness)).await?;
    let skipped = ended
        .run
        .forward()
        .stacks()
        .iter()
        .all(|s| s.jobs() == 0 && matches!(s.state(), StackState::Skipped { .. }));
    ensure!(
        skipped,
        "a code-only commit planned a stack: {:?}",
        ended.run.forward().stacks()
    );
    harness
        .progress
        .fact("no stack was planned: all are the same as in the last good commit");
    let before = image(&so_far.run)?;
    let after = image(&ended.run)?;
    ensure!(before != after, "the image is still {before}");
    harness.progress.fact(&format!("a new image, {after}"));
    advance(so_far, commit, ended);
    answers(harness, so_far).await?;
    if let Some(url) = &so_far.url {
        let item = format!("{url}/items/first");
        let got = http::get(&item, LIMIT).await.map_err(anyhow::Error::msg)?;
        ensure!(
            got.body == "written in scenario 1",
            "GET {item} answered {got:?}"
        );
        harness
            .progress
            .fact("the item of scenario 1 is still there");
    }
    let executions = harness.executions().await?;
    harness
        .progress
        .step("the same event twenty times at once, half of them as new deliveries");
    let again = (0..20).map(|i| {
        let fresh = uuid::Uuid::new_v4().to_string();
        let id = if i % 2 == 0 { delivery.clone() } else { fresh };
        let (commit, id) = (so_far.good.clone(), id);
        async move { harness.push(shop, &commit, &id).await }
    });
    for status in futures::future::join_all(again).await {
        let status = status?;
        ensure!(
            (200..300).contains(&status),
            "a repeated event was answered {status}"
        );
    }
    settle(harness).await?;
    let new: Vec<_> = harness
        .executions()
        .await?
        .difference(&executions)
        .cloned()
        .collect();
    ensure!(
        new.is_empty(),
        "a repeated event started the executions {new:?}"
    );
    let run = harness.begun(so_far.run.id()).await?;
    ensure!(
        run == so_far.run,
        "a repeated event changed the run's record"
    );
    harness
        .progress
        .fact("nothing was delivered again: Step Functions starts no second execution of a run");
    Ok(())
}

/// Waits until no execution runs.
async fn settle(harness: &Harness) -> anyhow::Result<()> {
    // Events take less than a second here; those of twenty executions that end together take two.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if harness.running().await? == 0 {
            return Ok(());
        }
    }
    bail!("executions still run after 30 s")
}

async fn tests_fail(harness: &Harness, shop: &Sample, so_far: &mut SoFar) -> anyhow::Result<()> {
    let edit = (
        SETTINGS,
        "MAX_KEY_LENGTH: usize = 128",
        "MAX_KEY_LENGTH: usize = 64",
    );
    let commit = harness.commit(shop, &[edit], "Shorter keys").await?;
    harness
        .progress
        .step(&format!("push {} to main: its tests fail", commit.short()));
    let ended = harness.deliver(shop, &commit).await?;
    ends(harness, shop, &ended, Outcome::Failed).await?;
    ensure!(
        matches!(ended.run.build(), Build::Failed { .. }),
        "the build is {:?}",
        ended.run.build()
    );
    so_far.runs.push(ended.run);
    answers(harness, so_far).await?;
    revert(harness, shop, &[(edit.0, edit.2, edit.1)]).await
}

async fn half_way(harness: &Harness, shop: &Sample, so_far: &mut SoFar) -> anyhow::Result<()> {
    let before = resources_of(harness, shop).await?;
    let broken = r#"parameters = { "/${local.name}/greeting" = "closing down", "/${local.name}/sale" = "ten percent", "/aws/${local.name}" = "refused" }"#;
    let commit = harness
        .commit(shop, &[(APP, GREETING, broken)], "A sale")
        .await?;
    harness.progress.step(&format!(
        "push {} to main: AWS refuses one of its resources",
        commit.short()
    ));
    let ended = harness.deliver(shop, &commit).await?;
    ends(harness, shop, &ended, Outcome::RolledBack).await?;
    let (changed, refused) = (r#"this["/shop-production/greeting"]"#, r#"this["/aws/"#);
    resources::were_changed_half_way(harness, ended.run.id(), "app", changed, refused).await?;
    let after = resources_of(harness, shop).await?;
    ensure!(
        before == after,
        "resources were {before:?}, and are {after:?}"
    );
    harness.progress.fact(&format!(
        "resources are those of {} again: {after:?}",
        so_far.good.short()
    ));
    so_far.runs.push(ended.run);
    good_is_still(harness, shop, so_far).await?;
    answers(harness, so_far).await?;
    revert(harness, shop, &[(APP, broken, GREETING)]).await
}

/// Returns the parameters of stack `app`, after a check that all resources match the states.
async fn resources_of(harness: &Harness, shop: &Sample) -> anyhow::Result<Vec<String>> {
    let parameters = harness.parameters(&format!("/shop-{ENVIRONMENT}")).await?;
    let count = resources::are_those_of_the_states(harness, shop, ENVIRONMENT, &parameters).await?;
    harness.progress.fact(&format!(
        "{count} resources bear the environment's tag or path, and are those of the states"
    ));
    Ok(parameters)
}

async fn unhealthy(harness: &Harness, shop: &Sample, so_far: &mut SoFar) -> anyhow::Result<()> {
    if !deploys(harness) {
        harness
            .progress
            .text("          not shown: no Docker engine answers, so nothing can be unhealthy");
        return Ok(());
    }
    let edit = (SETTINGS, "HEALTHY: bool = true", "HEALTHY: bool = false");
    let commit = harness.commit(shop, &[edit], "Unwell").await?;
    harness.progress.step(&format!(
        "push {} to main: it never becomes healthy",
        commit.short()
    ));
    let ended = harness.deliver(shop, &commit).await?;
    ends(harness, shop, &ended, Outcome::RolledBack).await?;
    resources_of(harness, shop).await?;
    so_far.runs.push(ended.run);
    good_is_still(harness, shop, so_far).await?;
    answers(harness, so_far).await?;
    revert(harness, shop, &[(edit.0, edit.2, edit.1)]).await
}

/// Checks that *last good* is unchanged and the environment is free.
async fn good_is_still(harness: &Harness, shop: &Sample, so_far: &SoFar) -> anyhow::Result<()> {
    let environment = harness.environment(shop, ENVIRONMENT).await?;
    let good = environment.last_good().map(|good| &good.commit);
    ensure!(
        good == Some(&so_far.good),
        "last good is {good:?}, expected {}",
        so_far.good
    );
    ensure!(
        environment.holder().is_none(),
        "the lock is held by {:?}",
        environment.holder()
    );
    harness.progress.fact(&format!(
        "last good is {}, the lock is free",
        so_far.good.short()
    ));
    Ok(())
}

/// Reverts the change without a push. The next scenario's commit includes it.
async fn revert(
    harness: &Harness,
    shop: &Sample,
    edits: &[(&str, &str, &str)],
) -> anyhow::Result<()> {
    harness.commit(shop, edits, "Back again").await?;
    Ok(())
}

async fn three_pushes(harness: &Harness, shop: &Sample, so_far: &mut SoFar) -> anyhow::Result<()> {
    let editions = ["third", "fourth", "fifth"];
    let mut name = r#"NAME: &str = "shop, second edition""#.to_owned();
    let mut runs = Vec::new();
    for (i, edition) in editions.into_iter().enumerate() {
        let next = format!(r#"NAME: &str = "shop, {edition} edition""#);
        let commit = harness
            .commit(
                shop,
                &[(SETTINGS, &name, &next)],
                &format!("{edition} edition"),
            )
            .await?;
        name = next;
        let delivery = uuid::Uuid::new_v4().to_string();
        harness.progress.step(&format!(
            "push {} to main ({edition} edition)",
            commit.short()
        ));
        ensure!(
            harness.push(shop, &commit, &delivery).await? == 202,
            "the webhook refused a push"
        );
        let run = harness.run_id(shop, &commit)?;
        // The first run holds the environment before the second push; the second waits before the third.
        let asked = |run: &Run| match i {
            0 => matches!(run.lock(), Lock::Held { .. }) || run.is_ended(),
            _ => run.lock() != Lock::None,
        };
        let found = harness.until(&run, "reach its environment", asked).await?;
        ensure!(
            i != 0 || !found.is_ended(),
            "the first run ended before the second push"
        );
        runs.push((run, commit));
    }
    let expected = [delivered(harness), Outcome::Superseded, delivered(harness)];
    for ((run, commit), outcome) in runs.into_iter().zip(expected) {
        let ended = harness.ended(&run).await?;
        ends(harness, shop, &ended, outcome).await?;
        if outcome == Outcome::Superseded {
            ensure!(
                matches!(ended.run.build(), Build::Ready { .. }),
                "it was not built"
            );
            harness.progress.fact("it was built, and not deployed");
            so_far.runs.push(ended.run);
        } else {
            advance(so_far, commit, ended);
        }
    }
    answers(harness, so_far).await?;
    good_is_still(harness, shop, so_far).await
}

async fn audit(harness: &Harness, shop: &Sample, so_far: &SoFar) -> anyhow::Result<()> {
    let clone = harness.local.dir.join("fresh-clone");
    let origin = format!("{}/{SHOP}.git", harness.local.github);
    github::Repository::clone(&origin, &harness.local.secrets.token, &clone).await?;
    let log = github::Repository::open(&clone)
        .log("origin/sluicegate/audit")
        .await?;
    harness.progress.step("git log origin/sluicegate/audit");
    for line in log.lines() {
        harness.progress.text(&format!("           {line}"));
    }
    for run in &so_far.runs {
        ensure!(
            log.contains(run.id().as_str()),
            "the audit branch has no entry for run {}",
            run.id()
        );
    }
    let lines = log.lines().count();
    ensure!(
        lines == so_far.runs.len(),
        "{lines} audit commits for {} runs",
        so_far.runs.len()
    );
    harness
        .progress
        .fact(&format!("each of the {lines} runs has its entry"));
    let said = harness.verify_audit(&clone).await?;
    harness.progress.fact(said.trim());
    good_is_still(harness, shop, so_far).await
}

fn image(run: &Run) -> anyhow::Result<String> {
    match run.build() {
        Build::Ready { artifact, .. } => Ok(artifact.digest().to_owned()),
        other => bail!("run {} has no image: {other:?}", run.id()),
    }
}

fn advance(so_far: &mut SoFar, commit: CommitId, ended: Ended) {
    so_far.good = commit;
    so_far.runs.push(ended.run.clone());
    so_far.run = ended.run;
}
