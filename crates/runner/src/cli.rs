//! The command-line arguments.

use clap::{Args, Parser, Subcommand};
use domain::ids::{JobId, RunId};
use domain::job::Verb;

use crate::job::Request;

/// Runs one Terraform job of a Sluicegate run and writes its result to S3.
///
/// Exit codes: 0 if a result is in S3, including that of a failed plan or apply; 1 if the result
/// could not be written; 2 if the command line or the settings are invalid; 3 if the job was
/// started before and left no result; 143 if a SIGTERM interrupted a plan, so that Batch retries
/// it. A second start of a job exits with the code of the first.
#[derive(Debug, Parser)]
#[command(name = "runner", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs init, fmt -check, plan and show; uploads the plan. If the job spec says so, runs init,
    /// fmt -check and validate instead.
    Plan(Ids),
    /// Applies the sealed plan that the job spec names.
    Apply(Ids),
}

#[derive(Debug, Args)]
struct Ids {
    /// The run id, such as shop-1a2b3c4d-9f8e7d.
    #[arg(long, value_parser = RunId::parse)]
    run: RunId,
    /// The job id; it contains half of the digest of the job spec.
    #[arg(long, value_parser = JobId::parse)]
    job: JobId,
}

impl From<Cli> for Request {
    fn from(cli: Cli) -> Self {
        let (verb, ids) = match cli.command {
            Command::Plan(ids) => (Verb::Plan, ids),
            Command::Apply(ids) => (Verb::Apply, ids),
        };
        Self {
            verb,
            run: ids.run,
            job: ids.job,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_of_a_job_is_read_and_a_wrong_one_is_explained() {
        Cli::command().debug_assert();
        let job = format!("plan-data-1-{}", "0".repeat(32));
        let request: Request =
            Cli::parse_from(["runner", "plan", "--run", "shop-1-2", "--job", &job]).into();
        assert_eq!(
            (request.verb, request.job.as_str()),
            (Verb::Plan, job.as_str())
        );
        let error = Cli::try_parse_from(["runner", "plan", "--run", "Shop!", "--job", &job]);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("expected a lower-case letter")
        );
    }
}
