//! Starts the AWS provider once for all Terraform commands of a job, where that is safe.

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::plan::PlanKind;
use terraform_cli::{Provider, ProviderError, Terraform};

use crate::configurations::{self, Module, Several};
use crate::dependencies::{MANIFEST, Manifest};
use crate::lock_file::{self, Pinned};

/// The only provider that is started by the runner: it takes seconds to start, others do not.
pub const SOURCE: &str = "registry.terraform.io/hashicorp/aws";
/// The beginning of the name of its binary.
const BINARY: &str = "terraform-provider-aws";
/// How long to wait for the handshake. Terraform itself waits for a minute.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long to wait for the end of a provider that does not respond any more.
const CRASH: Duration = Duration::from_secs(2);
/// The diagnostics of Terraform if a provider ended in the middle of a command. Which one depends on
/// whether it notices the end of the process or that of the connection first.
const NO_RESPONSE: [&str; 2] = ["Plugin did not respond", "Request cancelled"];

/// Why Terraform starts the provider itself, as it does without the runner.
#[derive(Debug, thiserror::Error)]
pub enum Cold {
    /// The lock file does not pin the provider: the stack does not use it.
    #[error("the lock file has no entry for it")]
    Unused,
    /// Terraform configures a provider twice to plan a destroy, once for each of its two plans.
    #[error("a destroy configures it more than once")]
    Destroy,
    /// The settings name no mirror.
    #[error("there is no provider mirror")]
    NoMirror,
    /// The stack configures the provider more than once.
    #[error("the stack may configure it more than once: {0}")]
    Several(#[from] Several),
    /// The mirror does not have the package, or the package cannot be read.
    #[error("its package cannot be used: {0}")]
    Package(String),
    /// The package is not the one of the lock file. Terraform will refuse it.
    #[error("its package has the hash {found}, which the lock file does not list")]
    Hash {
        /// The hash of the package.
        found: String,
    },
    /// It did not start.
    #[error(transparent)]
    Start(#[from] ProviderError),
    /// `init` has not compared its version with those that the modules require.
    #[error("a module may require another version than {0}")]
    Version(String),
    /// `init` installed another package than the one that was started.
    #[error("terraform installed it from another place: {0}")]
    Elsewhere(String),
    /// The list of modules cannot be read.
    #[error("the modules cannot be read: {0}")]
    Modules(String),
}

/// Where the provider comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The directory of the stack.
    pub stack: &'a Path,
    /// The provider mirror.
    pub mirror: Option<&'a Path>,
    /// The platform, such as `linux_amd64`.
    pub platform: &'a str,
    /// The kind of the plan that is made or applied.
    pub kind: PlanKind,
}

/// A provider that runs, and its package.
#[derive(Debug)]
pub struct Warm {
    provider: Provider,
    package: PathBuf,
    version: String,
    verification: Verification,
}

/// A provider that may be started: the lock file pins it, its package is in the mirror, and the stack
/// configures it once.
#[derive(Debug)]
pub struct Candidate {
    package: PathBuf,
    pinned: Pinned,
    verification: Verification,
}

/// Who compares the lock file with the package and with the versions that the stack requires. The runner
/// compares the package in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// `init` too, which installs the provider.
    ByInit,
    /// The runner alone. `init` does not install the provider.
    ByRunner,
}

impl Candidate {
    /// Finds the package. Makes all checks that need neither `init` nor a process.
    ///
    /// # Errors
    /// [`Cold`].
    pub fn find(origin: &Origin<'_>) -> Result<Self, Cold> {
        let (package, pinned) = package(origin)?;
        let stack = module(origin.stack, ".")?;
        let is_allowed = configurations::allow_version(SOURCE, &pinned.version, &[stack]);
        Ok(Self {
            package,
            pinned,
            verification: if is_allowed {
                Verification::ByRunner
            } else {
                Verification::ByInit
            },
        })
    }

    /// Returns whether `init` has to verify the provider.
    #[must_use]
    pub fn verification(&self) -> Verification {
        self.verification
    }
}

impl Warm {
    /// Starts a provider, after a check that its package has a hash of the lock file. Runs beside
    /// `init`: [`Self::confirm`] checks afterwards what was not known yet.
    ///
    /// # Errors
    /// [`Cold`]; no process is left.
    pub async fn start(terraform: &Terraform, candidate: Candidate) -> Result<Self, Cold> {
        let Candidate {
            package,
            pinned,
            verification,
        } = candidate;
        let binary = binary(&package)?;
        let hashed = package.clone();
        let hash = tokio::task::spawn_blocking(move || terraform_cli::package_hash(&hashed));
        let found = match hash.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(Cold::Package(error.to_string())),
            Err(error) => return Err(Cold::Package(error.to_string())),
        };
        if !pinned.hashes.contains(&found) {
            return Err(Cold::Hash { found });
        }
        let provider = terraform.start_provider(SOURCE, &binary, HANDSHAKE).await?;
        Ok(Self {
            provider,
            package,
            version: pinned.version,
            verification,
        })
    }

    /// Checks, after `init`, that no module configures the provider again or requires another version,
    /// and that Terraform would start the same package.
    ///
    /// # Errors
    /// [`Cold`]. The caller ends the provider.
    pub fn confirm(&self, stack: &Path, platform: &str) -> Result<(), Cold> {
        let modules = modules(stack)?;
        configurations::check_single(SOURCE, &modules)?;
        match self.verification {
            Verification::ByInit => self.check_installed(stack, platform),
            Verification::ByRunner
                if configurations::allow_version(SOURCE, &self.version, &modules) =>
            {
                Ok(())
            }
            Verification::ByRunner => Err(Cold::Version(self.version.clone())),
        }
    }

    fn check_installed(&self, stack: &Path, platform: &str) -> Result<(), Cold> {
        let installed = stack
            .join(".terraform/providers")
            .join(SOURCE)
            .join(&self.version)
            .join(platform);
        let found = installed
            .canonicalize()
            .map_err(|error| Cold::Elsewhere(error.to_string()))?;
        if found != self.package {
            return Err(Cold::Elsewhere(found.display().to_string()));
        }
        Ok(())
    }

    /// Returns who verified the provider.
    #[must_use]
    pub fn verification(&self) -> Verification {
        self.verification
    }

    /// Returns a description for the log.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "the AWS provider {} runs for all commands (process {})",
            self.version,
            self.provider.pid()
        )
    }

    /// Returns `terraform` with this provider, if its process still runs.
    #[must_use]
    pub fn driver(&self, terraform: &Terraform) -> Option<Terraform> {
        let driver = || terraform.clone().with_provider(&self.provider);
        self.provider.is_running().then(driver)
    }

    /// Returns the stack trace of the provider if it is the reason of an error. Terraform prints it
    /// only for a provider that it started.
    pub async fn trace(&self, error: &terraform_cli::Error) -> Option<String> {
        // Terraform cancels its calls when it is stopped. The provider is well.
        if matches!(error, terraform_cli::Error::Interrupted(_)) {
            return None;
        }
        let mut found = error.diagnostics().iter();
        if !found.any(|found| NO_RESPONSE.contains(&found.summary.as_str())) {
            return None;
        }
        self.provider.crashed(CRASH).await
    }

    /// Ends the provider.
    pub async fn end(self) {
        self.provider.end().await;
    }
}

/// Returns the package in the mirror, after all checks that need no process.
fn package(origin: &Origin<'_>) -> Result<(PathBuf, Pinned), Cold> {
    let lock = std::fs::read_to_string(origin.stack.join(domain::source_rules::LOCK_FILE));
    let lock = lock.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Cold::Unused,
        _ => Cold::Package(error.to_string()),
    })?;
    let pinned = lock_file::pinned(&lock, SOURCE).ok_or(Cold::Unused)?;
    if origin.kind == PlanKind::Destroy {
        return Err(Cold::Destroy);
    }
    let mirror = origin.mirror.ok_or(Cold::NoMirror)?;
    let stack = module(origin.stack, ".")?;
    configurations::check_single(SOURCE, &[stack])?;
    let unfit = |error: std::io::Error| Cold::Package(error.to_string());
    let mirror = mirror.canonicalize().map_err(unfit)?;
    let package = mirror
        .join(SOURCE)
        .join(&pinned.version)
        .join(origin.platform)
        .canonicalize()
        .map_err(unfit)?;
    Ok((package, pinned))
}

/// Returns the binary of the package, which Terraform finds by its name.
fn binary(package: &Path) -> Result<PathBuf, Cold> {
    let unfit = |error: std::io::Error| Cold::Package(error.to_string());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(package).map_err(unfit)? {
        let entry = entry.map_err(unfit)?;
        if entry.file_name().to_string_lossy().starts_with(BINARY) {
            found.push(entry.path());
        }
    }
    match found.as_slice() {
        [binary] => Ok(binary.clone()),
        _ => Err(Cold::Package(format!(
            "it has {} files called {BINARY}*",
            found.len()
        ))),
    }
}

/// Returns the modules of an initialised stack. Without a list of modules, it is the stack alone.
fn modules(stack: &Path) -> Result<Vec<Module>, Cold> {
    let dirs = match std::fs::read(stack.join(MANIFEST)) {
        Ok(bytes) => {
            let list = Manifest::parse(&bytes).map_err(|error| Cold::Modules(error.to_string()))?;
            list.modules.into_iter().map(|one| one.dir).collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => vec![".".to_owned()],
        Err(error) => return Err(Cold::Modules(error.to_string())),
    };
    dirs.iter().map(|dir| module(stack, dir)).collect()
}

/// Reads the files of a module. `dir` is relative to the stack.
fn module(stack: &Path, dir: &str) -> Result<Module, Cold> {
    let unread = |error: std::io::Error| Cold::Modules(format!("{dir}: {error}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(stack.join(dir)).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".tf") || name.ends_with(".tf.json") {
            files.push((name, std::fs::read_to_string(entry.path()).map_err(unread)?));
        }
    }
    files.sort();
    Ok(Module {
        dir: dir.to_owned(),
        files,
    })
}
