//! The benchmark: deliveries of Sluicegate against Terraform alone, on one local run.

mod compare;
mod delivery;
mod history;
mod lambdas;
mod page;
mod plot;
mod raw;
mod results;
mod sample;
mod statistics;

use self::delivery::Delivery;
use self::lambdas::Called;
use self::raw::{Raw, Terraform};
use self::results::{CodeOnly, Pair, Results};
use self::sample::STACKS;
use crate::{Harness, Progress};
use anyhow::{Context as _, ensure};
use clap::Parser;
use domain::run::Outcome;
use engine::{Clock as _, SystemClock};
use local_run::command::Place;
use local_run::lifeline::{Lifeline, Signals};
use local_run::machine::Machine;
use local_run::{Sample, owner};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measures deliveries on this machine against Terraform alone, and writes a page.
#[derive(Debug, Parser)]
#[command(name = "sluicegate-bench")]
struct Cli {
    #[command(flatten)]
    place: Place,
    /// How often each side applies a change.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// The directory for the page; `bench` in the target directory by default.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The file that `scripts/call-lambdas.py --json` wrote, for the memory of the build for AWS.
    #[arg(long)]
    lambdas: Option<PathBuf>,
    /// Fails if a job's commands did not share one provider process.
    #[arg(long)]
    require_shared_provider: bool,
}

/// Parses the command line and runs the benchmark.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    match Box::pin(bench(cli)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

/// What is measured, and where the page goes.
struct Order {
    pairs: usize,
    out: PathBuf,
    lambdas: Vec<Called>,
    require_shared_provider: bool,
}

async fn bench(cli: Cli) -> anyhow::Result<()> {
    let machine = cli.place.inspect()?;
    ensure!(cli.pairs > 0, "--pairs must be at least 1");
    let lambdas = cli.lambdas.as_deref().map(lambdas::called).transpose()?;
    let order = Order {
        pairs: cli.pairs,
        out: cli.out.unwrap_or_else(|| machine.target.join("bench")),
        lambdas: lambdas.unwrap_or_default(),
        require_shared_provider: cli.require_shared_provider,
    };
    let progress = Progress::new(Box::new(std::io::stdout()));
    progress.heading("Sluicegate against Terraform alone, on this machine");
    let files = order.out.join("sample");
    std::fs::remove_dir_all(&files).ok();
    sample::write(&machine.root, &files)?;
    let runs = owner::runs(&machine.root);
    let dir = runs.join(format!("bench-{}", std::process::id()));
    let mut lifeline = Lifeline::default();
    let result = Box::pin(measured(
        &machine,
        &dir,
        &files,
        &order,
        &progress,
        &mut lifeline,
    ))
    .await;
    owner::take_down(&dir, result.is_err(), &runs).await?;
    if result.is_err() {
        let logs = runs.join(owner::LAST_FAILURE);
        progress.text(&format!("Logs: {}", logs.display()));
    }
    let results = result?;
    std::fs::write(
        order.out.join("results.json"),
        serde_json::to_string_pretty(&results)?,
    )?;
    std::fs::write(order.out.join("plot.svg"), plot::render(&results))?;
    let page = order.out.join("README.md");
    std::fs::write(&page, page::render(&results))?;
    progress.text(&format!(
        "\n{}.\nPage: {}",
        results.verdict(),
        page.display()
    ));
    Ok(())
}

async fn measured(
    machine: &Machine,
    dir: &Path,
    files: &Path,
    order: &Order,
    progress: &Progress,
    lifeline: &mut Lifeline,
) -> anyhow::Result<Results> {
    let mut signals = Signals::listen()?;
    let args = [
        format!("--sample={}={}", sample::NAME, files.display()),
        // Terraform alone runs as a process too.
        "--no-containers".to_owned(),
    ];
    let step = |step: &str| progress.step(step);
    let local = tokio::select! {
        local = owner::start(machine, dir, &args, step, lifeline) => local?,
        () = signals.next() => anyhow::bail!("interrupted"),
    };
    let harness = Harness::new(local, progress.clone()).await;
    let result = tokio::select! {
        result = pairs(&harness, machine, order) => result,
        () = signals.next() => Err(anyhow::anyhow!("interrupted")),
    };
    if result.is_err() {
        harness.keep_logs().await.ok();
    }
    harness.end();
    result
}

/// Runs the first delivery, which is not measured, then the pairs and the code-only commit.
async fn pairs(harness: &Harness, machine: &Machine, order: &Order) -> anyhow::Result<Results> {
    let progress = &harness.progress;
    let repository = harness.sample(sample::NAME)?.clone();
    let terraform = Terraform::new(harness, machine, &harness.local.dir.join("raw"))?;
    progress.heading("Release 0, which creates everything and is not measured");
    both(harness, &terraform, &repository, order, 0).await?;
    let mut pairs = Vec::new();
    for number in 1..=order.pairs {
        progress.heading(&format!("Release {number} of {}", order.pairs));
        let edits = sample::release(number);
        let edits = edits
            .each_ref()
            .map(|(file, from, to)| (*file, &**from, &**to));
        harness
            .commit(&repository, &edits, &format!("Release {number}"))
            .await?;
        let (delivery, raw) = both(harness, &terraform, &repository, order, number).await?;
        let pair = Pair::new(&delivery, &raw);
        progress.fact(&format!(
            "Sluicegate {:.1} s, Terraform {:.1} s, ratio {:.2}; plans and states are equal",
            pair.sluicegate,
            pair.raw,
            pair.ratio()
        ));
        pairs.push(pair);
    }
    progress.heading("A commit that changes code only");
    let (file, from, to) = sample::code_only();
    let commit = harness
        .commit(&repository, &[(file, &from, &to)], "Code only")
        .await?;
    let delivery = delivery::deliver(harness, &repository, &commit, Outcome::NoOp).await?;
    let code_only = CodeOnly::new(&delivery);
    ensure!(
        code_only.jobs == 0,
        "a commit that changes code only started {} Terraform jobs",
        code_only.jobs
    );
    progress.fact(&format!("{:.1} s, no Terraform job", code_only.seconds));
    Ok(Results {
        machine: describe(machine),
        pairs,
        code_only,
        lambdas: lambdas::read(harness, &machine.target, &order.lambdas),
    })
}

/// Delivers the commit of `main`, then applies it with Terraform alone, and compares plans and states.
async fn both(
    harness: &Harness,
    terraform: &Terraform<'_>,
    repository: &Sample,
    order: &Order,
    number: usize,
) -> anyhow::Result<(Delivery, Raw)> {
    let progress = &harness.progress;
    let commit = harness.head(repository).await?;
    let delivery = delivery::deliver(harness, repository, &commit, Outcome::Applied).await?;
    for job in &delivery.jobs {
        progress.step(&format!(
            "{}: {:.1} s{}",
            job.name,
            job.seconds,
            if job.shared_provider {
                ""
            } else {
                "; each command started the provider"
            }
        ));
    }
    if order.require_shared_provider {
        delivery::shared_providers(&delivery.jobs)?;
    }
    progress.step("Terraform alone");
    let raw = terraform
        .apply(&repository.bare, &repository.full_name, &number.to_string())
        .await?;
    are_equal(&delivery, &raw)?;
    Ok((delivery, raw))
}

/// Returns the normalized form of a plan or a state of one side.
type Normalize = fn(&[u8], &str) -> serde_json::Result<serde_json::Value>;

/// Checks that both sides made the same plans and have the same states.
fn are_equal(delivery: &Delivery, raw: &Raw) -> anyhow::Result<()> {
    let plans = unequal("plan", compare::plan, &delivery.plans, &raw.plans)?;
    let states = unequal("state", compare::state, &delivery.states, &raw.states)?;
    let found = [plans, states].concat();
    ensure!(found.is_empty(), found.join("\n"));
    Ok(())
}

/// Compares the plans or the states of all stacks. Returns the differences of each stack that has some.
fn unequal(
    what: &str,
    normalize: Normalize,
    ours: &[Vec<u8>],
    theirs: &[Vec<u8>],
) -> anyhow::Result<Vec<String>> {
    ensure!(
        ours.len() == STACKS.len() && theirs.len() == STACKS.len(),
        "expected a {what} of each stack on both sides, found {} and {}",
        ours.len(),
        theirs.len()
    );
    let mut found = Vec::new();
    for (((stack, _), ours), theirs) in STACKS.iter().zip(ours).zip(theirs) {
        let ours = normalize(ours, sample::ENVIRONMENT).context("Sluicegate's")?;
        let theirs = normalize(theirs, raw::ENVIRONMENT).context("Terraform's")?;
        let differences = compare::differences(&ours, &theirs);
        if !differences.is_empty() {
            let list = differences.join("\n  ");
            found.push(format!("the {what}s of stack {stack} differ:\n  {list}"));
        }
    }
    Ok(found)
}

/// Describes this machine, from `/proc` where available.
fn describe(machine: &Machine) -> Vec<(String, String)> {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map(|(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rows = [
        (
            "measured",
            Some(SystemClock.now().strftime("%Y-%m-%d").to_string()),
        ),
        ("processor", field(&read("/proc/cpuinfo"), "model name")),
        ("cores", Some(cores.to_string())),
        ("memory", field(&read("/proc/meminfo"), "MemTotal")),
        (
            "load at the end",
            read("/proc/loadavg").split(' ').next().map(str::to_owned),
        ),
        ("Terraform", version(machine)),
        ("Sluicegate", Some("development build".to_owned())),
    ];
    let known = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known.filter(|(_, value)| !value.is_empty()).collect()
}

fn version(machine: &Machine) -> Option<String> {
    let mut command = std::process::Command::new(&machine.terraform);
    let output = fakes::process::output_blocking(command.arg("version")).ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}
