//! The command line of the demo.

use crate::{Harness, Progress};
use clap::Parser;
use local_run::LocalRun;
use local_run::command::Place;
use local_run::lifeline::{Lifeline, Signals};
use local_run::machine::Machine;
use local_run::owner;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Delivers commits of `examples/shop` on this machine, and checks each result.
#[derive(Debug, Parser)]
#[command(name = "sluicegate-demo")]
struct Cli {
    #[command(flatten)]
    place: Place,
    /// Leaves everything running.
    #[arg(long)]
    keep: bool,
}

/// Parses the command line and runs the demo.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    match Box::pin(demo(cli)).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Runs the demo. Returns whether every scenario passed.
async fn demo(cli: Cli) -> anyhow::Result<bool> {
    let machine = cli.place.inspect()?;
    let began = Instant::now();
    let progress = Progress::new(Box::new(std::io::stdout()));
    let runs = owner::runs(&machine.root);
    let dir = runs.join(format!("demo-{}", std::process::id()));
    progress.heading("Sluicegate on this machine");
    if machine.engine.is_none() {
        progress.text(
            "          no Docker engine answers: buildah builds the images, and no service runs",
        );
    }
    let shop = machine.root.join("examples/shop");
    let args = [format!("--sample={}={}", "acme/shop", shop.display())];
    let mut lifeline = Lifeline::default();
    let result = Box::pin(scenarios(&machine, &dir, &args, &progress, &mut lifeline)).await;
    let interrupted = result.as_ref().is_err_and(anyhow::Error::is::<Interrupted>);
    let keep = cli.keep && !interrupted;
    let took = began.elapsed().as_secs();
    progress.text(&match &result {
        Ok(runs) => format!("\nDemo passed: {runs} runs in {took} s."),
        Err(error) => format!("\nDemo failed after {took} s: {error:#}"),
    });
    if keep {
        look_further(&dir, &progress);
        // A local run that did not start has already ended, and its logs remain.
        lifeline.let_go().ok();
    } else {
        owner::take_down(&dir, result.is_err(), &runs).await?;
    }
    if result.is_err() && !keep {
        let logs = runs.join(owner::LAST_FAILURE);
        progress.text(&format!("Logs: {}", logs.display()));
    }
    Ok(result.is_ok())
}

/// SIGINT or SIGTERM was received.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

async fn scenarios(
    machine: &Machine,
    dir: &Path,
    args: &[String],
    progress: &Progress,
    lifeline: &mut Lifeline,
) -> anyhow::Result<usize> {
    let mut signals = Signals::listen()?;
    let step = |step: &str| progress.step(step);
    let local = tokio::select! {
        local = owner::start(machine, dir, args, step, lifeline) => local?,
        () = signals.next() => return Err(Interrupted.into()),
    };
    let harness = Harness::new(local, progress.clone()).await;
    let result = tokio::select! {
        result = crate::run(&harness) => result,
        () = signals.next() => Err(Interrupted.into()),
    };
    if let Err(error) = &result
        && !error.is::<Interrupted>()
        && let Err(error) = harness.keep_logs().await
    {
        progress.text(&format!("Its log groups were not kept: {error:#}"));
    }
    harness.end();
    result
}

fn look_further(dir: &Path, progress: &Progress) {
    let Ok(local) = LocalRun::find(dir) else {
        return;
    };
    progress.text("\nTo look further, in a shell with:\n");
    for (name, value) in local.environment() {
        progress.text(&format!("  export {name}={value}"));
    }
    for (name, value) in local.settings() {
        progress.text(&format!("  export {name}='{value}'"));
    }
    let bin = local.tools.sluicegate.display();
    let python = &local.tools.python;
    progress.text(&format!(
        "\n  '{bin}' runs\n  '{bin}' show RUN\n  '{bin}' logs RUN app\n  '{bin}' audit list\n  '{}' '{}' stepfunctions list-executions --state-machine-arn {}\n",
        python.display(),
        python.with_file_name("aws").display(),
        local.installed.state_machine_arn
    ));
}
