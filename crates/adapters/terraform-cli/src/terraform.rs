//! The Terraform commands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::outputs::Outputs;
use domain::plan::{NotJudged, ShownPlan};
use serde::Deserialize;

use crate::cancel::Cancel;
use crate::diagnostic::{Diagnostic, LockInfo, RawDiagnostic};
use crate::environment::Environment;
use crate::error::{Error, Failure, Interruption};
use crate::handshake;
use crate::process::{self, Ended, Stdout};
use crate::provider::{Provider, ProviderCommand, ProviderError};
use crate::state::{self, State};
use crate::ui::{Event, Line, Source, Transcript, parse_line};
use crate::version::Version;

/// The grace period between SIGTERM and SIGKILL. AWS Batch stops a container 30 s after SIGTERM,
/// and the rest is needed to upload the results.
const GRACE: Duration = Duration::from_secs(25);

type OnLine = Arc<dyn Fn(&Line<'_>) + Send + Sync>;
type Mask = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Runs Terraform in one directory, with one environment. Cheap to clone.
#[derive(Clone)]
pub struct Terraform {
    binary: PathBuf,
    workdir: PathBuf,
    environment: Environment,
    cancel: Cancel,
    grace: Duration,
    on_line: OnLine,
    mask: Mask,
}

impl std::fmt::Debug for Terraform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terraform")
            .field("binary", &self.binary)
            .field("workdir", &self.workdir)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// Where `init` finds the modules that are not in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModuleSource {
    /// It fetches them.
    #[default]
    Fetched,
    /// They and the list of modules are installed. It fetches none, and fails if one is missing.
    Installed,
}

/// What `init` does with a lock file that lacks a provider, or has one that is not required.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockFile {
    /// It fails.
    #[default]
    ReadOnly,
    /// It selects a version and adds the provider, or removes the one that is not required.
    Completed,
}

/// The options of `init`.
#[derive(Clone, Debug, Default)]
pub struct InitOptions {
    /// Values for a partial backend block, as `-backend-config=key=value`.
    pub backend_config: Vec<(String, String)>,
    /// False for `-backend=false`, which is sufficient for `validate`.
    pub backend: bool,
    /// The source address of a provider that is neither installed nor verified, because the caller has
    /// verified its package and all later commands use a running one ([`Terraform::with_provider`]).
    pub running: Option<String>,
    /// Where the modules are.
    pub modules: ModuleSource,
    /// What becomes of an incomplete lock file.
    pub lock: LockFile,
}

/// The options of `plan`.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// The path of the plan file.
    pub out: PathBuf,
    /// The variable files.
    pub var_files: Vec<PathBuf>,
    /// True for `-destroy`, which plans to destroy all resources.
    pub destroy: bool,
}

/// The report of a plan.
#[derive(Clone, Debug)]
pub struct PlanReport {
    /// Whether the plan changes resources or outputs, or reads data sources (`-detailed-exitcode`).
    pub has_changes: bool,
    /// The messages.
    pub transcript: Transcript,
}

/// The report of an apply, whether it succeeded or failed.
#[derive(Debug)]
pub struct ApplyReport {
    /// The messages: what was done, what failed, and what is unknown.
    pub transcript: Transcript,
    /// The end of the command.
    pub end: Result<(), Error>,
}

/// The result of `terraform version`.
#[derive(Clone, Debug)]
pub struct VersionReport {
    /// The version, at least [`crate::MINIMUM`].
    pub version: Version,
    /// The platform, such as `linux_amd64`.
    pub platform: String,
}

#[derive(Deserialize)]
struct RawVersion {
    terraform_version: String,
    #[serde(default)]
    platform: String,
}

#[derive(Deserialize)]
struct RawValidation {
    #[serde(default)]
    diagnostics: Vec<RawDiagnostic>,
}

/// A command that has ended, before its exit code is checked.
struct Ran {
    command: &'static str,
    ended: Ended,
    transcript: Transcript,
}

impl Terraform {
    /// Creates a driver for `binary` that works in `workdir`. `binary` is an absolute path, or a
    /// name on the PATH of `environment`.
    #[must_use]
    pub fn new(
        binary: impl Into<PathBuf>,
        workdir: impl Into<PathBuf>,
        environment: Environment,
    ) -> Self {
        Self {
            binary: binary.into(),
            workdir: workdir.into(),
            environment,
            cancel: Cancel::never(),
            grace: GRACE,
            on_line: Arc::new(|_| {}),
            mask: Arc::new(str::to_owned),
        }
    }

    /// Stops the running command when `cancel` requests it: one SIGTERM to Terraform, and after
    /// `grace` a SIGKILL to its process group. Later commands do not start.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: Cancel, grace: Duration) -> Self {
        self.cancel = cancel;
        self.grace = grace;
        self
    }

    /// Has the commands use a provider that runs, instead of starting it. Not for `init`: see
    /// [`InitOptions::running`].
    #[must_use]
    pub fn with_provider(mut self, provider: &Provider) -> Self {
        self.environment = self.environment.with_running_provider(provider.reattach());
        self
    }

    /// Starts a provider with the working directory and the environment of the commands.
    ///
    /// # Errors
    /// [`ProviderError`]; no process is left.
    pub async fn start_provider(
        &self,
        source: &str,
        binary: &Path,
        limit: Duration,
    ) -> Result<Provider, ProviderError> {
        let command = ProviderCommand {
            source,
            binary,
            dir: &self.workdir,
            environment: &self.environment,
            limit,
        };
        Provider::start(command, &self.cancel).await
    }

    /// Calls `on_line` with each line of the commands that stream (`init`, `plan`, `apply`), and
    /// with standard error of all commands. Never passes the standard output of other commands,
    /// such as `show` and `output`.
    #[must_use]
    pub fn on_line(mut self, on_line: impl Fn(&Line<'_>) + Send + Sync + 'static) -> Self {
        self.on_line = Arc::new(on_line);
        self
    }

    /// Passes the texts of all diagnostics through `mask`, before anything shortens or quotes them. The
    /// lines of [`Self::on_line`] are as Terraform wrote them.
    #[must_use]
    pub fn masked_by(mut self, mask: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.mask = Arc::new(mask);
        self
    }

    /// Returns the version. Fails if it is older than [`crate::MINIMUM`].
    ///
    /// # Errors
    /// [`Error::TooOld`], and the errors of starting a command.
    pub async fn version(&self) -> Result<VersionReport, Error> {
        let ran = self
            .run("version", ["version", "-json"], Stdout::Capture)
            .await?
            .success()?;
        let raw: RawVersion = ran.json()?;
        let version = Version::parse(&raw.terraform_version).ok_or_else(|| Error::Unreadable {
            command: "version",
            what: raw.terraform_version.clone(),
        })?;
        if !version.is_enough() {
            return Err(Error::TooOld { found: version });
        }
        Ok(VersionReport {
            version,
            platform: raw.platform,
        })
    }

    /// Runs `init`. Installs the providers, which is its slowest part: Terraform computes the hash of
    /// each package twice.
    ///
    /// # Errors
    /// The errors of the command.
    pub async fn init(&self, options: &InitOptions) -> Result<Transcript, Error> {
        let mut args: Vec<OsString> = ["init", "-json", "-input=false", "-no-color"]
            .map(OsString::from)
            .into();
        if options.lock == LockFile::ReadOnly {
            args.push("-lockfile=readonly".into());
        }
        if !options.backend {
            args.push("-backend=false".into());
        }
        if options.modules == ModuleSource::Installed {
            args.push("-get=false".into());
        }
        for (key, value) in &options.backend_config {
            args.push(format!("-backend-config={key}={value}").into());
        }
        let mut terraform = self.clone();
        if let Some(source) = &options.running {
            let value = handshake::not_installed(source);
            terraform.environment = terraform.environment.with_running_provider(value);
        }
        Ok(terraform
            .run("init", args, Stdout::Lines)
            .await?
            .success()?
            .transcript)
    }

    /// Returns the files below the directory that are not formatted.
    ///
    /// # Errors
    /// The errors of the command. A file that cannot be parsed is a failure.
    pub async fn fmt_check(&self) -> Result<Vec<String>, Error> {
        let args = ["fmt", "-check", "-recursive", "-list=true", "-no-color"];
        let ran = self.run("fmt", args, Stdout::Capture).await?;
        if ran.ended.status.code() == Some(3) && !ran.ended.asked {
            let text = String::from_utf8_lossy(&ran.ended.captured);
            return Ok(text.lines().map(str::to_owned).collect());
        }
        ran.success().map(|_| Vec::new())
    }

    /// Validates the configuration, without the state or any API.
    ///
    /// # Errors
    /// The errors of the command. A configuration that is not valid is a failure.
    pub async fn validate(&self) -> Result<Transcript, Error> {
        let args = ["validate", "-json", "-no-color"];
        let mut ran = self.run("validate", args, Stdout::Capture).await?;
        match ran.json::<RawValidation>() {
            Ok(raw) => {
                for raw in raw.diagnostics {
                    let mut found = Diagnostic::from(raw);
                    found.mask(&*self.mask);
                    ran.transcript.diagnostics.push(found);
                }
                Ok(ran.success()?.transcript)
            }
            Err(unreadable) => {
                ran.success()?;
                Err(unreadable)
            }
        }
    }

    /// Creates a plan file. Does not lock the state. [`Self::apply`] does, and refuses a plan of
    /// another state.
    ///
    /// # Errors
    /// The errors of the command.
    pub async fn plan(&self, options: &PlanOptions) -> Result<PlanReport, Error> {
        let mut args: Vec<OsString> = [
            "plan",
            "-json",
            "-input=false",
            "-lock=false",
            "-detailed-exitcode",
        ]
        .map(OsString::from)
        .into();
        args.push(joined("-out=", &options.out));
        args.extend(
            options
                .var_files
                .iter()
                .map(|file| joined("-var-file=", file)),
        );
        if options.destroy {
            args.push("-destroy".into());
        }
        let ran = self.run("plan", args, Stdout::Lines).await?;
        let has_changes = ran.ended.status.code() == Some(2);
        if has_changes {
            return Ok(PlanReport {
                has_changes,
                transcript: ran.transcript,
            });
        }
        Ok(PlanReport {
            has_changes,
            transcript: ran.success()?.transcript,
        })
    }

    /// Returns the plan file as JSON, which contains values in clear text and must be stored
    /// encrypted, and the part of it that the pipeline uses.
    ///
    /// # Errors
    /// The errors of the command, and [`Error::Plan`].
    pub async fn show(&self, plan: &Path) -> Result<(Vec<u8>, ShownPlan), Error> {
        let args = [OsString::from("show"), "-json".into(), plan.into()];
        let ran = match self.run("show", args, Stdout::Plan).await {
            Err(Error::TooLong { .. }) => return Err(NotJudged::TooLarge.into()),
            ran => ran?.success()?,
        };
        let shown = ShownPlan::parse(&ran.ended.captured)?;
        Ok((ran.ended.captured, shown))
    }

    /// Applies this plan file. `var_file` has the values of the ephemeral variables, which the plan
    /// file does not have. Other values in it must be those of the plan.
    ///
    /// # Errors
    /// Only the errors of starting the command. The report contains the end of the command.
    pub async fn apply(&self, plan: &Path, var_file: Option<&Path>) -> Result<ApplyReport, Error> {
        let mut args: Vec<OsString> = ["apply", "-json", "-input=false"]
            .map(OsString::from)
            .into();
        args.extend(var_file.map(|file| joined("-var-file=", file)));
        args.push(plan.into());
        let ran = self.run("apply", args, Stdout::Lines).await?;
        let transcript = ran.transcript.clone();
        Ok(ApplyReport {
            transcript,
            end: ran.success().map(|_| ()),
        })
    }

    /// Returns all outputs, sensitive ones in clear text.
    ///
    /// # Errors
    /// The errors of the command, and [`Error::Unreadable`].
    pub async fn output(&self) -> Result<Outputs, Error> {
        let args = ["output", "-json", "-no-color"];
        self.run("output", args, Stdout::Capture)
            .await?
            .success()?
            .json()
    }

    /// Returns the objects and providers in the stack's state. Starts no provider. Needs an
    /// initialized backend, but no installed provider.
    ///
    /// # Errors
    /// The errors of the command, and [`Error::Unreadable`].
    pub async fn state(&self) -> Result<State, Error> {
        let args = ["state", "pull"];
        let ran = self.run("state pull", args, Stdout::Capture).await?;
        state::parse(&ran.success()?.ended.captured)
    }

    /// Writes a state file as the stack's state. Terraform refuses a state of another lineage, and one
    /// that is older than the stack's.
    ///
    /// # Errors
    /// The errors of the command.
    pub async fn push_state(&self, file: &Path) -> Result<(), Error> {
        let args = [OsString::from("state"), "push".into(), file.into()];
        let ran = self.run("state push", args, Stdout::Capture).await?;
        ran.success().map(|_| ())
    }

    async fn run(
        &self,
        command: &'static str,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        stdout: Stdout,
    ) -> Result<Ran, Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted(Interruption {
                command,
                asked: true,
                killed: false,
                diagnostics: Vec::new(),
            }));
        }
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        tracing::debug!(command, dir = %self.workdir.display(), "terraform starts");
        let mut transcript = Transcript::default();
        let job = process::Job {
            binary: &self.binary,
            args: &args,
            dir: &self.workdir,
            environment: &self.environment,
            cancel: &self.cancel,
            grace: self.grace,
            stdout,
        };
        let mut ended = process::run(job, |source, text| {
            let mut event = match source {
                Source::Stdout => parse_line(text),
                Source::Stderr => Event::Text(text.to_owned()),
            };
            if let Event::Diagnostic(found) = &mut event {
                found.mask(&*self.mask);
            }
            transcript.record(&event);
            (self.on_line)(&Line {
                command,
                source,
                text,
                event: &event,
            });
        })
        .await?;
        ended.stderr = (self.mask)(&ended.stderr);
        tracing::debug!(command, status = %ended.status, "terraform ended");
        Ok(Ran {
            command,
            ended,
            transcript,
        })
    }
}

impl Ran {
    /// Returns the command if it succeeded, and otherwise the error that describes its end best.
    fn success(self) -> Result<Self, Error> {
        let Some(code) = self.ended.status.code() else {
            // A signal ended Terraform: the SIGKILL after the grace period, or one from outside.
            return Err(self.interrupted(true));
        };
        if code == 0 {
            // A stop was requested, but the command has completed, which takes precedence.
            return Ok(self);
        }
        if self.ended.asked {
            let killed = self.ended.killed;
            return Err(self.interrupted(killed));
        }
        let command = self.command;
        let mut diagnostics = self.transcript.diagnostics;
        if !diagnostics.iter().any(Diagnostic::is_error) && !self.ended.stderr.trim().is_empty() {
            diagnostics.push(Diagnostic::from_text(&self.ended.stderr));
        }
        if diagnostics
            .iter()
            .any(|found| found.summary == "Saved plan is stale")
        {
            return Err(Error::StalePlan { diagnostics });
        }
        if let Some(lock) = diagnostics
            .iter()
            .filter(|found| found.summary.contains("acquiring the state lock"))
            .find_map(|found| LockInfo::parse(&found.detail))
        {
            return Err(Error::StateLocked {
                lock: Box::new(lock),
            });
        }
        Err(Error::Failed(Failure {
            command,
            code,
            diagnostics,
        }))
    }

    fn interrupted(self, killed: bool) -> Error {
        Error::Interrupted(Interruption {
            command: self.command,
            asked: self.ended.asked,
            killed,
            diagnostics: self.transcript.diagnostics,
        })
    }

    fn json<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.ended.captured).map_err(|error| Error::Unreadable {
            command: self.command,
            // Only the position, because the text of the error may quote a value.
            what: format!(
                "no JSON of the known shape (line {}, column {})",
                error.line(),
                error.column()
            ),
        })
    }
}

fn joined(flag: &str, path: &Path) -> OsString {
    let mut text = OsString::from(flag);
    text.push(path);
    text
}
