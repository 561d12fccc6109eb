//! The command line of the local run.

use crate::story::{self, Narrator, Teller};
use crate::world::containers;
use crate::world::lifeline::{Lifeline, Owner, Signals};
use crate::world::machine::{self, Docker, Homes, Machine};
use crate::world::up::{self, Containers, Faults, Order};
use crate::world::{self, STEPS_FILE, WORLD_FILE, World};
use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Where the local runs of a project lie: not below its root, since what they build must not find
/// its workspace, its git repository or its tools' settings in a directory above.
#[must_use]
pub fn runs(root: &Path) -> PathBuf {
    // Short: a provider's socket lies seven directories further down, and its path has 107 bytes.
    std::env::temp_dir().join(format!("sluicegate-{}", world::checkout(root)))
}

/// The file that holds the process id of whoever owns a directory.
const PID_FILE: &str = "pid";
/// Where the logs of the last world lie whose story broke.
pub const LAST_FAILURE: &str = "last-failure";

/// Runs Sluicegate on this machine.
#[derive(Debug, Parser)]
#[command(name = "sluicegate-local")]
struct Cli {
    /// The project's root.
    #[arg(long, env = "SLUICEGATE_ROOT", default_value = ".")]
    root: PathBuf,
    /// Where cargo puts what it builds; `target` in the root by default.
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
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings a world up and holds it until SIGTERM.
    Up {
        /// The directory of this run.
        #[arg(long)]
        dir: PathBuf,
        /// A sample: `owner/name=directory`.
        #[arg(long = "sample", value_parser = sample)]
        samples: Vec<(String, PathBuf)>,
        /// Lets faults be ordered at the emulator.
        #[arg(long)]
        faults: bool,
        /// Runs no containers.
        #[arg(long)]
        no_containers: bool,
        /// Ends with its owner: when standard input closes before a byte came.
        #[arg(long)]
        owned: bool,
    },
    /// Tells the story of a delivery.
    Demo {
        /// Leaves everything running.
        #[arg(long)]
        keep: bool,
    },
    /// Ends every local run and removes what it left, and the runner's images.
    Down,
    /// Prints the terraform CLI configuration of this machine.
    TerraformConfig,
}

fn sample(text: &str) -> Result<(String, PathBuf), String> {
    let (name, dir) = text
        .split_once('=')
        .ok_or("expected owner/name=directory")?;
    Ok((name.to_owned(), PathBuf::from(dir)))
}

/// Runs the command line.
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
    let root = std::fs::canonicalize(&cli.root)
        .with_context(|| format!("{} does not exist", cli.root.display()))?;
    let target = cli.target.unwrap_or_else(|| root.join("target"));
    let runs = runs(&root);
    let homes = Homes {
        home: cli.home,
        cargo: cli.cargo_home,
        rustup: cli.rustup_home,
    };
    match cli.command {
        Command::Down => down(&root, &runs, &cli.path).await,
        Command::TerraformConfig => {
            let mirror = machine::find_mirror(&root, &target, &homes.home)?;
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
            let machine = Machine::inspect(&root, &target, &cli.path, &homes)?;
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
                Owner::Nobody
            };
            up::hold(
                &machine,
                &Order {
                    dir,
                    samples,
                    faults,
                    containers,
                    owner,
                },
            )
            .await
        }
        Command::Demo { keep } => {
            let machine = Machine::inspect(&root, &target, &cli.path, &homes)?;
            demo(&machine, &runs, keep).await
        }
    }
}

/// Starts a world in a process of its own, and waits until it is ready. It ends when `lifeline`
/// does, so also with this process.
///
/// # Errors
/// When it could not be brought up; its logs are left, for [`take_down`].
pub async fn start(
    machine: &Machine,
    dir: &Path,
    args: &[String],
    narrator: &Narrator,
    lifeline: &mut Lifeline,
) -> anyhow::Result<World> {
    std::fs::create_dir_all(dir)?;
    let log = std::fs::File::create(dir.join("up.err"))?;
    let program = machine.bin.join("sluicegate-local");
    let mut child = tokio::process::Command::new(&program)
        .arg("--root")
        .arg(&machine.root)
        .arg("--target")
        .arg(&machine.target)
        .args(["up", "--owned", "--dir"])
        .arg(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C ends the story; the world is then taken down in order.
        .process_group(0)
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    lifeline.hold(child.stdin.take());
    let pid = child.id().context("the world ended at once")?;
    std::fs::write(dir.join(PID_FILE), pid.to_string())?;
    let mut shown = 0;
    loop {
        let steps = std::fs::read_to_string(dir.join(STEPS_FILE)).unwrap_or_default();
        for step in steps.lines().skip(shown) {
            narrator.step(step);
            shown += 1;
        }
        if dir.join(WORLD_FILE).exists() {
            return World::find(dir);
        }
        if let Some(status) = child.try_wait()? {
            let said = std::fs::read_to_string(dir.join("up.err")).unwrap_or_default();
            bail!(
                "the world could not be brought up ({status}): {}",
                said.trim()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn demo(machine: &Machine, runs: &Path, keep: bool) -> anyhow::Result<()> {
    let began = Instant::now();
    let narrator = Narrator::new(Box::new(std::io::stdout()));
    let dir = runs.join(format!("demo-{}", std::process::id()));
    narrator.chapter("Sluicegate on this machine");
    if machine.docker == Docker::None {
        narrator.text(
            "          no Docker engine answers: images are built by buildah, and no service runs",
        );
    }
    let shop = machine.root.join("examples/shop");
    let args = [format!("--sample={}={}", "acme/shop", shop.display())];
    let mut lifeline = Lifeline::default();
    let told = tell(machine, &dir, &args, &narrator, &mut lifeline).await;
    let interrupted = told.as_ref().is_err_and(anyhow::Error::is::<Interrupted>);
    let keep = keep && !interrupted;
    let took = began.elapsed().as_secs();
    let verdict = match &told {
        Ok(runs) => format!("The story is told: {runs} runs, in {took} s."),
        Err(error) => format!("The story broke after {took} s: {error:#}"),
    };
    narrator.text(&format!("\n{verdict}"));
    if keep {
        look_further(&dir, &narrator);
        // A world that could not be brought up is gone, and left its logs.
        lifeline.let_go().ok();
    } else {
        take_down(&dir, told.is_err(), runs).await?;
    }
    if told.is_err() && !keep {
        narrator.text(&format!("Logs: {}", runs.join(LAST_FAILURE).display()));
    }
    told.map(|_| ()).map_err(|_| anyhow::anyhow!("see above"))
}

/// SIGINT or SIGTERM came.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

async fn tell(
    machine: &Machine,
    dir: &Path,
    args: &[String],
    narrator: &Narrator,
    lifeline: &mut Lifeline,
) -> anyhow::Result<usize> {
    let mut signals = Signals::listen()?;
    let world = tokio::select! {
        world = start(machine, dir, args, narrator, lifeline) => world?,
        () = signals.next() => return Err(Interrupted.into()),
    };
    let teller = Teller::new(world, narrator.clone()).await;
    let told = tokio::select! {
        told = story::tell(&teller) => told,
        () = signals.next() => Err(Interrupted.into()),
    };
    if let Err(error) = &told
        && !error.is::<Interrupted>()
        && let Err(error) = teller.keep_logs().await
    {
        narrator.text(&format!("Its log groups were not kept: {error:#}"));
    }
    teller.end();
    told
}

fn look_further(dir: &Path, narrator: &Narrator) {
    let Ok(world) = World::find(dir) else { return };
    narrator.text("\nTo look further, in a shell with:\n");
    for (name, value) in world.environment() {
        narrator.text(&format!("  export {name}={value}"));
    }
    for (name, value) in world.settings() {
        narrator.text(&format!("  export {name}={value}"));
    }
    let bin = world.tools.sluicegate.display();
    narrator.text(&format!(
        "\n  {bin} runs\n  {bin} show RUN\n  {bin} logs RUN app\n  {bin} audit list\n  {} stepfunctions list-executions --state-machine-arn {}\n",
        world.tools.aws.display(),
        world.installed.state_machine_arn
    ));
}

/// Ends the world. After a failure its logs are kept beside it, in `last-failure`.
///
/// # Errors
/// When its process does not end in time.
pub async fn take_down(dir: &Path, failed: bool, runs: &Path) -> anyhow::Result<()> {
    if failed {
        let kept = runs.join(LAST_FAILURE);
        std::fs::remove_dir_all(&kept).ok();
        std::fs::create_dir_all(&kept)?;
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let wanted = Path::new(&name)
                .extension()
                .is_some_and(|end| end == "log" || end == "err");
            if wanted {
                std::fs::copy(entry.path(), kept.join(name))?;
            }
        }
    }
    end(dir).await?;
    std::fs::remove_dir(runs).ok();
    Ok(())
}

/// Ends the world in a directory, if one was started there, and removes the directory.
async fn end(dir: &Path) -> anyhow::Result<()> {
    let pid = std::fs::read_to_string(dir.join(PID_FILE));
    match pid.ok().and_then(|text| text.trim().parse().ok()) {
        Some(pid) => world::stop(pid, dir).await,
        None => world::remove(dir),
    }
}

async fn down(root: &Path, runs: &Path, path: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let docker = machine::engine(path);
    let entries = std::fs::read_dir(runs);
    if entries.is_err() {
        writeln!(out, "No local run is there.")?;
    }
    for entry in entries.into_iter().flatten().flatten() {
        let dir = entry.path();
        let world = World::find(&dir).ok();
        end(&dir).await?;
        // A world that was killed could not remove its containers and images.
        if let (Some(world), Docker::Engine) = (world, docker) {
            containers::remove(path, &world.instance).await?;
            containers::remove_images(path, world.registry()).await?;
        }
        writeln!(out, "Removed {}", dir.display())?;
    }
    std::fs::remove_dir(runs).ok();
    if docker == Docker::Engine {
        // Only here: it lies in no world's registry, and stays from one story to the next.
        for image in containers::remove_runner_images(path, root).await? {
            writeln!(
                out,
                "Removed the image {image}; the next story builds it again"
            )?;
        }
    }
    Ok(())
}
