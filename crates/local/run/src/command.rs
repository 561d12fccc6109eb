//! The command line of the local run.

use crate::engine::Engine;
use crate::lifeline::Owner;
use crate::machine::{self, Homes, Machine};
use crate::up::{self, Containers, Faults, Order};
use crate::{LocalRun, RUN_FILE, STEPS_FILE, containers, owner};
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs Sluicegate on this machine.
#[derive(Debug, Parser)]
#[command(name = "sluicegate-local")]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// The locations of the project and of the user's tools.
#[derive(Debug, Args)]
pub struct Place {
    /// The project's root.
    #[arg(long, env = "SLUICEGATE_ROOT", default_value = ".")]
    root: PathBuf,
    /// Cargo's target directory; `target` in the root by default.
    #[arg(long, env = "CARGO_TARGET_DIR")]
    target: Option<PathBuf>,
    #[arg(long, env = "PATH", hide = true)]
    path: String,
    #[arg(long, env = "HOME", hide = true)]
    home: PathBuf,
    #[arg(long, env = "CARGO_HOME", hide = true)]
    cargo_home: Option<PathBuf>,
    #[arg(long, env = "RUSTUP_HOME", hide = true)]
    rustup_home: Option<PathBuf>,
}

impl Place {
    /// Checks that the required tools are installed.
    ///
    /// # Errors
    /// Names what is missing and how to get it.
    pub fn inspect(self) -> anyhow::Result<Machine> {
        let (root, target) = (self.root()?, self.target()?);
        let homes = Homes {
            home: self.home,
            cargo: self.cargo_home,
            rustup: self.rustup_home,
        };
        Machine::inspect(&root, &target, &self.path, &homes)
    }

    fn root(&self) -> anyhow::Result<PathBuf> {
        std::fs::canonicalize(&self.root)
            .with_context(|| format!("{} does not exist", self.root.display()))
    }

    fn target(&self) -> anyhow::Result<PathBuf> {
        let target = self.target.clone();
        target.map_or_else(|| Ok(self.root()?.join("target")), Ok)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a local run and keeps it until SIGTERM.
    Up {
        /// The directory of this run.
        #[arg(long)]
        dir: PathBuf,
        /// A sample: `owner/name=directory`.
        #[arg(long = "sample", value_parser = sample)]
        samples: Vec<(String, PathBuf)>,
        /// Lets tests inject faults into the emulator.
        #[arg(long)]
        faults: bool,
        /// Runs services and jobs without containers.
        #[arg(long)]
        no_containers: bool,
        /// Ends when standard input closes before a byte is received.
        #[arg(long)]
        owned: bool,
    },
    /// Stops every local run, and removes what is left of them and the images that they share.
    Down,
    /// Prints every local run and its progress.
    Status,
    /// Prints the terraform CLI configuration of this machine.
    TerraformConfig,
}

fn sample(text: &str) -> Result<(String, PathBuf), String> {
    let (name, dir) = text
        .split_once('=')
        .ok_or("expected owner/name=directory")?;
    Ok((name.to_owned(), PathBuf::from(dir)))
}

/// Parses the command line and runs the command.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    match Box::pin(dispatch(cli)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let place = cli.place;
    match cli.command {
        Command::Down => down(&place.root()?, &place.path).await,
        Command::Status => status(&owner::runs(&place.root()?)),
        Command::TerraformConfig => {
            let mirror = machine::find_mirror(&place.root()?, &place.target()?, &place.home)?;
            write!(std::io::stdout(), "{}", machine::terraform_config(&mirror))?;
            Ok(())
        }
        Command::Up {
            dir,
            samples,
            faults,
            no_containers,
            owned,
        } => {
            let faults = if faults {
                Faults::OnOrder
            } else {
                Faults::Never
            };
            let containers = if no_containers {
                Containers::Never
            } else {
                Containers::IfPossible
            };
            let owner = if owned {
                Owner::StandardInput
            } else {
                Owner::None
            };
            let order = Order {
                dir,
                samples,
                faults,
                containers,
                owner,
            };
            up::hold(&place.inspect()?, &order).await
        }
    }
}

fn status(runs: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let mut found = false;
    for entry in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        let dir = entry.path();
        if entry.file_name() == owner::LAST_FAILURE {
            continue;
        }
        found = true;
        let state = if dir.join(RUN_FILE).exists() {
            let run = LocalRun::find(&dir)?;
            format!("ready at {}, process {}", run.endpoint, run.pid)
        } else {
            let steps = std::fs::read_to_string(dir.join(STEPS_FILE)).unwrap_or_default();
            format!(
                "starting: {}",
                steps.lines().last().unwrap_or("no step yet")
            )
        };
        writeln!(out, "{}: {state}", dir.display())?;
    }
    if !found {
        writeln!(out, "No local run exists.")?;
    }
    Ok(())
}

async fn down(root: &Path, path: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let runs = owner::runs(root);
    let engine = Engine::find(root, path)?;
    let entries = std::fs::read_dir(&runs);
    if entries.is_err() {
        writeln!(out, "No local run exists.")?;
    }
    for entry in entries.into_iter().flatten().flatten() {
        let dir = entry.path();
        let run = LocalRun::find(&dir).ok();
        owner::end(&dir).await?;
        // A local run that was killed could not remove its containers and images.
        if let (Some(run), Some(engine)) = (run, &engine) {
            containers::remove(engine, &run.instance).await?;
            containers::remove_images(engine, run.registry()).await?;
        }
        writeln!(out, "Removed {}", dir.display())?;
    }
    std::fs::remove_dir(&runs).ok();
    if let Some(engine) = &engine {
        // Only here: the images do not belong to one local run, and the next one reuses them.
        for image in containers::remove_shared_images(engine, root).await? {
            writeln!(
                out,
                "Removed the image {image}; the next local run builds it again"
            )?;
        }
    }
    Ok(())
}
