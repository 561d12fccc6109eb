#![doc = include_str!("../README.md")]

pub mod args;
pub mod commands;
pub mod failure;
pub mod output;
pub mod pipeline;
pub mod settings;
pub mod text;
pub mod view;

use args::{Audit, Cli, Command, Config, State};
use commands::{answer, audit, config, logs, runs, show, state, unfreeze, unlock, watch};
use domain::run::ApprovalDecision;
use failure::Outcome;
use output::Output;
use pipeline::Pipeline;
use settings::Settings;

/// Runs a command. Calls `connect` only if the command needs the pipeline.
///
/// # Errors
/// The errors of the command.
pub async fn run(
    cli: &Cli,
    connect: impl AsyncFnOnce(Settings) -> Outcome<Pipeline>,
    out: &mut Output<'_>,
) -> Outcome {
    let pipeline = async || connect(Settings::read(&cli.place)?).await;
    match &cli.command {
        Command::Runs(args) => runs::list(&pipeline().await?, args, out).await,
        Command::Show(args) => show::show(&pipeline().await?, args, out).await,
        Command::Watch(args) => watch::watch(&pipeline().await?, args, out).await,
        Command::Logs(args) => logs::logs(&pipeline().await?, args, out).await,
        Command::Audit(Audit::List(args)) => {
            audit::list(&audit::chains(args, pipeline).await?, out)
        }
        Command::Audit(Audit::Verify(args)) => {
            audit::verify(&audit::chains(args, pipeline).await?, out)
        }
        Command::Config(Config::Check { path }) => config::check(path, out),
        Command::Approve(args) => {
            answer::answer(&pipeline().await?, args, ApprovalDecision::Approved, out).await
        }
        Command::Reject(args) => {
            answer::answer(&pipeline().await?, args, ApprovalDecision::Rejected, out).await
        }
        Command::Unfreeze(args) => unfreeze::unfreeze(&pipeline().await?, args, out).await,
        Command::Unlock(args) => Box::pin(unlock::unlock(&pipeline().await?, args, out)).await,
        Command::State(State::Unlock { of, restore_ended }) => {
            let known = if *restore_ended {
                state::Holder::EndedRestore
            } else {
                state::Holder::Unknown
            };
            state::unlock(&pipeline().await?, of, known, out).await
        }
        Command::State(State::Versions(of)) => state::versions(&pipeline().await?, of, out).await,
        Command::State(State::Restore {
            of, version, by, ..
        }) => {
            // clap requires a version without `--unwritten`.
            let restored = match version {
                Some(version) => state::Restored::Version(version),
                None => state::Restored::Unwritten,
            };
            state::restore(&pipeline().await?, of, restored, by, out).await
        }
    }
}

#[cfg(test)]
mod tests;
