//! Wires the command line to AWS.

use clap::Parser as _;
use cli::args::Cli;
use cli::output::Output;
use cli::pipeline::Pipeline;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut output = Output {
        terminal: out.is_terminal(),
        out: &mut out,
        err: &mut err,
        json: cli.json,
        drawn: 0,
    };
    let Err(failure) = cli::run(&cli, Pipeline::in_aws, &mut output).await else {
        return ExitCode::SUCCESS;
    };
    let text = failure.to_output(cli.json);
    // If standard error is closed, nothing can report the failure.
    let _ignored = err.write_all(text.as_bytes());
    ExitCode::from(failure.kind.exit())
}
