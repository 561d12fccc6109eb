//! The work of a job, from its spec to its outcome.

mod commands;
mod init;
mod rescue;
mod validate;

use std::path::{Path, PathBuf};

use domain::config::{CONFIG_FILE, Stack};
use domain::error::{ErrorName, StepError};
use domain::ids::Sha256Digest;
use domain::job::{JobOutcome, JobSpec, Verb};
use domain::json;
use domain::keys::JobFile;
use domain::outputs::Outputs;
use domain::plan::{ObjectRef, PlanKind, SealedPlan, ShownPlan, SideEffects};
use domain::source_rules::{self, OVERRIDE_FILE, hcl::Facts};
use domain::warning::Warnings;
use terraform_cli::{Cancel, Environment, PlanOptions, Terraform, Transcript};
use tokio::sync::OnceCell;

use crate::inputs::{self, Inputs, Wanted};
use crate::job::{JobContext, Request, job_key};
use crate::marks::Marks;
use crate::outcome::{self, Stop};
use crate::warm::Origin;
use crate::workspace::Workspace;
use crate::{archive, outputs, source, stack, undo};
use commands::Commands;
use init::Dependencies;
use rescue::Rescue;

/// The largest source archive, in bytes.
const MAX_ARCHIVE: usize = 256 * 1024 * 1024;

/// A job whose source is unpacked and checked.
pub(crate) struct Prepared<'a> {
    request: &'a Request,
    context: &'a JobContext,
    spec: &'a JobSpec,
    workspace: Workspace,
    dir: PathBuf,
    terraform: Terraform,
    facts: Facts,
    inputs: Inputs,
    dependencies: Dependencies,
}

impl<'a> Prepared<'a> {
    /// Fetches, unpacks and checks the source, and writes the files that Terraform needs.
    pub(crate) async fn new(
        request: &'a Request,
        context: &'a JobContext,
        spec: &'a JobSpec,
        cancel: Cancel,
    ) -> Result<Self, Stop> {
        context.log.step(&format!(
            "{} stack {} of {} at {}",
            spec.verb.as_str(),
            spec.stack,
            spec.repository,
            spec.commit
        ));
        let bytes = fetch(context, &spec.source, "the source archive").await?;
        if bytes.len() > MAX_ARCHIVE {
            let message = format!(
                "the source archive has {} bytes, at most {MAX_ARCHIVE} are taken",
                bytes.len()
            );
            return Err(StepError::new(ErrorName::SourceRefused, message).into());
        }
        let inputs = inputs::read(context, spec).await?;
        let workspace = Workspace::create(&context.settings.temp, spec)
            .map_err(|error| internal("make the working directory", &error))?;
        archive::unpack(&bytes, &workspace.source(), &archive::LIMITS)?;
        let facts = check_source(&workspace.source(), spec)?;
        let dir = workspace.source().join(&spec.dir);
        let dependencies = Dependencies::take(context, spec, &workspace, &dir).await?;

        let home = workspace.home();
        let config = home.join("terraform.rc");
        let text = terraform_cli::cli_config(context.settings.mirror.as_deref())
            .map_err(|error| StepError::new(ErrorName::SettingsInvalid, error.to_string()))?;
        std::fs::write(&config, text).map_err(|error| internal("write the CLI config", &error))?;
        let backend = stack::backend_override(&spec.backend, context.settings.path_style());
        std::fs::write(dir.join(OVERRIDE_FILE), backend.to_string())
            .map_err(|error| internal("write the backend override", &error))?;

        let environment = Environment::scrubbed(context.settings.variables.clone(), &home, &config)
            .with_default_tag("sluicegate_repository", spec.repository.as_str())
            .with_default_tag("sluicegate_environment", spec.environment.as_str())
            .with_default_tag("sluicegate_stack", spec.stack.as_str());
        let (log, mask) = (context.log.clone(), context.log.clone());
        let terraform = Terraform::new(&context.settings.terraform, &dir, environment)
            .cancelled_by(cancel, context.grace)
            .on_line(move |line| log.terraform(line))
            .masked_by(move |text| mask.clean(text));
        Ok(Self {
            request,
            context,
            spec,
            workspace,
            dir,
            terraform,
            facts,
            inputs,
            dependencies,
        })
    }

    /// Runs `init`, checks the backend, and runs the verb.
    pub(crate) async fn execute(&self) -> Result<JobOutcome, Stop> {
        let found = self.terraform.version().await;
        let found = found.map_err(|error| self.stop(&error))?;
        self.step(&format!(
            "terraform {} on {}",
            found.version, found.platform
        ));
        let origin = Origin {
            stack: &self.dir,
            mirror: self.context.settings.mirror.as_deref(),
            platform: &found.platform,
            kind: self.spec.plan_kind,
        };
        let format = async {
            match (self.spec.verb, &self.spec.undo) {
                (Verb::Plan | Verb::Validate, None) => self.check_format().await,
                // A rollback does not depend on how this version of Terraform formats.
                (Verb::Plan | Verb::Validate, Some(_)) | (Verb::Apply, _) => Ok(()),
            }
        };
        // The errors of `init` precede those of the format.
        let (warm, format) =
            tokio::try_join!(self.initialize(&origin), async { Ok(format.await) })?;
        self.check_backend()?;
        format?;
        let commands = Commands {
            prepared: self,
            warm,
            cold: OnceCell::new(),
        };
        let outcome = match self.spec.verb {
            Verb::Plan => self.plan(&commands).await,
            Verb::Validate => self.validate(&commands).await,
            Verb::Apply => self.apply(&commands).await,
        };
        commands.end().await;
        outcome
    }

    /// Converts the error of a command that jobs of all verbs run before their own.
    fn stop(&self, error: &terraform_cli::Error) -> Stop {
        let otherwise = match self.spec.verb {
            Verb::Plan | Verb::Validate => ErrorName::PlanFailed,
            Verb::Apply => ErrorName::ApplyFailed,
        };
        Stop::of(error, otherwise)
    }

    async fn check_format(&self) -> Result<(), Stop> {
        let planning = |error: terraform_cli::Error| Stop::of(&error, ErrorName::PlanFailed);
        let unformatted = self.terraform.fmt_check().await.map_err(planning)?;
        if unformatted.is_empty() {
            return Ok(());
        }
        let message = format!(
            "{:?}: {} not formatted; run `terraform fmt -recursive` there, push",
            self.spec.dir,
            if unformatted.len() == 1 {
                "a file is".to_owned()
            } else {
                format!("{} files are", unformatted.len())
            }
        );
        let diagnostics = unformatted
            .iter()
            .take(10)
            .map(|file| format!("{file}: not formatted"))
            .collect();
        let error = StepError::new(ErrorName::PlanFailed, message);
        Err(Stop {
            error,
            side_effects: SideEffects::None,
            diagnostics,
        })
    }

    async fn plan(&self, commands: &Commands<'_>) -> Result<JobOutcome, Stop> {
        let found = match &self.spec.undo {
            Some(undone) => {
                let (context, dir) = (self.context, &self.dir);
                let terraform = commands.terraform().await?;
                Some(undo::prepare(context, self.spec, undone, &terraform, dir).await?)
            }
            None => None,
        };
        // Before the plan, which may run code of the repository.
        let packed = self.pack_dependencies()?;
        let notes = self.dependency_warnings();
        let file = self.workspace.home().join("plan.tfplan");
        let (shown, mut sealed, warnings) = self.make_plan(commands, &file).await?;
        if let Some(packed) = packed {
            sealed.dependencies = Some(self.seal_dependencies(packed).await?);
        }
        if let Some(found) = &found
            && !found.state.is_version(&sealed.state)
        {
            let message = format!(
                "the state changed while its rollback was planned, from serial {} to {}",
                found.state.serial, sealed.state.serial
            );
            return Err(StepError::new(ErrorName::StalePlan, message).into());
        }
        // Without changes nothing is applied, so the current outputs are the outputs of the stack.
        // The exit code of Terraform is not sufficient: it also reports changes if only data
        // sources are to be read.
        let outputs = if shown.summary.is_empty() {
            let declared = shown.declared_outputs;
            Some(self.upload_outputs(shown.prior_outputs, declared).await?)
        } else {
            None
        };
        let (made, unrecorded) = found
            .map(|found| found.known(&shown.summary))
            .unwrap_or_default();
        Ok(JobOutcome::Planned {
            plan: sealed.file,
            json: sealed.json,
            state: sealed.state,
            dependencies: sealed.dependencies,
            outputs,
            warnings: warnings.and(notes),
            made,
            unrecorded,
        })
    }

    /// Plans into `file`, and uploads the plan and its JSON.
    async fn make_plan(
        &self,
        commands: &Commands<'_>,
        file: &Path,
    ) -> Result<(ShownPlan, SealedPlan, Warnings), Stop> {
        let planning = |error: terraform_cli::Error| Stop::of(&error, ErrorName::PlanFailed);
        let options = PlanOptions {
            out: file.to_owned(),
            var_files: self.write_variables(Wanted::All)?.into_iter().collect(),
            destroy: self.spec.plan_kind == PlanKind::Destroy,
        };
        self.step(match self.spec.plan_kind {
            PlanKind::Normal => "plan",
            PlanKind::Destroy => "plan -destroy",
        });
        let marks = Marks::new(&self.inputs, &self.facts);
        let plan = async || Ok(commands.terraform().await?.plan(&options).await);
        let planned = marks.plan(&self.dir, &self.context.log, plan).await?;
        commands.explain(planned.as_ref().err()).await;
        let planned = planned.map_err(|error| {
            let name = match &self.spec.undo {
                Some(_) => undo::plan_error(&error),
                None => ErrorName::PlanFailed,
            };
            Stop::of(&error, name).with_hint(marks.hint(&error))
        })?;
        let warnings = self.warnings(&planned.transcript);
        let state = terraform_cli::state_version(file).map_err(planning)?;
        self.step("show");
        let terraform = commands.terraform().await?;
        let (json, shown) = terraform.show(file).await.map_err(planning)?;
        let bytes = std::fs::read(file).map_err(|error| internal("read the plan", &error))?;
        let file = self.upload(JobFile::Plan, bytes).await?;
        let json = self.upload(JobFile::PlanJson, json).await?;
        let sealed = SealedPlan {
            file,
            json,
            state,
            dependencies: None,
        };
        Ok((shown, sealed, warnings))
    }

    /// Returns the warnings of a command, without secrets.
    fn warnings(&self, transcript: &Transcript) -> Warnings {
        outcome::warnings(transcript, |text| self.context.log.clean(text))
    }

    /// Writes the variable file. Returns none if it would have no values.
    fn write_variables(&self, wanted: Wanted) -> Result<Option<PathBuf>, Stop> {
        let file = inputs::file(self.spec, &self.inputs, &self.facts, wanted);
        let path = file.write(&self.workspace.home(), &self.context.log);
        Ok(path.map_err(|error| internal("write the variables", &error))?)
    }

    async fn apply(&self, commands: &Commands<'_>) -> Result<JobOutcome, Stop> {
        let Some(sealed) = &self.spec.plan else {
            let message = "the job spec of an apply names no plan".to_owned();
            return Err(StepError::new(ErrorName::ContractViolation, message).into());
        };
        let bytes = fetch(self.context, &sealed.file, "the plan file").await?;
        let file = self.workspace.home().join("plan.tfplan");
        std::fs::write(&file, bytes).map_err(|error| internal("write the plan", &error))?;
        let state = terraform_cli::state_version(&file)
            .map_err(|error| Stop::of(&error, ErrorName::ApplyFailed))?;
        if state != sealed.state {
            let message = format!(
                "{}: it was made from state serial {} (lineage {:?}), the job spec says serial {} (lineage {:?})",
                sealed.file.key,
                state.serial,
                state.lineage,
                sealed.state.serial,
                sealed.state.lineage
            );
            return Err(StepError::new(ErrorName::PlanTampered, message).into());
        }
        let shown = self.check_judged(commands, &file, sealed).await?;
        self.apply_file(commands, &file, shown).await
    }

    /// Renders the plan file again and compares it with the JSON that the verdict was computed from.
    ///
    /// # Errors
    /// `PlanTampered` if they differ: the verdict was about another plan. `ApplyFailed` if terraform
    /// cannot render the plan.
    async fn check_judged(
        &self,
        commands: &Commands<'_>,
        file: &Path,
        sealed: &SealedPlan,
    ) -> Result<ShownPlan, Stop> {
        self.step("show");
        let (json, shown) = commands
            .terraform()
            .await?
            .show(file)
            .await
            .map_err(|error| Stop::of(&error, ErrorName::ApplyFailed))?;
        if Sha256Digest::of(&json) == sealed.json.sha256 {
            return Ok(shown);
        }
        let message = format!(
            "{} does not render as {}, which the verdict was computed from; nothing was applied",
            sealed.file.key, sealed.json.key
        );
        Err(StepError::new(ErrorName::PlanTampered, message).into())
    }

    /// Applies a plan file. An apply that succeeds carries out all changes that were shown.
    async fn apply_file(
        &self,
        commands: &Commands<'_>,
        file: &Path,
        shown: ShownPlan,
    ) -> Result<JobOutcome, Stop> {
        let variables = self.write_variables(Wanted::Ephemeral)?;
        self.step("apply");
        let report = commands
            .terraform()
            .await?
            .apply(file, variables.as_deref())
            .await
            .map_err(|error| Stop::of_start(&error))?;
        if let Err(error) = report.end {
            commands.explain(Some(&error)).await;
            let mut stop = Stop::of_apply(&error, &report.transcript)
                .with_lock_age(&error, self.context.clock.now());
            let rescue = self.rescue_state(&mut stop).await;
            if rescue == Rescue::Nothing || !outcome::only_the_state_failed(&error) {
                return Err(stop);
            }
            self.step("the job has written the state, so nothing of the apply failed");
        }
        let warnings = self.warnings(&report.transcript);
        let changed = |mut stop: Stop| {
            stop.side_effects = SideEffects::Possible;
            stop
        };
        self.step("output");
        // The apply has ended: a stop that comes now must not hide its result.
        let terraform = commands
            .running()
            .unwrap_or_else(|| self.terraform.clone())
            .cancelled_by(Cancel::never(), self.context.grace);
        let outputs = terraform
            .output()
            .await
            .map_err(|error| changed(Stop::of(&error, ErrorName::ApplyFailed)))?;
        let outputs = self.upload_outputs(outputs, shown.declared_outputs).await;
        let outputs = outputs.map_err(changed)?;
        Ok(JobOutcome::Applied { outputs, warnings })
    }

    /// Uploads the outputs in a state, with those of the configuration that are `null`.
    async fn upload_outputs(&self, found: Outputs, declared: Outputs) -> Result<ObjectRef, Stop> {
        let kind = self.spec.plan_kind;
        let outputs = outputs::complete(kind, found, declared, &self.context.log);
        let bytes = json::to_bytes("the outputs", &outputs).map_err(StepError::from)?;
        self.upload(JobFile::Outputs, bytes).await
    }

    async fn upload(&self, file: JobFile, bytes: Vec<u8>) -> Result<ObjectRef, Stop> {
        let key = job_key(self.request, file);
        let sha256 = Sha256Digest::of(&bytes);
        self.context.objects.put(&key, bytes).await?;
        Ok(ObjectRef { key, sha256 })
    }

    fn step(&self, text: &str) {
        self.context.log.step(text);
    }
}

/// Reads an object, and checks its digest.
pub(crate) async fn fetch(
    context: &JobContext,
    object: &ObjectRef,
    what: &str,
) -> Result<Vec<u8>, Stop> {
    fetch_if_exists(context, object, what)
        .await?
        .ok_or_else(|| {
            let message = format!("{what} is not at {}; it may have expired", object.key);
            StepError::new(ErrorName::ContractViolation, message).into()
        })
}

/// Reads an object, and checks its digest. Returns `None` if it does not exist.
async fn fetch_if_exists(
    context: &JobContext,
    object: &ObjectRef,
    what: &str,
) -> Result<Option<Vec<u8>>, Stop> {
    let Some(bytes) = context.objects.get(&object.key).await? else {
        return Ok(None);
    };
    let found = Sha256Digest::of(&bytes);
    if found != object.sha256 {
        let message = format!(
            "{what} at {} has the digest {found}, the spec says {}",
            object.key, object.sha256
        );
        return Err(StepError::new(ErrorName::PlanTampered, message).into());
    }
    Ok(Some(bytes))
}

/// Checks the unpacked source, and that the job's stack is one of its stacks. Returns what the stack declares.
fn check_source(root: &Path, spec: &JobSpec) -> Result<Facts, Stop> {
    let files = source::read(root).map_err(|error| internal("read the source", &error))?;
    let config = source_rules::check(&files).map_err(|problems| problems.to_error())?;
    let is_known = |stack: &Stack| stack.name == spec.stack && stack.dir == spec.dir;
    if !config.stacks.iter().any(is_known) {
        let message = format!(
            "the job spec is for stack {} in {:?}, which the sealed {CONFIG_FILE} does not have",
            spec.stack, spec.dir
        );
        return Err(StepError::new(ErrorName::ContractViolation, message).into());
    }
    Ok(source_rules::facts(&files, &spec.dir))
}

pub(crate) fn internal(what: &str, error: &std::io::Error) -> StepError {
    StepError::new(ErrorName::Internal, format!("could not {what}: {error}"))
}
