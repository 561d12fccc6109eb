//! The command-line arguments.

use clap::{Args, Parser, Subcommand};
use domain::ids::RepositoryKey;
use std::path::PathBuf;

/// Inspects a Sluicegate pipeline, and decides on its plans.
#[derive(Debug, Clone, Parser)]
#[command(name = "sluicegate", version, max_term_width = 100)]
pub struct Cli {
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Where the pipeline is
    #[command(flatten)]
    pub place: Place,
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// The location of the pipeline.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// A file with the output of `terraform output -json`; the other options override it
    #[arg(long, global = true, env = "SLUICEGATE_SETTINGS", value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// The name of the pipeline's DynamoDB table
    #[arg(long, global = true, env = "SLUICEGATE_TABLE", value_name = "NAME")]
    pub table: Option<String>,
    /// The name of the artifacts bucket
    #[arg(long, global = true, env = "SLUICEGATE_BUCKET", value_name = "NAME")]
    pub bucket: Option<String>,
    /// The name of the audit bucket
    #[arg(
        long,
        global = true,
        env = "SLUICEGATE_AUDIT_BUCKET",
        value_name = "NAME"
    )]
    pub audit_bucket: Option<String>,
}

/// The subcommands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List runs, the newest first
    Runs(Runs),
    /// Show a run
    Show(OfRun),
    /// Follow a run to its end; fails when the run fails
    Watch(Watch),
    /// Show the logs of a run, or of one of its stacks
    Logs(Logs),
    /// List or verify the audit
    #[command(subcommand)]
    Audit(Audit),
    /// Check what the pipeline would refuse
    #[command(subcommand)]
    Config(Config),
    /// Approve the plan of a stack
    Approve(OfStack),
    /// Reject the plan of a stack
    Reject(OfStack),
    /// Unfreeze an environment, so that runs can use it again
    Unfreeze(OfEnvironment),
    /// Release an environment whose run has stopped; refused while anything of the run still works
    Unlock(OfEnvironment),
    /// Recover the Terraform state of a stack
    #[command(subcommand)]
    State(State),
}

/// The arguments of `runs`.
#[derive(Debug, Clone, Args)]
pub struct Runs {
    /// The maximum number of runs
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

/// The arguments of a command for one run.
#[derive(Debug, Clone, Args)]
pub struct OfRun {
    /// The run's id
    pub run: String,
}

/// The arguments of `watch`.
#[derive(Debug, Clone, Args)]
pub struct Watch {
    /// The run's id
    pub run: String,
    /// Seconds between two updates
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub interval: u64,
}

/// The arguments of `logs`.
#[derive(Debug, Clone, Args)]
pub struct Logs {
    /// The run's id
    pub run: String,
    /// Show only the jobs of this stack
    pub stack: Option<String>,
}

/// The subcommands of `audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum Audit {
    /// List the entries
    List(AuditSource),
    /// Verify the chain
    Verify(AuditSource),
}

/// Selects the audit to read.
#[derive(Debug, Clone, Args)]
pub struct AuditSource {
    /// A clone of the delivered repository; its audit branch is read, and AWS is not needed
    #[arg(long, value_name = "PATH", conflicts_with = "repository")]
    pub repo: Option<PathBuf>,
    /// Read only the repository with this key, such as github-42
    #[arg(long, value_name = "KEY")]
    pub repository: Option<RepositoryKey>,
}

/// The subcommands of `config`.
#[derive(Debug, Clone, Subcommand)]
pub enum Config {
    /// Check sluicegate.yaml and the files that git would commit; AWS is not needed
    Check {
        /// The directory that contains sluicegate.yaml
        #[arg(default_value = ".")]
        path: PathBuf,
    },
}

/// The arguments of a command for one stack of a run.
#[derive(Debug, Clone, Args)]
pub struct OfStack {
    /// The run's id
    pub run: String,
    /// The name of the stack
    pub stack: String,
    /// The name of the person who decides, for the record
    #[arg(long, env = "USER", default_value = "operator")]
    pub by: String,
}

/// The subcommands of `state`. A run selects the repository and the environment.
#[derive(Debug, Clone, Subcommand)]
pub enum State {
    /// Remove the lock that an ended job left; refused while its holder may still work
    Unlock {
        /// The state
        #[command(flatten)]
        of: StateOf,
        /// Also remove the lock of a `sluicegate state restore`: you know that the command has ended
        #[arg(long)]
        restore_ended: bool,
    },
    /// List the versions of a state, the newest first
    Versions(StateOf),
    /// Make an earlier version of a state its newest one, or write the one that a job could not write;
    /// refused while a run holds the environment
    Restore {
        /// The state
        #[command(flatten)]
        of: StateOf,
        /// The version's id, as `sluicegate state versions` lists it
        #[arg(required_unless_present = "unwritten")]
        version: Option<String>,
        /// Write the state that Terraform could not write in this run, from the copy that its job kept
        #[arg(long, conflicts_with = "version")]
        unwritten: bool,
        /// The name of the person who restores, for the lock
        #[arg(long, env = "USER", default_value = "operator")]
        by: String,
    },
}

/// Selects a state.
#[derive(Debug, Clone, Args)]
pub struct StateOf {
    /// The id of a run in the environment
    pub run: String,
    /// The name of the stack
    pub stack: String,
}

/// The arguments of a command for one environment.
#[derive(Debug, Clone, Args)]
pub struct OfEnvironment {
    /// The repository's key, such as github-42
    pub repository: RepositoryKey,
    /// The name of the environment
    pub environment: String,
}
