//! A minimal Terraform and its Batch jobs: states by stack, plans as files, and results in the format
//! of the runner.

use async_trait::async_trait;
use domain::error::{ErrorName, StepError};
use domain::ids::{CommitId, JobId, RunId, Sha256Digest};
use domain::job::{Backend, JOB_SCHEMA, JobOutcome, JobResult, JobSpec, Verb};
use domain::keys::{self, JobFile};
use domain::plan::{
    Action, ObjectRef, OutputsChange, PlanKind, PlanSummary, ResourceChange, SealedPlan,
    SideEffects, StateVersion,
};
use engine::fakes::FakeObjects;
use engine::{BatchJob, BatchJobs, JobProgress, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// A value that no message, status, record or audit entry may contain.
pub(crate) const SECRET: &str = "canary-5f0c7c";

/// The time a job waits in its queue, the longest such time, and the duration of terraform.
pub(crate) const QUEUED: Duration = Duration::from_secs(20);
pub(crate) const STUCK: Duration = Duration::from_secs(5 * 3600);
const WORK: Duration = Duration::from_secs(30);

/// The resources of a stack, by address.
pub(crate) type Resources = BTreeMap<String, String>;

#[derive(Debug, Clone, Default)]
struct StackStateFile {
    serial: u64,
    resources: Resources,
}

/// The content of a plan file.
#[derive(Serialize, Deserialize)]
struct PlanFile {
    resources: Resources,
    secret: String,
}

/// A completed apply.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// The key of the stack's state.
    pub(crate) state: String,
    pub(crate) run: RunId,
    pub(crate) commit: CommitId,
    pub(crate) plan: SealedPlan,
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

#[derive(Default)]
struct Inner {
    states: BTreeMap<String, StackStateFile>,
    plans: BTreeMap<String, JobSpec>,
    jobs: Vec<(JobId, BatchJob)>,
    applied: Vec<Applied>,
    refused: BTreeSet<CommitId>,
}

/// Batch with terraform in its containers. Clones share their state.
#[derive(Clone)]
pub(crate) struct Batch {
    inner: Arc<Mutex<Inner>>,
    artifacts: FakeObjects,
}

impl Batch {
    pub(crate) fn new(artifacts: FakeObjects) -> Self {
        Self {
            inner: Arc::default(),
            artifacts,
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock().unwrap())
    }

    /// Returns the resources of every stack, by the key of its state.
    pub(crate) fn states(&self) -> BTreeMap<String, Resources> {
        self.with(|inner| {
            let held = inner.states.iter();
            held.map(|(key, state)| (key.clone(), state.resources.clone()))
                .collect()
        })
    }

    pub(crate) fn applied(&self) -> Vec<Applied> {
        self.with(|inner| inner.applied.clone())
    }

    /// Returns the job that created a plan file.
    pub(crate) fn plan_job(&self, plan: &SealedPlan) -> Option<JobSpec> {
        self.with(|inner| inner.plans.get(&plan.file.key).cloned())
    }

    /// Returns whether any job has not ended.
    pub(crate) fn has_open_jobs(&self) -> bool {
        self.with(|inner| {
            let mut jobs = inner.jobs.iter();
            jobs.any(|(_, job)| job.progress == JobProgress::Open)
        })
    }

    /// Makes every apply of a commit fail after its first resource.
    pub(crate) fn refuse(&self, commit: &CommitId) {
        self.with(|inner| inner.refused.insert(commit.clone()));
    }

    /// Changes a stack's state as another process would.
    pub(crate) fn drift(&self, state: &str) {
        self.with(|inner| inner.states.get_mut(state).unwrap().serial += 1);
    }

    /// Starts a job, which runs even if nothing waits for it. Returns its Batch id.
    pub(crate) fn submit(&self, run: &RunId, name: &JobId, queued: Duration) -> String {
        let id = self.with(|inner| {
            let id = format!("{name}/{}", inner.jobs.len());
            let job = BatchJob {
                id: id.clone(),
                progress: JobProgress::Open,
                description: "RUNNABLE".to_owned(),
            };
            inner.jobs.push((name.clone(), job));
            id
        });
        let (batch, run, name, own) = (self.clone(), run.clone(), name.clone(), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(queued).await;
            if batch.is_open(&own) {
                let ended = batch.run(&run, &name, &own).await;
                batch.end(&own, if ended { "SUCCEEDED" } else { "FAILED" });
            }
        });
        id
    }

    fn is_open(&self, id: &str) -> bool {
        self.with(|inner| {
            let mut jobs = inner.jobs.iter();
            jobs.any(|(_, job)| job.id == id && job.progress == JobProgress::Open)
        })
    }

    fn end(&self, id: &str, description: &str) {
        self.with(|inner| {
            for (_, job) in inner.jobs.iter_mut().filter(|(_, job)| job.id == id) {
                if job.progress == JobProgress::Open {
                    job.progress = JobProgress::Ended;
                    description.clone_into(&mut job.description);
                }
            }
        });
    }

    /// Waits until a job has ended. Returns whether it succeeded.
    pub(crate) async fn ended(&self, id: &str) -> bool {
        while self.is_open(id) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.with(|inner| {
            let mut jobs = inner.jobs.iter();
            jobs.any(|(_, job)| job.id == id && job.description == "SUCCEEDED")
        })
    }

    /// Acts as the runner. A second job with the same spec waits for the first one's result.
    async fn run(&self, run: &RunId, name: &JobId, id: &str) -> bool {
        let file = |file| keys::job(run, name, file);
        let started = file(JobFile::Started);
        if self.artifacts.peek(&started).is_some() {
            while self.artifacts.peek(&file(JobFile::Result)).is_none() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return true;
        }
        self.artifacts.set(&started, "{}");
        let record = self.artifacts.peek(&file(JobFile::Spec)).unwrap();
        let record: JobSpec = serde_json::from_slice(&record).unwrap();
        let from = Instant::now();
        tokio::time::sleep(WORK).await;
        let outcome = match record.verb {
            // Batch sent SIGTERM: terraform stops before its first change.
            _ if !self.is_open(id) => JobOutcome::Failed {
                error: StepError::new(ErrorName::Interrupted, "terraform was interrupted"),
                side_effects: SideEffects::Possible,
                diagnostics: Vec::new(),
            },
            Verb::Plan => self.plan(&record, name),
            Verb::Apply => self.apply(&record, name, from),
        };
        let ok = !matches!(outcome, JobOutcome::Failed { .. });
        let result = JobResult {
            schema: JOB_SCHEMA,
            run: run.clone(),
            verb: record.verb,
            stack: record.stack.clone(),
            outcome,
            duration_ms: 30_000,
            exit_code: u8::from(!ok),
        };
        let bytes = serde_json::to_vec(&result).unwrap();
        self.artifacts.set(&file(JobFile::Result), bytes);
        ok
    }

    fn put(&self, key: String, bytes: Vec<u8>) -> ObjectRef {
        let sha256 = Sha256Digest::of(&bytes);
        self.artifacts.set(&key, bytes);
        ObjectRef { key, sha256 }
    }

    fn plan(&self, record: &JobSpec, name: &JobId) -> JobOutcome {
        let wanted = wanted(record);
        let held = self.with(|inner| inner.states.entry(state_key(record)).or_default().clone());
        let mut changes = Vec::new();
        let addresses: BTreeSet<&String> = held.resources.keys().chain(wanted.keys()).collect();
        for address in addresses {
            let action = match (held.resources.get(address), wanted.get(address)) {
                (None, _) => Action::Create,
                (Some(_), None) => Action::Delete,
                (Some(old), Some(new)) if old != new => Action::Update,
                _ => continue,
            };
            changes.push(ResourceChange {
                address: address.clone(),
                resource_type: "terraform_data".to_owned(),
                action,
            });
        }
        let outputs_change = if changes.is_empty() {
            OutputsChange::None
        } else {
            OutputsChange::Some
        };
        let file = PlanFile {
            resources: wanted,
            secret: SECRET.to_owned(),
        };
        let bytes = serde_json::to_vec(&file).unwrap();
        let key = |file| keys::job(&record.run, name, file);
        let plan = self.put(key(JobFile::Plan), bytes.clone());
        self.with(|inner| inner.plans.insert(plan.key.clone(), record.clone()));
        let outputs = (held.serial > 0).then(|| self.put(key(JobFile::Outputs), outputs()));
        JobOutcome::Planned {
            plan,
            json: self.put(key(JobFile::PlanJson), bytes),
            state: version(&held),
            summary: PlanSummary {
                changes,
                outputs_change,
            },
            outputs,
        }
    }

    fn apply(&self, record: &JobSpec, name: &JobId, from: Instant) -> JobOutcome {
        let sealed = record.plan.clone().unwrap();
        let bytes = self.artifacts.peek(&sealed.file.key).unwrap();
        let fails = |name, side_effects| JobOutcome::Failed {
            error: StepError::new(name, "as the test asks"),
            side_effects,
            diagnostics: Vec::new(),
        };
        if Sha256Digest::of(&bytes) != sealed.file.sha256 {
            return fails(ErrorName::PlanTampered, SideEffects::None);
        }
        let plan: PlanFile = serde_json::from_slice(&bytes).unwrap();
        let state = state_key(record);
        let failed = self.with(|inner| {
            let held = inner.states.entry(state.clone()).or_default();
            if version(held) != sealed.state {
                return Some((ErrorName::StalePlan, SideEffects::None));
            }
            held.serial += 1;
            let refused = inner.refused.contains(&record.commit);
            if refused {
                let (address, value) = plan.resources.first_key_value().unwrap();
                held.resources.insert(address.clone(), value.clone());
            } else {
                held.resources.clone_from(&plan.resources);
            }
            inner.applied.push(Applied {
                state,
                run: record.run.clone(),
                commit: record.commit.clone(),
                plan: sealed,
                from,
                to: Instant::now(),
            });
            refused.then_some((ErrorName::ApplyFailed, SideEffects::Possible))
        });
        match failed {
            Some((error, side_effects)) => fails(error, side_effects),
            None => JobOutcome::Applied {
                outputs: self.put(keys::job(&record.run, name, JobFile::Outputs), outputs()),
                summary: PlanSummary::default(),
            },
        }
    }
}

/// Returns the resources of a stack at a commit.
fn wanted(record: &JobSpec) -> Resources {
    if record.plan_kind == PlanKind::Destroy {
        return Resources::new();
    }
    let commit = &record.commit;
    Resources::from([
        ("terraform_data.base".to_owned(), "base".to_owned()),
        ("terraform_data.release".to_owned(), commit.to_string()),
    ])
}

fn state_key(record: &JobSpec) -> String {
    let Backend::S3 { key, .. } = &record.backend else {
        panic!("a delivery's backend is S3, not {:?}", record.backend);
    };
    key.clone()
}

fn version(state: &StackStateFile) -> StateVersion {
    let lineage = if state.serial == 0 { "" } else { "one" };
    StateVersion {
        lineage: lineage.to_owned(),
        serial: state.serial,
    }
}

/// Returns `terraform output -json`: the service, and a sensitive value.
fn outputs() -> Vec<u8> {
    let text = |value: &str, sensitive: bool| json!({"value": value, "sensitive": sensitive});
    let outputs = json!({
        "cluster": text(crate::cloud::CLUSTER, false),
        "service": text(crate::cloud::SERVICE, false),
        "task_definition": text(crate::cloud::TEMPLATE, false),
        "url": text(crate::cloud::URL, false),
        "secret": text(SECRET, true),
    });
    serde_json::to_vec(&outputs).unwrap()
}

#[async_trait]
impl BatchJobs for Batch {
    async fn find(&self, name: &JobId) -> Result<Vec<BatchJob>> {
        let jobs = self.with(|inner| inner.jobs.clone());
        let named = jobs.into_iter().filter(|(other, _)| other == name);
        Ok(named.map(|(_, job)| job).collect())
    }

    async fn terminate(&self, id: &str, why: &str) -> Result<()> {
        // Terraform stops immediately, and leaves the remaining resources unchanged.
        self.end(id, &format!("FAILED: {why}"));
        Ok(())
    }
}
