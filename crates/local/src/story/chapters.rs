//! The seven chapters.

use super::load::Load;
use super::resources;
use super::teller::{Ended, Teller};
use crate::github;
use crate::http;
use crate::world::Sample;
use crate::world::machine::Docker;
use anyhow::{Context as _, bail, ensure};
use domain::ids::CommitId;
use domain::run::{Build, Lock, Outcome, Run, StackState};
use std::time::Duration;

/// The sample that the story delivers.
const SHOP: &str = "acme/shop";
const ENVIRONMENT: &str = "production";
const SETTINGS: &str = "app/src/settings.rs";
const APP: &str = "infra/app/main.tf";
const GREETING: &str = r#"parameters = { "/${local.name}/greeting" = "welcome" }"#;
/// Taken out where no engine answers: nothing would serve the address that the step verifies.
const DEPLOY: &str = "deploy:
  target: ecs
  stack: app
  container: shop
  desired_count: 2
  health: { path: /health, timeout_seconds: 300 }
  version: { path: /version }
";
const LIMIT: Duration = Duration::from_secs(10);

/// A chapter: its number and what happens in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chapter {
    /// From 1.
    pub number: u32,
    /// One sentence.
    pub title: &'static str,
}

/// The chapters in order.
pub const CHAPTERS: [Chapter; 7] = [
    Chapter {
        number: 1,
        title: "A commit becomes a running service",
    },
    Chapter {
        number: 2,
        title: "A commit that changes code only; the same event twenty times",
    },
    Chapter {
        number: 3,
        title: "A commit whose tests fail",
    },
    Chapter {
        number: 4,
        title: "A commit whose terraform fails half-way",
    },
    Chapter {
        number: 5,
        title: "A commit whose application is unhealthy",
    },
    Chapter {
        number: 6,
        title: "Three pushes while a run is busy",
    },
    Chapter {
        number: 7,
        title: "The audit, from a clone without AWS",
    },
];

/// What the chapters hand on.
struct Told {
    /// The commit that runs.
    good: CommitId,
    /// Its run.
    run: Run,
    /// The service's address; none where it is not deployed.
    url: Option<String>,
    /// Every run so far, in the order of their ends.
    runs: Vec<Run>,
}

/// Tells all chapters. Gives the number of runs.
///
/// # Errors
/// The first thing that is not as the story says.
pub async fn tell(teller: &Teller) -> anyhow::Result<usize> {
    let shop = teller.sample(SHOP)?.clone();
    let title = |number: usize| {
        if let Some(chapter) = CHAPTERS.get(number - 1) {
            teller
                .narrator
                .chapter(&format!("Chapter {}. {}.", chapter.number, chapter.title));
        }
    };
    title(1);
    let mut told = first(teller, &shop).await?;
    let mut load = told
        .url
        .as_ref()
        .map(|url| Load::start(format!("{url}/version")));
    title(2);
    code_only(teller, &shop, &mut told).await?;
    went_on(teller, load.as_mut())?;
    title(3);
    tests_fail(teller, &shop, &mut told).await?;
    went_on(teller, load.as_mut())?;
    title(4);
    half_way(teller, &shop, &mut told).await?;
    went_on(teller, load.as_mut())?;
    title(5);
    unhealthy(teller, &shop, &mut told).await?;
    went_on(teller, load.as_mut())?;
    title(6);
    three_pushes(teller, &shop, &mut told).await?;
    went_on(teller, load.as_mut())?;
    if let Some(load) = load {
        let seen = load.stop().await;
        teller.narrator.text(&format!(
            "          {} requests were sent to the service since chapter 1; {} failed",
            seen.sent, seen.failed
        ));
    }
    title(7);
    audit(teller, &shop, &told).await?;
    Ok(told.runs.len())
}

/// The client of the service kept asking during the chapter.
fn went_on(teller: &Teller, load: Option<&mut Load>) -> anyhow::Result<()> {
    let Some(load) = load else {
        return Ok(());
    };
    let seen = load.since();
    ensure!(
        seen.sent > 0,
        "expected requests to the service during the chapter, none was sent"
    );
    teller.narrator.fact(&format!(
        "{} requests were sent to the service meanwhile; {} failed",
        seen.sent, seen.failed
    ));
    Ok(())
}

async fn first(teller: &Teller, shop: &Sample) -> anyhow::Result<Told> {
    if !deploys(teller) {
        teller.narrator.text(
            "          not shown: no Docker engine answers, so the sample is delivered without `deploy:`",
        );
        teller
            .commit(shop, &[("sluicegate.yaml", DEPLOY, "")], "No deployment")
            .await?;
    }
    let commit = teller.head(shop).await?;
    teller
        .narrator
        .step(&format!("push {} to main of {SHOP}", commit.short()));
    let ended = teller.deliver(shop, &commit).await?;
    ends(teller, shop, &ended, Outcome::Applied).await?;
    let run = ended.run;
    let states: Vec<_> = run
        .stacks
        .iter()
        .map(|s| (s.stack.name.as_str(), &s.state))
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
    let url = if deploys(teller) {
        let rollout = run.deploy.as_ref().context("the run deployed nothing")?;
        Some(rollout.url.clone())
    } else {
        None
    };
    let told = Told {
        good: commit,
        url,
        runs: vec![run.clone()],
        run,
    };
    answers(teller, &told).await?;
    if let Some(url) = &told.url {
        let item = format!("{url}/items/first");
        let put = http::put(&item, "written in chapter 1", LIMIT)
            .await
            .map_err(anyhow::Error::msg)?;
        ensure!(put.status == 204, "PUT {item} answered {}", put.status);
        teller
            .narrator
            .fact("an item was written through the service");
    }
    Ok(told)
}

/// Whether the sample's service runs.
fn deploys(teller: &Teller) -> bool {
    teller.world.docker == Docker::Engine
}

/// How the run of a commit ends that changes code only.
fn delivered(teller: &Teller) -> Outcome {
    if deploys(teller) {
        Outcome::Applied
    } else {
        Outcome::NoOp
    }
}

/// A run ended so, and GitHub shows it.
async fn ends(
    teller: &Teller,
    shop: &Sample,
    ended: &Ended,
    outcome: Outcome,
) -> anyhow::Result<()> {
    teller.expect(ended, outcome)?;
    teller.expect_status(shop, ended).await
}

/// The address answers with the commit that runs.
async fn answers(teller: &Teller, told: &Told) -> anyhow::Result<()> {
    let Some(url) = &told.url else {
        teller
            .narrator
            .text("          not shown: no Docker engine answers, so nothing serves the address");
        return Ok(());
    };
    let url = format!("{url}/version");
    let answer = http::get(&url, LIMIT).await.map_err(anyhow::Error::msg)?;
    ensure!(
        answer.status == 200 && answer.body.trim() == told.good.as_str(),
        "{url} answered {} {:?}, expected commit {}",
        answer.status,
        answer.body,
        told.good
    );
    teller
        .narrator
        .fact(&format!("{url} answers {}", told.good));
    Ok(())
}

async fn code_only(teller: &Teller, shop: &Sample, told: &mut Told) -> anyhow::Result<()> {
    let edit = (
        SETTINGS,
        r#"NAME: &str = "shop""#,
        r#"NAME: &str = "shop, second edition""#,
    );
    let commit = teller.commit(shop, &[edit], "Second edition").await?;
    teller
        .narrator
        .step(&format!("push {} to main", commit.short()));
    let delivery = uuid::Uuid::new_v4().to_string();
    ensure!(
        teller.push(shop, &commit, &delivery).await? == 202,
        "the webhook refused the push"
    );
    let ended = teller.ended(&teller.run_id(shop, &commit)?).await?;
    ends(teller, shop, &ended, delivered(teller)).await?;
    let unchanged = ended
        .run
        .stacks
        .iter()
        .all(|s| s.state == StackState::Unchanged);
    ensure!(
        unchanged,
        "a code-only commit changed infrastructure: {:?}",
        ended.run.stacks
    );
    teller.narrator.fact("no stack changed");
    let before = image(&told.run)?;
    let after = image(&ended.run)?;
    ensure!(before != after, "the image is still {before}");
    teller.narrator.fact(&format!("a new image, {after}"));
    advance(told, commit, ended);
    answers(teller, told).await?;
    if let Some(url) = &told.url {
        let item = format!("{url}/items/first");
        let got = http::get(&item, LIMIT).await.map_err(anyhow::Error::msg)?;
        ensure!(
            got.body == "written in chapter 1",
            "GET {item} answered {got:?}"
        );
        teller.narrator.fact("the item of chapter 1 is still there");
    }
    let executions = teller.executions().await?;
    teller
        .narrator
        .step("the same event twenty times at once, half of them as new deliveries");
    let again = (0..20).map(|i| {
        let fresh = uuid::Uuid::new_v4().to_string();
        let id = if i % 2 == 0 { delivery.clone() } else { fresh };
        let (commit, id) = (told.good.clone(), id);
        async move { teller.push(shop, &commit, &id).await }
    });
    for status in futures::future::join_all(again).await {
        let status = status?;
        ensure!(
            (200..300).contains(&status),
            "a repeated event was answered {status}"
        );
    }
    settle(teller).await?;
    let new: Vec<_> = teller
        .executions()
        .await?
        .difference(&executions)
        .cloned()
        .collect();
    for arn in &new {
        let run = teller.executed(arn).await?;
        ensure!(
            run == "duplicate",
            "execution {arn} ended {run}, expected duplicate"
        );
    }
    let run = teller.begun(&told.run.id).await?;
    ensure!(run == told.run, "a repeated event changed the run's record");
    teller.narrator.fact(&format!(
        "nothing was delivered again ({} of the events reached the state machine, and ended as duplicate)",
        new.len()
    ));
    Ok(())
}

/// Waits until no execution runs.
async fn settle(teller: &Teller) -> anyhow::Result<()> {
    // Events take less than a second here; twenty executions that end at once take two.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if teller.running().await? == 0 {
            return Ok(());
        }
    }
    bail!("executions still run after 30 s")
}

async fn tests_fail(teller: &Teller, shop: &Sample, told: &mut Told) -> anyhow::Result<()> {
    let edit = (
        SETTINGS,
        "MAX_KEY_LENGTH: usize = 128",
        "MAX_KEY_LENGTH: usize = 64",
    );
    let commit = teller.commit(shop, &[edit], "Shorter keys").await?;
    teller
        .narrator
        .step(&format!("push {} to main: its tests fail", commit.short()));
    let ended = teller.deliver(shop, &commit).await?;
    ends(teller, shop, &ended, Outcome::Failed).await?;
    ensure!(
        ended.run.build == Build::Failed,
        "the build is {:?}",
        ended.run.build
    );
    told.runs.push(ended.run);
    answers(teller, told).await?;
    revert(teller, shop, &[(edit.0, edit.2, edit.1)]).await
}

async fn half_way(teller: &Teller, shop: &Sample, told: &mut Told) -> anyhow::Result<()> {
    let before = resources_of(teller, shop).await?;
    let broken = r#"parameters = { "/${local.name}/greeting" = "closing down", "/${local.name}/sale" = "ten percent", "/aws/${local.name}" = "refused" }"#;
    let commit = teller
        .commit(shop, &[(APP, GREETING, broken)], "A sale")
        .await?;
    teller.narrator.step(&format!(
        "push {} to main: AWS refuses one of its resources",
        commit.short()
    ));
    let ended = teller.deliver(shop, &commit).await?;
    ends(teller, shop, &ended, Outcome::RolledBack).await?;
    let (changed, refused) = (r#"this["/shop-production/greeting"]"#, r#"this["/aws/"#);
    resources::were_changed_half_way(teller, &ended.run.id, "app", changed, refused).await?;
    let after = resources_of(teller, shop).await?;
    ensure!(
        before == after,
        "resources were {before:?}, and are {after:?}"
    );
    teller.narrator.fact(&format!(
        "resources are those of {} again: {after:?}",
        told.good.short()
    ));
    told.runs.push(ended.run);
    good_is_still(teller, shop, told).await?;
    answers(teller, told).await?;
    revert(teller, shop, &[(APP, broken, GREETING)]).await
}

/// The parameters that stack `app` made; all that the stacks made is what their states say.
async fn resources_of(teller: &Teller, shop: &Sample) -> anyhow::Result<Vec<String>> {
    let parameters = teller.parameters(&format!("/shop-{ENVIRONMENT}")).await?;
    let count = resources::are_those_of_the_states(teller, shop, ENVIRONMENT, &parameters).await?;
    teller.narrator.fact(&format!(
        "{count} resources bear the environment's tag or path, and are those of the states"
    ));
    Ok(parameters)
}

async fn unhealthy(teller: &Teller, shop: &Sample, told: &mut Told) -> anyhow::Result<()> {
    if !deploys(teller) {
        teller
            .narrator
            .text("          not shown: no Docker engine answers, so nothing can be unhealthy");
        return Ok(());
    }
    let edit = (SETTINGS, "HEALTHY: bool = true", "HEALTHY: bool = false");
    let commit = teller.commit(shop, &[edit], "Unwell").await?;
    teller.narrator.step(&format!(
        "push {} to main: it never becomes healthy",
        commit.short()
    ));
    let ended = teller.deliver(shop, &commit).await?;
    ends(teller, shop, &ended, Outcome::RolledBack).await?;
    resources_of(teller, shop).await?;
    told.runs.push(ended.run);
    good_is_still(teller, shop, told).await?;
    answers(teller, told).await?;
    revert(teller, shop, &[(edit.0, edit.2, edit.1)]).await
}

/// *Last good* has not moved, the lock is free.
async fn good_is_still(teller: &Teller, shop: &Sample, told: &Told) -> anyhow::Result<()> {
    let environment = teller.environment(shop, ENVIRONMENT).await?;
    let good = environment.last_good.as_ref().map(|good| &good.commit);
    ensure!(
        good == Some(&told.good),
        "last good is {good:?}, expected {}",
        told.good
    );
    ensure!(
        environment.owner.is_none(),
        "the lock is held by {:?}",
        environment.owner
    );
    teller.narrator.fact(&format!(
        "last good is {}, the lock is free",
        told.good.short()
    ));
    Ok(())
}

/// Puts the sample back, without a push: the next chapter's commit carries it.
async fn revert(
    teller: &Teller,
    shop: &Sample,
    edits: &[(&str, &str, &str)],
) -> anyhow::Result<()> {
    teller.commit(shop, edits, "Back again").await?;
    Ok(())
}

async fn three_pushes(teller: &Teller, shop: &Sample, told: &mut Told) -> anyhow::Result<()> {
    let editions = ["third", "fourth", "fifth"];
    let mut name = r#"NAME: &str = "shop, second edition""#.to_owned();
    let mut runs = Vec::new();
    for (i, edition) in editions.into_iter().enumerate() {
        let next = format!(r#"NAME: &str = "shop, {edition} edition""#);
        let commit = teller
            .commit(
                shop,
                &[(SETTINGS, &name, &next)],
                &format!("{edition} edition"),
            )
            .await?;
        name = next;
        let delivery = uuid::Uuid::new_v4().to_string();
        teller.narrator.step(&format!(
            "push {} to main ({edition} edition)",
            commit.short()
        ));
        ensure!(
            teller.push(shop, &commit, &delivery).await? == 202,
            "the webhook refused a push"
        );
        let run = teller.run_id(shop, &commit)?;
        // The first holds the environment before the second comes; the second waits before the third.
        let asked = |run: &Run| match i {
            0 => matches!(run.lock, Lock::Held { .. }) || run.end.is_some(),
            _ => run.lock != Lock::None,
        };
        let found = teller.until(&run, "reach its environment", asked).await?;
        ensure!(
            i != 0 || found.end.is_none(),
            "the first run ended before the second push"
        );
        runs.push((run, commit));
    }
    let expected = [delivered(teller), Outcome::Superseded, delivered(teller)];
    for ((run, commit), outcome) in runs.into_iter().zip(expected) {
        let ended = teller.ended(&run).await?;
        ends(teller, shop, &ended, outcome).await?;
        if outcome == Outcome::Superseded {
            ensure!(
                matches!(ended.run.build, Build::Ready { .. }),
                "it was not built"
            );
            teller.narrator.fact("it was built, and not deployed");
            told.runs.push(ended.run);
        } else {
            advance(told, commit, ended);
        }
    }
    answers(teller, told).await?;
    good_is_still(teller, shop, told).await
}

async fn audit(teller: &Teller, shop: &Sample, told: &Told) -> anyhow::Result<()> {
    let clone = teller.world.dir.join("fresh-clone");
    let origin = format!("{}/{SHOP}.git", teller.world.github);
    github::Repository::clone(&origin, &teller.world.secrets.token, &clone).await?;
    let log = github::Repository::open(&clone)
        .log("origin/sluicegate/audit")
        .await?;
    teller.narrator.step("git log origin/sluicegate/audit");
    for line in log.lines() {
        teller.narrator.text(&format!("           {line}"));
    }
    for run in &told.runs {
        ensure!(
            log.contains(run.id.as_str()),
            "the audit branch does not tell of run {}",
            run.id
        );
    }
    let lines = log.lines().count();
    ensure!(
        lines == told.runs.len(),
        "{lines} audit commits for {} runs",
        told.runs.len()
    );
    teller
        .narrator
        .fact(&format!("each of the {lines} runs has its entry"));
    let said = teller.verify_audit(&clone).await?;
    teller.narrator.fact(said.trim());
    good_is_still(teller, shop, told).await
}

fn image(run: &Run) -> anyhow::Result<String> {
    match &run.build {
        Build::Ready { digest, .. } => Ok(digest.to_string()),
        other => bail!("run {} has no image: {other:?}", run.id),
    }
}

fn advance(told: &mut Told, commit: CommitId, ended: Ended) {
    told.good = commit;
    told.runs.push(ended.run.clone());
    told.run = ended.run;
}
