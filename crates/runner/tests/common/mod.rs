//! A test bench for jobs: the bucket and the clock are in memory; Terraform and the disk are real.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "each test file uses a part of it, and a test may fail by panicking"
)]

pub mod s3;
pub mod story;

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::config::CONFIG_FILE;
use domain::error::{ErrorName, StepError};
use domain::ids::{
    CommitId, EnvironmentName, JobId, RepositoryKey, RepositoryName, RunId, Sha256Digest, StackName,
};
use domain::job::{Backend, JOB_SCHEMA, JobOutcome, JobResult, JobSpec, Verb};
use domain::keys::{self, JobFile};
use domain::plan::{
    ObjectRef, PlanKind, PlanSummary, Resources, SealedPlan, ShownPlan, StateVersion,
};
use engine::fakes::{FakeClock, FakeObjects};
use runner::duplicate_job::Patience;
use runner::job::{Ended, JobContext, Request};
use runner::log::Log;
use runner::redact::Redactor;
use runner::settings::Settings;
use terraform_cli::Cancel;
use zip::write::SimpleFileOptions;

pub const LOCK: &str = "infra/app/.terraform.lock.hcl";
pub const MAIN: &str = "infra/app/main.tf";
pub const CONFIG: &str =
    "version: 1\nenvironment: production\nstacks: [{ name: app, dir: infra/app }]\n";
pub const SECRET_KEY: &str = "canary-secret-access-key";

/// The output of a job.
#[derive(Clone, Default)]
pub struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub async fn wait_for(&self, part: &str) {
        for _ in 0..6000 {
            if self.text().contains(part) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{part:?} was not printed:\n{}", self.text());
    }
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub struct Bench {
    pub temp: tempfile::TempDir,
    pub objects: FakeObjects,
    pub printed: Printed,
    pub terraform: PathBuf,
    pub mirror: Option<PathBuf>,
    pub grace: Duration,
    pub patience: Patience,
    /// Has the stack's state. Without it, the state is a file.
    pub s3: Option<s3::FakeS3>,
    attempt: Mutex<u32>,
}

impl Bench {
    /// Returns `None`, and prints the reason, if the machine has no Terraform.
    pub fn real() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let found = std::env::split_paths(&path)
            .map(|dir| dir.join("terraform"))
            .find(|file| file.is_file());
        if found.is_none() {
            eprintln!("skipped: no terraform on the PATH");
        }
        Some(Self::with(found?))
    }

    /// Returns a bench with the provider mirror of this machine. Returns `None`, and prints the reason,
    /// if the machine lacks Terraform or the mirror.
    pub fn with_providers() -> Option<Self> {
        let mut bench = Self::real()?;
        bench.mirror = Some(provider_mirror()?);
        Some(bench)
    }

    /// Creates a bench whose Terraform is this shell script. `$TEMP` in it is the directory of the
    /// bench.
    pub fn scripted(script: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let mut bench = Self::with(PathBuf::new());
        let file = bench.temp.path().join("fake-terraform");
        let temp = bench.temp.path().to_str().unwrap();
        std::fs::write(
            &file,
            format!("#!/bin/sh\n{}\n", script.replace("$TEMP", temp)),
        )
        .unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        bench.terraform = file;
        bench
    }

    fn with(terraform: PathBuf) -> Self {
        Self {
            temp: tempfile::tempdir().unwrap(),
            objects: FakeObjects::new("artifacts"),
            printed: Printed::default(),
            terraform,
            mirror: None,
            grace: Duration::from_secs(25),
            patience: Patience {
                every: Duration::from_millis(5),
                beyond: Duration::from_secs(60),
            },
            s3: None,
            attempt: Mutex::new(0),
        }
    }

    pub fn state_path(&self) -> PathBuf {
        self.temp.path().join("app.tfstate")
    }

    /// Returns the stack's state; none if it has none yet.
    pub fn state(&self) -> Option<Vec<u8>> {
        match &self.s3 {
            Some(s3) => s3.state(),
            None => std::fs::read(self.state_path()).ok(),
        }
    }

    pub fn put(&self, key: &str, bytes: &[u8]) -> ObjectRef {
        self.objects.set(key, bytes.to_vec());
        ObjectRef {
            key: key.to_owned(),
            sha256: Sha256Digest::of(bytes),
        }
    }

    pub fn spec(&self, verb: Verb, files: &[(&str, &str)]) -> JobSpec {
        let source = archive(files);
        let key = keys::source(RepositoryKey::github(7), &Sha256Digest::of(&source));
        let mut attempt = self.attempt.lock().unwrap();
        *attempt += 1;
        JobSpec {
            schema: JOB_SCHEMA,
            run: RunId::parse("shop-11111111-222222").unwrap(),
            verb,
            plan_kind: PlanKind::Normal,
            attempt: *attempt,
            repository_key: RepositoryKey::github(7),
            repository: RepositoryName::parse("acme/shop").unwrap(),
            commit: CommitId::parse(&"1".repeat(40)).unwrap(),
            environment: EnvironmentName::parse("production").unwrap(),
            stack: StackName::parse("app").unwrap(),
            dir: "infra/app".to_owned(),
            source: self.put(&key, &source),
            backend: match &self.s3 {
                Some(_) => s3::backend(),
                None => Backend::Local {
                    path: self.state_path().to_str().unwrap().to_owned(),
                },
            },
            inputs: BTreeMap::new(),
            plan: None,
            dependencies: None,
            undo: None,
            timeout_seconds: 120,
        }
    }

    /// Makes a mirror whose provider is this shell script. It creates the file `marker` first. Returns
    /// the package.
    pub fn plant(&mut self, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let mirror = self.temp.path().join("mirror");
        let package = mirror.join("registry.terraform.io/hashicorp/aws/5.100.0");
        let package = package.join(platform());
        std::fs::create_dir_all(&package).unwrap();
        let binary = package.join("terraform-provider-aws_v5.100.0_x5");
        let marker = self.temp.path().join("marker");
        let script = format!("#!/bin/sh\ntouch {}\n{script}\n", marker.display());
        std::fs::write(&binary, script).unwrap();
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.mirror = Some(mirror);
        package
    }

    /// Stores a plan of state serial 3 that Terraform shows as `shown` and a line end.
    pub fn plan(&self, shown: &str) -> SealedPlan {
        let state = r#"{"serial":3,"lineage":"l"}"#;
        let file = archive(&[("tfstate", state), ("tfstate-prev", state)]);
        SealedPlan {
            file: self.put("plans/p", &file),
            json: self.put("plans/p.json", format!("{shown}\n").as_bytes()),
            state: StateVersion {
                lineage: "l".into(),
                serial: 3,
                resources: Resources::None,
            },
            dependencies: None,
        }
    }

    /// Writes the job spec where the runner reads it.
    pub fn seal(&self, spec: &JobSpec) -> Request {
        let bytes = serde_json::to_vec(spec).unwrap();
        let job = JobId::seal(spec.verb.as_str(), &spec.stack, spec.attempt, &bytes);
        self.objects
            .set(&spec.objects().job(&job, JobFile::Spec), bytes);
        Request {
            verb: spec.verb.command(),
            run: spec.run.clone(),
            job,
            objects: spec.objects(),
        }
    }

    pub async fn run(&self, request: &Request) -> Result<Ended, StepError> {
        self.run_until(request, Cancel::never()).await
    }

    pub async fn run_until(&self, request: &Request, cancel: Cancel) -> Result<Ended, StepError> {
        runner::job::run(request, &self.context(cancel, &[], "this process")).await
    }

    /// Runs a job as one attempt of a Batch job, in a process of its own.
    pub async fn run_in_batch(
        &self,
        request: &Request,
        (job, attempt): (&str, u32),
        cancel: Cancel,
    ) -> Result<Ended, StepError> {
        let process = format!("attempt {attempt} of {job}");
        let variables = [
            ("AWS_BATCH_JOB_ID", job.to_owned()),
            ("AWS_BATCH_JOB_ATTEMPT", attempt.to_string()),
        ];
        runner::job::run(request, &self.context(cancel, &variables, &process)).await
    }

    fn context(&self, cancel: Cancel, more: &[(&str, String)], process: &str) -> JobContext {
        let mut variables: Vec<(String, String)> = [
            ("SLUICEGATE_BUCKET", "artifacts"),
            ("SLUICEGATE_REPOSITORY", "github-7"),
            ("SLUICEGATE_ENVIRONMENT", "production"),
            ("SLUICEGATE_TERRAFORM", self.terraform.to_str().unwrap()),
            ("SLUICEGATE_CANARY", "canary-of-the-job"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        variables.extend(
            more.iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone())),
        );
        if let Some(s3) = &self.s3 {
            variables.push(("AWS_ENDPOINT_URL".to_owned(), s3.url().to_owned()));
            variables.push(("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()));
        }
        if let Some(mirror) = &self.mirror {
            let mirror = mirror.to_str().unwrap().to_owned();
            variables.push(("SLUICEGATE_PROVIDER_MIRROR".to_owned(), mirror));
        }
        variables.push(("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()));
        let redactor = Redactor::of_environment(
            variables
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        );
        let clock = Arc::new(FakeClock::default());
        JobContext {
            objects: Arc::new(self.objects.clone()),
            clock: clock.clone(),
            log: Log::new(Box::new(self.printed.clone()), redactor, clock),
            cancel,
            grace: self.grace,
            patience: self.patience,
            settings: Settings::read(variables, self.temp.path().to_owned()).unwrap(),
            nonce: process.to_owned(),
        }
    }

    /// Seals and runs a job that must leave a result.
    pub async fn end_of(&self, spec: &JobSpec) -> JobOutcome {
        let request = self.seal(spec);
        let Ended::Written(result) = self.run(&request).await.unwrap() else {
            panic!("no result was written")
        };
        assert_eq!(*result, self.stored(&request));
        assert!(self.peek(&request, JobFile::Log).is_some());
        result.outcome
    }

    pub fn stored(&self, request: &Request) -> JobResult {
        serde_json::from_slice(&self.peek(request, JobFile::Result).unwrap()).unwrap()
    }

    pub fn peek(&self, request: &Request, file: JobFile) -> Option<Vec<u8>> {
        self.objects.peek(&request.objects.job(&request.job, file))
    }

    /// Returns what the sealed plan of an outcome changes.
    pub fn summary(&self, outcome: &JobOutcome) -> PlanSummary {
        let json = self.objects.peek(&sealed(outcome).json.key).unwrap();
        ShownPlan::parse(&json).unwrap().summary
    }

    pub fn outputs(&self, object: &ObjectRef) -> domain::outputs::Outputs {
        serde_json::from_slice(&self.objects.peek(&object.key).unwrap()).unwrap()
    }
}

/// Returns the provider mirror of this machine. Returns `None`, and prints the reason, if it has none.
pub fn provider_mirror() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = std::process::Command::new(root.join("scripts/provider-mirror.sh")).output();
    let mirror = String::from_utf8(output.unwrap().stdout).unwrap();
    if mirror.trim().is_empty() {
        eprintln!("skipped: no provider mirror");
        return None;
    }
    Some(mirror.trim().into())
}

/// Returns the platform of this machine, as Terraform calls it.
pub fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}_{arch}", std::env::consts::OS)
}

/// Returns a lock file that pins the AWS provider to the package.
pub fn lock_of(package: &Path) -> String {
    let hash = terraform_cli::package_hash(package).unwrap();
    format!(
        "provider \"registry.terraform.io/hashicorp/aws\" {{\n  version = \"5.100.0\"\n  hashes  = [\"{hash}\"]\n}}\n"
    )
}

/// Returns the sealed plan of an outcome.
pub fn sealed(outcome: &JobOutcome) -> SealedPlan {
    let JobOutcome::Planned {
        plan,
        json,
        state,
        dependencies,
        ..
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    SealedPlan {
        file: plan.clone(),
        json: json.clone(),
        state: state.clone(),
        dependencies: dependencies.clone(),
    }
}

/// Returns the name and the message of a failure.
pub fn failure(outcome: &JobOutcome) -> (ErrorName, &str) {
    let JobOutcome::Failed { error, .. } = outcome else {
        panic!("{outcome:?}")
    };
    (error.name, &error.message)
}

/// Returns a zip like that of the validate step.
pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        writer
            .start_file(*path, SimpleFileOptions::default().unix_permissions(0o644))
            .unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Returns a repository with the stack `app`.
pub fn repository(main: &str) -> Vec<(&str, &str)> {
    vec![
        ("README.md", "shop\n"),
        (CONFIG_FILE, CONFIG),
        (LOCK, ""),
        (MAIN, main),
    ]
}

pub fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}
