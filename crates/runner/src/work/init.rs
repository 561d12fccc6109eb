//! Runs `init`, with the sealed dependencies of the stack if there are any.

use std::path::Path;

use domain::error::{ErrorName, StepError};
use domain::ids::Sha256Digest;
use domain::job::{JobSpec, Verb};
use domain::keys::JobFile;
use domain::plan::{ObjectRef, PlanKind};
use domain::source_rules::LOCK_FILE;
use domain::warning::{Warning, WarningKind};
use terraform_cli::{InitOptions, LockFile, ModuleSource};

use super::{Prepared, fetch, fetch_if_exists};
use crate::job::JobContext;
use crate::outcome::Stop;
use crate::undo::{self, Lock};
use crate::warm::{Candidate, Cold, Origin, SOURCE, Verification, Warm};
use crate::workspace::Workspace;
use crate::{dependencies, lock_file, stack};

/// The modules and the lock file of a job.
pub(super) struct Dependencies {
    /// The lock file of the source.
    own_lock: Option<Vec<u8>>,
    /// The sealed archive that the job unpacked.
    sealed: Option<ObjectRef>,
    /// Whether a sealed archive no longer exists.
    expired: bool,
}

impl Dependencies {
    /// Unpacks the sealed dependencies into the stack's directory. An apply has those of its plan, a
    /// rollback those of the last good run. If those have expired, the rollback resolves them again:
    /// a stack that is not restored is worse.
    pub(super) async fn take(
        context: &JobContext,
        spec: &JobSpec,
        workspace: &Workspace,
        dir: &Path,
    ) -> Result<Self, Stop> {
        const WHAT: &str = "the archive of the sealed modules";
        let own_lock = std::fs::read(dir.join(LOCK_FILE)).ok();
        let (object, bytes) = match (spec.verb, &spec.plan, &spec.dependencies) {
            (Verb::Apply, Some(plan), _) => match &plan.dependencies {
                Some(object) => (Some(object), Some(fetch(context, object, WHAT).await?)),
                None => (None, None),
            },
            (Verb::Plan | Verb::Validate, _, Some(object)) => {
                let found = fetch_if_exists(context, object, WHAT).await?;
                if found.is_none() {
                    context.log.step(&format!(
                        "the sealed modules at {} have expired: init fetches modules again",
                        object.key
                    ));
                }
                (Some(object), found)
            }
            (Verb::Apply, None, _) | (Verb::Plan | Verb::Validate, _, None) => (None, None),
        };
        let Some(bytes) = bytes else {
            return Ok(Self {
                own_lock,
                sealed: None,
                expired: object.is_some(),
            });
        };
        let scratch = workspace.home().join("dependencies");
        dependencies::unpack(&bytes, dir, &spec.dir, &scratch).map_err(|refusal| {
            let message = format!("{WHAT} cannot be used: {refusal}");
            StepError::new(ErrorName::PlanTampered, message)
        })?;
        Ok(Self {
            own_lock,
            sealed: object.cloned(),
            expired: false,
        })
    }
}

impl Prepared<'_> {
    /// Runs `init`, and starts the provider beside it. Returns the provider that the other commands
    /// share. Without one, `init` has installed it.
    ///
    /// `init` installs the provider if the runner cannot verify it alone. See [`Verification`].
    pub(super) async fn initialize(&self, origin: &Origin<'_>) -> Result<Option<Warm>, Stop> {
        self.step("init");
        let candidate = Candidate::find(origin);
        let by_runner = |one: &Candidate| one.verification() == Verification::ByRunner;
        let running = candidate
            .as_ref()
            .is_ok_and(by_runner)
            .then(|| SOURCE.to_owned());
        let installs = running.is_none();
        let start = async {
            Ok(match candidate {
                Ok(candidate) => Warm::start(&self.terraform, candidate).await,
                Err(cold) => Err(cold),
            })
        };
        // An init that fails ends the start of the provider.
        let ((), started) = tokio::try_join!(self.init(running), start)?;
        let refused = match started {
            Ok(warm) => match warm.confirm(&self.dir, origin.platform) {
                Ok(()) => {
                    self.step(&warm.describe());
                    return Ok(Some(warm));
                }
                Err(cold) => {
                    warm.end().await;
                    cold
                }
            },
            Err(cold) => cold,
        };
        if !matches!(refused, Cold::Unused) {
            self.step(&format!("each command starts the AWS provider: {refused}"));
        }
        if !installs {
            self.init(None).await?;
        }
        Ok(None)
    }

    /// Runs `init`. Does not install the provider `running`.
    pub(super) async fn init(&self, running: Option<String>) -> Result<(), Stop> {
        let options = InitOptions {
            backend: true,
            running,
            modules: match &self.dependencies.sealed {
                Some(_) if dependencies::has_modules(&self.dir) => ModuleSource::Installed,
                _ => ModuleSource::Fetched,
            },
            lock: LockFile::ReadOnly,
            ..InitOptions::default()
        };
        let mut initialized = self.terraform.init(&options).await;
        if let (Err(error), Some(undone)) = (&initialized, &self.spec.undo) {
            let (context, terraform) = (self.context, &self.terraform);
            let lock = undo::complete_lock(context, undone, error, terraform, &self.dir).await?;
            if lock == Lock::Completed {
                initialized = self.terraform.init(&options).await;
            }
        }
        // Not in an apply: it has the lock file of its plan.
        if let Err(error) = &initialized
            && self.spec.verb != Verb::Apply
            && undo::has_other_providers(error)
        {
            self.step(
                "the lock file does not have exactly the required providers: init changes it",
            );
            let completing = InitOptions {
                // A provider that init does not install would leave the lock file.
                running: None,
                lock: LockFile::Completed,
                ..options
            };
            initialized = self.terraform.init(&completing).await;
        }
        initialized.map_err(|error| self.stop(&error))?;
        Ok(())
    }

    /// Returns what a person should know about the dependencies of a plan.
    pub(super) fn dependency_warnings(&self) -> Vec<Warning> {
        let warning = |text: String| vec![Warning::new(WarningKind::Other, &text)];
        if self.dependencies.expired {
            return warning("the sealed modules have expired and were fetched again".to_owned());
        }
        // The lock file of an earlier commit was warned of in its own run.
        if self.spec.undo.is_some() || self.spec.plan_kind == PlanKind::Destroy {
            return Vec::new();
        }
        let own_lock = self.dependencies.own_lock.as_deref().unwrap_or_default();
        let lock = std::fs::read(self.dir.join(LOCK_FILE)).unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let added = lock_file::added(&text(own_lock), &text(&lock));
        if added.is_empty() {
            return Vec::new();
        }
        warning(format!(
            "{LOCK_FILE} lacks providers; run `terraform providers lock -platform=linux_amd64 -platform=linux_arm64`, commit it: {}",
            added.join(", ")
        ))
    }

    pub(super) fn check_backend(&self) -> Result<(), Stop> {
        let file = self.dir.join(".terraform/terraform.tfstate");
        let initialised = std::fs::read(file).unwrap_or_default();
        let path_style = self.context.settings.path_style();
        if stack::is_effective(&initialised, &self.spec.backend, path_style) {
            return Ok(());
        }
        let message = format!(
            "{:?}: terraform did not take the pipeline's backend; expected `terraform {{ backend \"s3\" {{}} }}` and no other backend in any file",
            self.spec.dir
        );
        Err(StepError::new(ErrorName::SourceRefused, message).into())
    }

    /// Packs the dependencies that the source archive does not hold.
    pub(super) fn pack_dependencies(&self) -> Result<Option<Vec<u8>>, Stop> {
        let own_lock = self.dependencies.own_lock.as_deref();
        Ok(dependencies::pack(&self.dir, &self.spec.dir, own_lock)?)
    }

    /// Uploads packed dependencies. Returns those that the job unpacked if they are the same.
    pub(super) async fn seal_dependencies(&self, packed: Vec<u8>) -> Result<ObjectRef, Stop> {
        let sealed = self.dependencies.sealed.as_ref();
        let sha256 = Sha256Digest::of(&packed);
        if let Some(same) = sealed.filter(|sealed| sealed.sha256 == sha256) {
            return Ok(same.clone());
        }
        self.step(&format!(
            "seal the modules and the lock file ({} bytes)",
            packed.len()
        ));
        self.upload(JobFile::Dependencies, packed).await
    }
}
