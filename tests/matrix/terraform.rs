//! A minimal Terraform and its Batch jobs: objects in the account, states by stack, plans as files, and
//! results in the format of the runner.

use crate::calls::{self, Calls};
use crate::cloud::{CLUSTER, Place};
use crate::commits::Code;
use crate::plans::{Change, PlanFile, Statements, Wanted, added, changes, undone};
pub(crate) use crate::state::{Managed, Object, Resources};
use crate::state::{StackState, objects, version};
use async_trait::async_trait;
use domain::error::{ErrorName, StepError};
use domain::ids::{CommitId, JobId, RunId, Sha256Digest};
use domain::job::{Backend, JOB_SCHEMA, JobOutcome, JobResult, JobSpec, Verb};
use domain::keys::{JobFile, RunObjects};
use domain::plan::{
    Action, ObjectRef, Origin, OutputsChange, PlanKind, PlanSummary, SealedPlan, SideEffects,
};
use domain::warning::Warnings;
use engine::fakes::{FakeObjects, PlanJson};
use engine::{BatchJob, BatchJobs, JobProgress, Result};
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
pub(crate) const WORK: Duration = Duration::from_secs(30);
/// The time that a terminated job stays open after its container has ended.
const STOPPING: Duration = Duration::from_secs(30);

/// How far an apply gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    /// It fails after its first change.
    First,
    /// SIGTERM arrives while it creates its first object, whose resource is tainted.
    FirstObject,
}

/// An apply, as far as it got.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// The key of the stack's state.
    pub(crate) state: String,
    pub(crate) run: RunId,
    pub(crate) commit: CommitId,
    pub(crate) plan: SealedPlan,
    /// The ids of the objects that it deleted.
    pub(crate) deleted: BTreeSet<u64>,
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<u64, Object>,
    created: u64,
    states: BTreeMap<String, StackState>,
    plans: BTreeMap<String, JobSpec>,
    jobs: Vec<(JobId, BatchJob)>,
    /// Why running jobs were terminated, by their Batch ids.
    terminated: BTreeMap<String, String>,
    applied: Vec<Applied>,
    refused: BTreeSet<CommitId>,
}

/// Batch with terraform in its containers. Clones share their state.
#[derive(Clone)]
pub(crate) struct Batch {
    inner: Arc<Mutex<Inner>>,
    artifacts: FakeObjects,
    calls: Calls,
    pub(crate) code: Code,
}

impl Batch {
    pub(crate) fn new(artifacts: FakeObjects, calls: Calls) -> Self {
        Self {
            inner: Arc::default(),
            artifacts,
            calls,
            code: Code::default(),
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

    /// Returns the objects in the account, by id.
    pub(crate) fn objects(&self) -> BTreeMap<u64, Object> {
        self.with(|inner| inner.objects.clone())
    }

    /// Makes an object without the pipeline. Returns its id.
    pub(crate) fn make_by_hand(&self) -> u64 {
        self.with(|inner| {
            inner.created += 1;
            let state = String::new();
            inner.objects.insert(inner.created, Object { state });
            inner.created
        })
    }

    /// Moves a stack in with its state, which has one resource.
    pub(crate) fn move_in(&self, state: &str, address: &str) {
        let object = self.make_by_hand();
        self.with(|inner| {
            let held = inner.states.entry(state.to_owned()).or_default();
            held.serial = 1;
            let resource = Managed::imported(object);
            held.resources.insert(address.to_owned(), resource);
        });
    }

    /// Removes a resource from its state, as a lost write of the state would.
    pub(crate) fn lose(&self, state: &str, address: &str) {
        self.with(|inner| {
            let held = inner.states.get_mut(state).unwrap();
            held.resources.remove(address).unwrap();
        });
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
    pub(crate) fn submit(&self, objects: &RunObjects, name: &JobId, queued: Duration) -> String {
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
        let (batch, objects) = (self.clone(), objects.clone());
        let (name, own) = (name.clone(), id.clone());
        tokio::spawn(calls::as_caller(async move {
            tokio::time::sleep(queued).await;
            if !batch.is_open(&own) {
                return;
            }
            batch.describe(&own, "RUNNING");
            let ended = batch.run(&objects, &name, &own).await;
            match batch.terminated(&own) {
                Some(why) => {
                    tokio::time::sleep(STOPPING).await;
                    batch.end(&own, &format!("FAILED: {why}"));
                }
                None => batch.end(&own, if ended { "SUCCEEDED" } else { "FAILED" }),
            }
        }));
        id
    }

    fn describe(&self, id: &str, description: &str) {
        self.with(|inner| {
            let mut jobs = inner.jobs.iter_mut();
            let (_, job) = jobs.find(|(_, job)| job.id == id).unwrap();
            description.clone_into(&mut job.description);
        });
    }

    /// Returns why a running job was terminated.
    fn terminated(&self, id: &str) -> Option<String> {
        self.with(|inner| inner.terminated.get(id).cloned())
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
    async fn run(&self, objects: &RunObjects, name: &JobId, id: &str) -> bool {
        let file = |file| objects.job(name, file);
        let started = file(JobFile::Started);
        if self.artifacts.peek(&started).is_some() {
            while self.artifacts.peek(&file(JobFile::Result)).is_none() {
                if self.terminated(id).is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return true;
        }
        self.artifacts.set(&started, "{}");
        let spec = self.artifacts.peek(&file(JobFile::Spec)).unwrap();
        let spec: JobSpec = serde_json::from_slice(&spec).unwrap();
        self.calls.reach(format!("state {}", state_key(&spec)));
        let from = Instant::now();
        while from.elapsed() < WORK && self.terminated(id).is_none() {
            tokio::time::sleep(WORK / 10).await;
        }
        let interrupted = self.terminated(id).is_some();
        let outcome = match spec.verb {
            Verb::Plan | Verb::Validate if interrupted => JobOutcome::Failed {
                error: StepError::new(ErrorName::Interrupted, "terraform was interrupted"),
                side_effects: SideEffects::None,
                diagnostics: Vec::new(),
            },
            Verb::Plan | Verb::Validate if self.is_invalid(&spec) => JobOutcome::Failed {
                error: StepError::new(ErrorName::PlanFailed, "Unsupported argument"),
                side_effects: SideEffects::None,
                diagnostics: Vec::new(),
            },
            Verb::Validate => JobOutcome::Validated {
                dependencies: Some(self.dependencies(&spec, name)),
            },
            Verb::Plan => self.plan(&spec, name),
            Verb::Apply if interrupted => self.apply(&spec, name, from, Reach::FirstObject),
            Verb::Apply => self.apply(&spec, name, from, Reach::All),
        };
        let ok = !matches!(outcome, JobOutcome::Failed { .. });
        let result = JobResult {
            schema: JOB_SCHEMA,
            run: spec.run.clone(),
            job: name.clone(),
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

    /// Returns the number of jobs that were submitted.
    pub(crate) fn jobs(&self) -> usize {
        self.with(|inner| inner.jobs.len())
    }

    /// Returns the resources of a stack with its inputs. Other code updates one, replaces one, deletes the
    /// one that only the old code has, and creates its own. Code with a line `# protected` has a table too,
    /// which no plan may delete.
    fn wanted(&self, spec: &JobSpec) -> BTreeMap<String, Wanted> {
        if spec.plan_kind == PlanKind::Destroy {
            return BTreeMap::new();
        }
        let (repository, commit) = (spec.repository_key, &spec.commit);
        let release = self.code.release(repository, commit, &spec.dir);
        let only = format!("terraform_data.only[\"{}\"]", &release[..8]);
        let inputs = spec.inputs.values().map(|it| it.sha256.to_string());
        let inputs = inputs.collect::<Vec<_>>().join(" ");
        let resource = |address: &str, value: &str, on_change| {
            let value = value.to_owned();
            (address.to_owned(), Wanted { value, on_change })
        };
        let mut wanted = BTreeMap::from([
            resource("terraform_data.base", "base", Action::Update),
            resource("terraform_data.inputs", &inputs, Action::Update),
            resource("terraform_data.instance", &release, Action::Replace),
            resource(&only, &release, Action::Update),
            resource("terraform_data.release", &release, Action::Update),
        ]);
        let code = self.code.of(repository, commit, &spec.dir);
        wanted.extend(added(&code));
        if code.contains("# protected") {
            wanted.extend([resource(
                "aws_dynamodb_table.orders",
                "orders",
                Action::Update,
            )]);
        }
        wanted
    }

    /// Returns `terraform output -json`: the service, a sensitive value, and what the code says in a
    /// line with `# output`.
    fn outputs(&self, spec: &JobSpec) -> Vec<u8> {
        let text = |value: &str, sensitive: bool| json!({"value": value, "sensitive": sensitive});
        let place = Place::of(spec.repository_key);
        let code = self.code.of(spec.repository_key, &spec.commit, &spec.dir);
        let own = code.lines().find(|line| line.contains("# output"));
        let outputs = json!({
            "cluster": text(CLUSTER, false),
            "service": text(place.service, false),
            "task_definition": text(place.template, false),
            "url": text(place.url, false),
            "own": text(own.unwrap_or_default(), false),
            "secret": text(SECRET, true),
        });
        serde_json::to_vec(&outputs).unwrap()
    }

    /// Returns whether a stack's code has a line `# invalid`.
    fn is_invalid(&self, spec: &JobSpec) -> bool {
        let code = self.code.of(spec.repository_key, &spec.commit, &spec.dir);
        code.contains("# invalid")
    }

    fn plan(&self, spec: &JobSpec, name: &JobId) -> JobOutcome {
        let held = self.with(|inner| inner.states.entry(state_key(spec)).or_default().clone());
        let (repository, commit) = (spec.repository_key, &spec.commit);
        let code = self.code.of(repository, commit, &spec.dir);
        let (made, undo) = undone(&self.artifacts, spec, &objects(&held));
        let statements = match spec.plan_kind {
            PlanKind::Normal => Statements::of(&code, &undo),
            PlanKind::Destroy => Statements::default(),
        };
        let changes = changes(&held.resources, &self.wanted(spec), &statements);
        let outputs_change = if changes.is_empty() {
            OutputsChange::None
        } else {
            OutputsChange::Some
        };
        let summary = PlanSummary {
            changes: changes.iter().map(Change::brief).collect(),
            outputs_change,
            tainted: held.tainted(),
            resources: held.resources.len(),
            ..PlanSummary::default()
        };
        let before = changes.iter().filter_map(|change| {
            let id = change.before?.to_string();
            Some((change.address.clone(), id))
        });
        let json = PlanJson {
            summary,
            before: before.collect(),
            secret: Some(SECRET.to_owned()),
        };
        let file = PlanFile {
            changes,
            secret: SECRET.to_owned(),
        };
        let bytes = serde_json::to_vec(&file).unwrap();
        let key = |file| spec.objects().job(name, file);
        let plan = self.put(key(JobFile::Plan), bytes);
        self.with(|inner| inner.plans.insert(plan.key.clone(), spec.clone()));
        let outputs =
            (held.serial > 0).then(|| self.put(key(JobFile::Outputs), self.outputs(spec)));
        JobOutcome::Planned {
            plan,
            json: self.put(key(JobFile::PlanJson), json.to_bytes()),
            state: version(&held),
            dependencies: Some(self.dependencies(spec, name)),
            outputs,
            warnings: Warnings::default(),
            made,
            unrecorded: Vec::new(),
        }
    }

    /// Seals what the stack's code names from outside its repository. A rollback resolves nothing: it
    /// has what the last good run sealed.
    fn dependencies(&self, spec: &JobSpec, name: &JobId) -> ObjectRef {
        let resolved = match &spec.dependencies {
            Some(sealed) => self.artifacts.peek(&sealed.key).unwrap(),
            None => spec.commit.as_str().into(),
        };
        assert!(spec.undo.is_none() || spec.dependencies.is_some(), "{name}");
        self.put(spec.objects().job(name, JobFile::Dependencies), resolved)
    }

    fn apply(&self, spec: &JobSpec, name: &JobId, from: Instant, reach: Reach) -> JobOutcome {
        let sealed = spec.plan.clone().unwrap();
        let bytes = self.artifacts.peek(&sealed.file.key).unwrap();
        let fails = |name, side_effects| JobOutcome::Failed {
            error: StepError::new(name, "as the test asks"),
            side_effects,
            diagnostics: Vec::new(),
        };
        if Sha256Digest::of(&bytes) != sealed.file.sha256 {
            return fails(ErrorName::PlanTampered, SideEffects::None);
        }
        let dependencies = sealed.dependencies.as_ref().unwrap();
        let used = self.artifacts.peek(&dependencies.key).unwrap();
        assert_eq!(Sha256Digest::of(&used), dependencies.sha256);
        let plan: PlanFile = serde_json::from_slice(&bytes).unwrap();
        let state = state_key(spec);
        let failed = self.with(|inner| {
            let held = inner.states.entry(state.clone()).or_default();
            if version(held) != sealed.state {
                return Some((ErrorName::StalePlan, SideEffects::None));
            }
            held.serial += 1;
            let reach = match reach {
                Reach::All if inner.refused.contains(&spec.commit) => Reach::First,
                reach => reach,
            };
            let deleted = inner.carry_out(&state, &plan.changes, reach);
            inner.applied.push(Applied {
                state,
                run: spec.run.clone(),
                commit: spec.commit.clone(),
                plan: sealed,
                deleted,
                from,
                to: Instant::now(),
            });
            match reach {
                Reach::All => None,
                Reach::First => Some((ErrorName::ApplyFailed, SideEffects::Possible)),
                Reach::FirstObject => Some((ErrorName::Interrupted, SideEffects::Possible)),
            }
        });
        match failed {
            Some((error, side_effects)) => fails(error, side_effects),
            None => JobOutcome::Applied {
                outputs: self.put(
                    spec.objects().job(name, JobFile::Outputs),
                    self.outputs(spec),
                ),
                warnings: Warnings::default(),
            },
        }
    }
}

impl Inner {
    /// Makes the changes of a plan, as far as an apply gets. Returns the ids of the deleted objects.
    fn carry_out(&mut self, state: &str, changes: &[Change], reach: Reach) -> BTreeSet<u64> {
        let creates = |change: &Change| matches!(change.action, Action::Create | Action::Replace);
        let mut deleted = BTreeSet::new();
        // Terraform begins with the state of the plan, in which all is moved and imported.
        let held = &mut self.states.get_mut(state).unwrap().resources;
        for change in changes {
            match &change.origin {
                Some(Origin::Moved { from }) => {
                    let moved = held.remove(from).unwrap();
                    held.insert(change.address.clone(), moved);
                }
                Some(Origin::Imported) => {
                    let imported = Managed::imported(change.before.unwrap());
                    held.insert(change.address.clone(), imported);
                }
                None => {}
            }
        }
        for (at, change) in changes.iter().enumerate() {
            if reach == Reach::First && at == 1 {
                break;
            }
            let interrupted = reach == Reach::FirstObject && creates(change);
            let held = &mut self.states.get_mut(state).unwrap().resources;
            if change.action.deletes() {
                let old = held.remove(&change.address).unwrap();
                self.objects.remove(&old.object).unwrap();
                deleted.insert(old.object);
            }
            match change.action {
                Action::Create | Action::Replace => {
                    self.created += 1;
                    let new = Managed {
                        object: self.created,
                        value: change.value.clone(),
                        tainted: interrupted,
                    };
                    held.insert(change.address.clone(), new);
                }
                Action::Update => {
                    let own = held.get_mut(&change.address).unwrap();
                    own.value.clone_from(&change.value);
                    continue;
                }
                Action::Forget => {
                    held.remove(&change.address).unwrap();
                    continue;
                }
                Action::Delete | Action::DeleteDeposed | Action::Keep => continue,
            }
            let object = Object {
                state: state.to_owned(),
            };
            self.objects.insert(held[&change.address].object, object);
            if interrupted {
                break;
            }
        }
        deleted
    }
}

fn state_key(spec: &JobSpec) -> String {
    let Backend::S3 { key, .. } = &spec.backend else {
        panic!("a delivery's backend is S3, not {:?}", spec.backend);
    };
    key.clone()
}

#[async_trait]
impl BatchJobs for Batch {
    async fn find(&self, name: &JobId) -> Result<Vec<BatchJob>> {
        self.calls.reach(format!("job {name}"));
        let jobs = self.with(|inner| inner.jobs.clone());
        let named = jobs.into_iter().filter(|(other, _)| other == name);
        Ok(named.map(|(_, job)| job).collect())
    }

    /// Sends SIGTERM to a running job, which stays open until it has ended.
    async fn terminate(&self, id: &str, why: &str) -> Result<()> {
        self.calls.reach(format!("job {id}"));
        let is_running = self.with(|inner| {
            let mut jobs = inner.jobs.iter();
            jobs.any(|(_, job)| job.id == id && job.description == "RUNNING")
        });
        if is_running {
            self.with(|inner| inner.terminated.insert(id.to_owned(), why.to_owned()));
        } else {
            self.end(id, &format!("FAILED: {why}"));
        }
        Ok(())
    }
}
