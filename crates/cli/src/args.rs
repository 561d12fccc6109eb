//! The command line.

use clap::{Args, Parser, Subcommand};
use domain::ids::RepositoryKey;
use std::path::PathBuf;

/// Looks at the pipeline and answers it.
#[derive(Debug, Clone, Parser)]
#[command(name = "sluicegate", version, max_term_width = 100)]
pub struct Cli {
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Where the pipeline is
    #[command(flatten)]
    pub place: Place,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Where the pipeline is.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// The output of `terraform output -json`; the other options override it
    #[arg(long, global = true, env = "SLUICEGATE_SETTINGS", value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// The pipeline's table
    #[arg(long, global = true, env = "SLUICEGATE_TABLE", value_name = "NAME")]
    pub table: Option<String>,
    /// The artifacts bucket
    #[arg(long, global = true, env = "SLUICEGATE_BUCKET", value_name = "NAME")]
    pub bucket: Option<String>,
    /// The audit bucket
    #[arg(
        long,
        global = true,
        env = "SLUICEGATE_AUDIT_BUCKET",
        value_name = "NAME"
    )]
    pub audit_bucket: Option<String>,
}

/// A command.
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
    /// Look at the audit
    #[command(subcommand)]
    Audit(Audit),
    /// Look at a configuration
    #[command(subcommand)]
    Config(Config),
    /// Let a stack's plan be applied
    Approve(OfStack),
    /// Refuse a stack's plan
    Reject(OfStack),
    /// Let runs use a frozen environment again
    Unfreeze(Unfreeze),
}

/// `runs`.
#[derive(Debug, Clone, Args)]
pub struct Runs {
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

/// A command about a run.
#[derive(Debug, Clone, Args)]
pub struct OfRun {
    /// The run's id
    pub run: String,
}

/// `watch`.
#[derive(Debug, Clone, Args)]
pub struct Watch {
    /// The run's id
    pub run: String,
    /// Seconds between two looks
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub interval: u64,
}

/// `logs`.
#[derive(Debug, Clone, Args)]
pub struct Logs {
    /// The run's id
    pub run: String,
    /// Only this stack's jobs
    pub stack: Option<String>,
}

/// `audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum Audit {
    /// List the entries
    List(AuditSource),
    /// Check the chain
    Verify(AuditSource),
}

/// Which audit.
#[derive(Debug, Clone, Args)]
pub struct AuditSource {
    /// A clone of the delivered repository: its branch is read, no AWS is needed
    #[arg(long, value_name = "PATH", conflicts_with = "repository")]
    pub repo: Option<PathBuf>,
    /// Only the repository with this key, such as github-42
    #[arg(long, value_name = "KEY")]
    pub repository: Option<RepositoryKey>,
}

/// `config`.
#[derive(Debug, Clone, Subcommand)]
pub enum Config {
    /// Check a repository's sluicegate.yaml; no AWS is needed
    Check {
        /// The file, or the folder that holds it
        #[arg(default_value = ".")]
        path: PathBuf,
    },
}

/// A command about a stack of a run.
#[derive(Debug, Clone, Args)]
pub struct OfStack {
    /// The run's id
    pub run: String,
    /// The stack
    pub stack: String,
    /// Who answers, for the record
    #[arg(long, env = "USER", default_value = "operator")]
    pub by: String,
}

/// `unfreeze`.
#[derive(Debug, Clone, Args)]
pub struct Unfreeze {
    /// The repository's key, such as github-42
    pub repository: RepositoryKey,
    /// The environment
    pub environment: String,
}
