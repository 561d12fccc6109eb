//! The command-line arguments.

use clap::{Args, Parser, Subcommand};
use domain::ids::{JobId, RunId};
use domain::job::Verb;
use domain::keys::RunObjects;

use crate::job::Request;
use crate::settings::Settings;

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

impl Cli {
    /// Returns the job to run.
    #[must_use]
    pub fn request(self, settings: &Settings) -> Request {
        let (verb, ids) = match self.command {
            Command::Plan(ids) => (Verb::Plan, ids),
            Command::Apply(ids) => (Verb::Apply, ids),
        };
        let (repository, environment) = (settings.repository, settings.environment.clone());
        Request {
            verb,
            objects: RunObjects::new(repository, environment, ids.run.clone()),
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
        let variables = [
            ("SLUICEGATE_BUCKET", "artifacts"),
            ("SLUICEGATE_REPOSITORY", "github-7"),
            ("SLUICEGATE_ENVIRONMENT", "production"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::read(variables.into(), "/tmp".into()).unwrap();
        let cli = Cli::parse_from(["runner", "plan", "--run", "shop-1-2", "--job", &job]);
        let request = cli.request(&settings);
        assert_eq!(
            (request.verb, request.job.as_str()),
            (Verb::Plan, job.as_str())
        );
        let prefix = request.objects.to_string();
        assert_eq!(prefix, "runs/github-7/production/shop-1-2/");
        let error = Cli::try_parse_from(["runner", "plan", "--run", "Shop!", "--job", &job]);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("expected a lower-case letter")
        );
    }
}
