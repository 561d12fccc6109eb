//! Starts a local run, keeps it running, and stops it.

use super::builds;
use super::containers;
use super::engine::Engine;
use super::lifeline::{End, Ends, Owner};
use super::machine::{Docker, Machine};
use super::terraform::Root;
use super::{ACCOUNT, Installed, LocalRun, REGION, RUN_FILE, STEPS_FILE, Sample, Secrets, Tools};
use anyhow::{Context as _, bail};
use domain::step::Step;
use fakes::{Emulator, Host, batch, codebuild, github, http, process};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};

/// The options of a local run.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its directory: empty, or not yet created.
    pub dir: PathBuf,
    /// The sample repositories: `owner/name`, and the directory for the first commit.
    pub samples: Vec<(String, PathBuf)>,
    /// Whether tests can inject faults into the emulator.
    pub faults: Faults,
    /// Whether services and jobs are containers, if an engine answers.
    pub containers: Containers,
    /// The owner, whose end also ends the local run.
    pub owner: Owner,
}

/// Whether faults can be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Faults can be injected. For tests.
    OnOrder,
    /// Faults cannot be injected.
    Never,
}

/// Whether the emulator and the fake Batch server use a Docker engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containers {
    /// If an engine answers.
    IfPossible,
    /// Never. Faster, for tests that do not need the application.
    Never,
}

/// Everything that has to be stopped at the end.
struct Held {
    /// The address of the image registry: `127.0.0.1:<port>`.
    registry: String,
    emulator: Child,
    batch: batch::Handle,
    codebuild: codebuild::Handle,
    github: github::Handle,
}

/// Starts a local run and keeps it until a signal is received or its owner is gone.
///
/// # Errors
/// Names what could not be started. Everything that was started is stopped.
pub async fn hold(machine: &Machine, order: &Order) -> anyhow::Result<()> {
    let mut ends = Ends::listen(order.owner)?;
    std::fs::create_dir_all(&order.dir)?;
    let mut steps = Steps::open(&order.dir)?;
    let mut held = None;
    let result = tokio::select! {
        up = bring_up(machine, order, &mut steps, &mut held) => match up {
            Ok(()) => Ok(ends.next().await),
            Err(error) => {
                steps.say(&format!("failed: {error:#}")).ok();
                Err(error)
            }
        },
        end = ends.next() => Ok(end),
    };
    let mut removed = Ok(());
    if let Some(held) = held {
        let registry = held.registry.clone();
        take_down(held).await;
        if let Some(engine) = &machine.engine {
            removed = containers::remove_images(engine, &registry).await;
        }
    }
    close(result, removed, &order.dir)
}

/// Completes the shutdown. Returns the first error: an image that cannot be removed must not hide why
/// the local run did not start, nor prevent the removal of an orphan's directory.
fn close(
    ended: anyhow::Result<End>,
    removed: anyhow::Result<()>,
    dir: &Path,
) -> anyhow::Result<()> {
    if ended? == End::Orphaned {
        super::remove(dir)?;
        // The parent directory of all local runs. Not removed while it contains another one.
        dir.parent().map(std::fs::remove_dir);
    }
    removed
}

/// The log of startup steps, one per line, which the process that waits for the local run shows.
struct Steps(std::fs::File);

impl Steps {
    fn open(dir: &Path) -> anyhow::Result<Self> {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join(STEPS_FILE))
            .context("open the list of steps")?;
        Ok(Self(file))
    }

    fn say(&mut self, step: &str) -> anyhow::Result<()> {
        writeln!(self.0, "{}", step.replace('\n', "\n    "))?;
        self.0.flush()?;
        Ok(())
    }
}

async fn bring_up(
    machine: &Machine,
    order: &Order,
    steps: &mut Steps,
    held: &mut Option<Held>,
) -> anyhow::Result<()> {
    let dir = &order.dir;
    let tmp = dir.join("t");
    std::fs::create_dir_all(&tmp)?;
    let engine = match order.containers {
        Containers::IfPossible => machine.engine.as_ref(),
        Containers::Never => None,
    };
    if engine.is_some() {
        steps.say("the runner's image (some minutes the first time)")?;
    }
    let jobs = containers::jobs(machine, order.containers).await;
    steps.say(&jobs.to_string())?;

    steps.say("the fakes for Batch and CodeBuild, and the fake GitHub")?;
    let port = free_port()?;
    let endpoint = format!("http://127.0.0.1:{port}");
    let instance = format!("local-{port}");
    let cloud = Arc::new(Emulator::new(&endpoint, REGION));
    let host = Host {
        region: REGION.into(),
        account: ACCOUNT.into(),
        endpoint: Some(endpoint.clone()),
        docker_host: machine.engine.as_ref().map(|engine| engine.address.clone()),
        scratch: tmp.clone(),
        path: machine.path.clone(),
    };
    let secrets = Secrets {
        webhook: format!("canary-webhook-{}", uuid::Uuid::new_v4().simple()),
        token: format!("canary-token-{}", uuid::Uuid::new_v4().simple()),
    };
    let config = batch::Config {
        host: host.clone(),
        images: vec![containers::stands_for_runner(machine, &jobs, &instance)],
        timing: batch::Timing::default(),
    };
    let batch = batch::start(0, config, cloud.clone()).await?;
    let config = builds::config(machine, order, host).await?;
    let codebuild = codebuild::start(0, config, cloud).await?;
    let repositories = dir.join("git");
    std::fs::create_dir_all(&repositories)?;
    let config = github::Config {
        root: repositories.clone(),
        token: secrets.token.clone(),
    };
    let github = github::start(0, config).await?;
    let (batch_url, codebuild_url, github_url) = (batch.url(), codebuild.url(), github.url());

    steps.say(&format!("the emulator at {endpoint}"))?;
    let emulator = start_emulator(
        machine,
        order,
        &tmp,
        (port, &instance),
        &batch_url,
        &codebuild_url,
        engine,
    )?;
    let registry = format!("127.0.0.1:{port}");
    let held = held.insert(Held {
        registry: registry.clone(),
        emulator,
        batch,
        codebuild,
        github,
    });
    wait_for_emulator(&mut held.emulator, &endpoint, dir).await?;

    steps.say("the sample repositories")?;
    let mut samples = Vec::new();
    for (i, (full_name, files)) in order.samples.iter().enumerate() {
        let id = 1000 + u64::try_from(i)?;
        let bare = held.github.create_repository(id, full_name, files).await?;
        samples.push(Sample {
            id,
            full_name: full_name.clone(),
            bare,
        });
    }

    let artifacts = link_functions(machine, dir)?;
    let mut local = LocalRun {
        pid: i32::try_from(std::process::id())?,
        dir: dir.clone(),
        endpoint: endpoint.clone(),
        batch: batch_url,
        codebuild: codebuild_url,
        github: github_url.clone(),
        webhook: String::new(),
        docker: if engine.is_some() {
            Docker::Engine
        } else {
            Docker::None
        },
        jobs,
        instance,
        tools: Tools {
            python: machine.python.clone(),
            sluicegate: machine.bin.join("sluicegate"),
        },
        samples,
        secrets,
        installed: Installed::empty(),
    };
    steps.say("Sluicegate, by terraform apply of terraform/roots/local (about two minutes)")?;
    let root = Root {
        machine,
        dir,
        environment: local.environment(),
    };
    root.write_variables(
        "sluicegate",
        &registry,
        &github_url,
        &artifacts,
        &local.samples,
        &local.jobs,
    )?;
    local.installed = root.apply().await?;
    local.webhook = local_function_url(&endpoint, &local.installed.webhook_url)?;

    steps.say("the secrets, as an operator puts them in")?;
    fill_secrets(&local).await?;
    let text = serde_json::to_string_pretty(&local)?;
    let draft = dir.join("local-run.json.draft");
    std::fs::write(&draft, text)?;
    std::fs::rename(draft, dir.join(RUN_FILE))?;
    steps.say("ready")?;
    Ok(())
}

impl Installed {
    fn empty() -> Self {
        let none = String::new;
        Self {
            webhook_url: none(),
            status_queue_url: none(),
            events_lost_queue_url: none(),
            state_machine_arn: none(),
            table_name: none(),
            event_bus_name: none(),
            buckets: super::Buckets {
                artifacts: none(),
                audit: none(),
                state: none(),
                access_logs: none(),
            },
            secret_arns: super::SecretArns { git: none() },
            repositories: BTreeMap::new(),
            functions: BTreeMap::new(),
            log_groups: BTreeMap::new(),
        }
    }
}

/// Returns a free port. The emulator binds it shortly afterwards, and exits with a message if another
/// process has taken it.
fn free_port() -> anyhow::Result<u16> {
    Ok(StdListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn start_emulator(
    machine: &Machine,
    order: &Order,
    tmp: &Path,
    (port, instance): (u16, &str),
    batch: &str,
    codebuild: &str,
    engine: Option<&Engine>,
) -> anyhow::Result<Child> {
    let log = std::fs::File::create(order.dir.join("emulator.log"))?;
    let mut command = Command::new(&machine.python);
    command
        .args(["-m", "sluicegate_emulator"])
        .env_clear()
        .env("PATH", &machine.path)
        .env("HOME", tmp)
        .env("TMPDIR", tmp)
        .env("PYTHONPATH", machine.root.join("crates/local/launcher"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_REGION", REGION)
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ENDPOINT_URL_BATCH", batch)
        .env("AWS_ENDPOINT_URL_CODEBUILD", codebuild)
        .env("IOT_MTLS_ENABLED", "0")
        .env("LAMBDA_EXECUTOR", "local")
        .env("SLUICEGATE_INSTANCE", instance)
        // The emulator ends with this process, however this process ends.
        .env("SLUICEGATE_OWNED", "1")
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    let none = "unix:///nonexistent/docker.sock";
    let address = engine.map_or(none, |engine| engine.address.as_str());
    command.env("DOCKER_HOST", address);
    if order.faults == Faults::OnOrder {
        command.env("SLUICEGATE_FAULTS", "1");
    }
    Ok(process::spawn(&mut command)?)
}

async fn wait_for_emulator(child: &mut Child, endpoint: &str, dir: &Path) -> anyhow::Result<()> {
    let health = format!("{endpoint}/_ministack/health");
    let log = dir.join("emulator.log");
    for _ in 0..300 {
        if let Some(status) = child.try_wait()? {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("the emulator ended ({status}):\n{said}");
        }
        if http::get(&health, Duration::from_secs(1))
            .await
            .is_ok_and(|a| a.status == 200)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!(
        "the emulator did not answer within 30 s; see {}",
        log.display()
    )
}

/// Links the Lambdas' zips to the place from which Terraform reads them.
fn link_functions(machine: &Machine, dir: &Path) -> anyhow::Result<PathBuf> {
    let artifacts = dir.join("artifacts");
    std::fs::create_dir_all(&artifacts)?;
    for name in Step::ALL.map(Step::as_str) {
        let zip = machine
            .target
            .join("lambda")
            .join(name)
            .join("bootstrap.zip");
        std::fs::copy(&zip, artifacts.join(format!("{name}.zip"))).with_context(|| {
            format!(
                "{} is missing; build it with scripts/build-lambdas.sh local",
                zip.display()
            )
        })?;
    }
    Ok(artifacts)
}

/// Returns the function URL at this machine's address. The AWS name in it does not resolve.
fn local_function_url(endpoint: &str, url: &str) -> anyhow::Result<String> {
    let id = url
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .split('.')
        .next()
        .filter(|id| !id.is_empty())
        .with_context(|| format!("{url} is not a function URL"))?;
    Ok(format!("{endpoint}/_aws/lambda-url/{id}/"))
}

async fn fill_secrets(local: &LocalRun) -> anyhow::Result<()> {
    let webhook = serde_json::json!({ "current": local.secrets.webhook }).to_string();
    let git = serde_json::json!({ "token": local.secrets.token }).to_string();
    let installed = &local.installed;
    let webhooks = installed.repositories.values();
    let webhooks = webhooks.map(|enrolled| (&enrolled.webhook_secret_arn, &webhook));
    for (arn, value) in webhooks.chain([(&installed.secret_arns.git, &git)]) {
        let call = http::JsonCall {
            endpoint: &local.endpoint,
            region: REGION,
            service: "secretsmanager",
            target: "secretsmanager.PutSecretValue",
        };
        let token = uuid::Uuid::new_v4().to_string();
        let body = serde_json::json!({
            "SecretId": arn, "SecretString": value, "ClientRequestToken": token,
        });
        let answer = call.post(&body, Duration::from_secs(10)).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("put secret {arn}: {error}"))?;
        if answer.status != 200 {
            bail!("put secret {arn}: {answer:?}");
        }
    }
    Ok(())
}

async fn take_down(held: Held) {
    let Held {
        registry: _,
        mut emulator,
        batch,
        codebuild,
        github,
    } = held;
    // Jobs first: they use the emulator until they end.
    batch.shutdown().await;
    codebuild.shutdown().await;
    github.shutdown().await;
    if let Some(pid) = emulator.id().and_then(|pid| i32::try_from(pid).ok()) {
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
    }
    if tokio::time::timeout(Duration::from_secs(40), emulator.wait())
        .await
        .is_err()
    {
        emulator.kill().await.ok();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn broken(text: &str) -> anyhow::Error {
        anyhow::anyhow!("{text}")
    }

    #[test]
    fn images_that_cannot_be_removed_hide_nothing_and_keep_nothing() {
        let runs = tempfile::tempdir().unwrap();
        let dir = runs.path().join("runs/demo-1");
        let image = || Err(broken("docker rmi: no space left"));

        std::fs::create_dir_all(&dir).unwrap();
        let error = close(Err(broken("terraform apply failed")), image(), &dir).unwrap_err();
        assert_eq!(error.to_string(), "terraform apply failed");
        assert!(dir.exists(), "its logs are for whoever reads the error");

        let error = close(Ok(End::Orphaned), image(), &dir).unwrap_err();
        assert_eq!(error.to_string(), "docker rmi: no space left");
        assert!(!runs.path().join("runs").exists());

        let asked = close(Ok(End::Asked), image(), &dir).unwrap_err();
        assert_eq!(asked.to_string(), "docker rmi: no space left");
        close(Ok(End::Asked), Ok(()), &dir).unwrap();
    }
}
