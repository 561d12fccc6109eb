use super::{
    FakeBatch, FakeBuildLogs, FakeClock, FakeEnrolments, FakeEventBus, FakeExecutions, FakeForge,
    FakeObjects, FakeProbe, FakeRegistry, FakeServices, FakeStatusQueue, FakeTable, FakeTokens,
    PlanJson, samples,
};
use crate::announce::Announcer;
use crate::audit::AuditLog;
use crate::closing::Closing;
use crate::documents::{insert, load_run, update_run};
use crate::environments::Environments;
use crate::status::{StatusData, parse};
use crate::{Clock, Enrolments, Result, Targets};
use domain::audit::{Entry, Found, verify};
use domain::error::StepError;
use domain::ids::{JobId, RunId, Sha256Digest};
use domain::job::{JOB_SCHEMA, JobOutcome, JobResult, JobSpec};
use domain::keys::{JobFile, RunObjects};
use domain::plan::ObjectRef;
use domain::run::Run;
use std::sync::Arc;

/// All that a step can reach, as fakes: an AWS account and a forge with the repository
/// [`samples::repository`]. A test of a step builds the step from clones of the fields.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each type says what the field fakes")]
pub struct World<C = FakeClock> {
    pub table: FakeTable,
    pub artifacts: FakeObjects,
    pub audit: FakeObjects,
    pub batch: FakeBatch,
    pub tokens: FakeTokens,
    pub executions: FakeExecutions,
    pub registry: FakeRegistry,
    pub build_logs: FakeBuildLogs,
    pub services: FakeServices,
    pub probe: FakeProbe,
    pub forge: FakeForge,
    pub status: FakeStatusQueue,
    pub bus: FakeEventBus,
    pub enrolments: FakeEnrolments,
    pub clock: C,
}

impl World {
    /// Returns a world without runs, at [`samples::now`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(FakeClock::default())
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "only tests call it"
)]
impl<C: Clock + Clone + 'static> World<C> {
    /// Returns a world without runs, with this clock.
    #[must_use]
    pub fn with_clock(clock: C) -> Self {
        Self {
            table: FakeTable::new(),
            artifacts: FakeObjects::new(samples::BUCKET),
            audit: FakeObjects::new(samples::AUDIT_BUCKET),
            batch: FakeBatch::new(),
            tokens: FakeTokens::new(),
            executions: FakeExecutions::new(),
            registry: FakeRegistry::new(),
            build_logs: FakeBuildLogs::new(),
            services: FakeServices::new(),
            probe: FakeProbe::new(),
            forge: FakeForge::new(),
            status: FakeStatusQueue::new(),
            bus: FakeEventBus::new(),
            enrolments: FakeEnrolments::of([samples::repository()]),
            clock,
        }
    }

    /// Returns the clock for a step.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// Returns an announcer to the status queue and the forge.
    #[must_use]
    pub fn announcer(&self) -> Announcer {
        self.queue_announcer()
            .with_commit_statuses(Arc::new(self.forge.clone()), self.enrolments())
    }

    /// Returns an announcer to the status queue only, for steps that set no commit status.
    #[must_use]
    pub fn queue_announcer(&self) -> Announcer {
        Announcer::new(Arc::new(self.status.clone()), self.clock())
    }

    /// Returns what ends runs.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing {
            table: Arc::new(self.table.clone()),
            objects: Arc::new(self.artifacts.clone()),
            batch: Arc::new(self.batch.clone()),
            tokens: Arc::new(self.tokens.clone()),
            announcer: self.announcer(),
            clock: self.clock(),
        }
    }

    /// Returns what writes audit entries.
    #[must_use]
    pub fn audit_log(&self) -> AuditLog {
        AuditLog {
            table: Arc::new(self.table.clone()),
            bucket: Arc::new(self.audit.clone()),
            branch: Arc::new(self.forge.clone()),
            enrolments: self.enrolments(),
        }
    }

    /// Returns the enrolled repositories.
    #[must_use]
    pub fn enrolments(&self) -> Arc<dyn Enrolments> {
        Arc::new(self.enrolments.clone())
    }

    /// Returns the ports of the targets.
    #[must_use]
    pub fn targets(&self) -> Targets {
        Targets {
            services: Arc::new(self.services.clone()),
        }
    }

    /// Returns the environments, as a step changes them.
    #[must_use]
    pub fn environments(&self) -> Environments<'_> {
        Environments {
            table: &self.table,
            tokens: &self.tokens,
            clock: &self.clock,
        }
    }

    /// Stores a new run.
    pub async fn insert(&self, run: &Run) {
        insert(&self.table, run).await.expect("a table");
    }

    /// Returns a stored run.
    pub async fn run(&self, id: &RunId) -> Run {
        load_run(&self.table, id).await.expect("a stored run")
    }

    /// Changes a stored run, as another step does.
    pub async fn change_run(&self, id: &RunId, change: impl Fn(&mut Run)) {
        let changed = update_run(&self.table, id, |run| {
            change(run);
            Ok(())
        });
        changed.await.expect("a stored run");
    }

    /// Opens a task token and queues the run for its environment.
    ///
    /// # Errors
    /// Fails as [`Environments::acquire`] does.
    pub async fn acquire(&self, id: &RunId, token: &str) -> Result<()> {
        self.tokens.open(token);
        // What a run announces before a test is not part of the test.
        let discarded = Announcer::new(Arc::new(FakeStatusQueue::new()), self.clock());
        let acquired = self.environments().acquire(id, token, &discarded).await;
        acquired.map(|_| ())
    }

    /// Returns the run that holds the environment.
    #[must_use]
    pub fn holder(&self) -> Option<RunId> {
        let environment = self.table.environment();
        environment.holder().map(|holder| holder.run.clone())
    }

    /// Returns the audit chain as it is in the bucket.
    #[must_use]
    pub fn audit_chain(&self) -> Vec<Found> {
        let found = |name: String| Found {
            bytes: self.audit.peek(&name).expect("a listed object"),
            name,
        };
        self.audit.keys().into_iter().map(found).collect()
    }

    /// Returns the entries of the audit chain, which has no gap.
    #[must_use]
    pub fn audit_entries(&self) -> Vec<Entry> {
        let chain = self.audit_chain();
        verify(&chain, None).expect("an audit chain");
        let entries = chain.iter();
        entries
            .map(|found| Entry::from_bytes(&found.bytes).expect("an audit entry"))
            .collect()
    }

    /// Stores a run whose execution `execution` runs, and which requested its environment with the token `token`. The
    /// first such run holds it.
    pub async fn queue_run(&self, mut run: Run, execution: &str, token: &str) -> RunId {
        samples::edit(&mut run, "/execution", execution);
        self.insert(&run).await;
        let event = serde_json::to_string(run.trigger()).expect("it is written as JSON");
        self.executions.begin(run.execution(), &event);
        self.acquire(run.id(), token).await.expect("an environment");
        run.id().clone()
    }

    /// Returns the objects of a run of the sample repository.
    #[must_use]
    pub fn objects_of(&self, run: &RunId) -> RunObjects {
        samples::objects(run)
    }

    /// Returns an object as a job's result names it, see [`Self::leave_result`].
    #[must_use]
    pub fn object_of(&self, run: &RunId, job: &JobId, object: ObjectRef) -> ObjectRef {
        let key = format!("{}{job}/{}", self.objects_of(run).jobs(), object.key);
        ObjectRef { key, ..object }
    }

    /// Returns the sealed spec of a job.
    #[must_use]
    pub fn job_spec(&self, run: &RunId, job: &JobId) -> JobSpec {
        let key = self.objects_of(run).job(job, JobFile::Spec);
        let bytes = self.artifacts.peek(&key).expect("a job spec");
        assert!(job.seals(&bytes), "{job} seals another spec");
        serde_json::from_slice(&bytes).expect("a job spec")
    }

    /// Claims a job, as its container does first.
    pub fn claim_job(&self, run: &RunId, job: &JobId) {
        let key = self.objects_of(run).job(job, JobFile::Started);
        self.artifacts.set(&key, "{}");
    }

    /// Stores the JSON of a plan, as the runner does.
    pub fn store_plan(&self, run: &RunId, job: &JobId, plan: &PlanJson) -> ObjectRef {
        let (key, bytes) = (
            self.objects_of(run).job(job, JobFile::PlanJson),
            plan.to_bytes(),
        );
        let sha256 = Sha256Digest::of(&bytes);
        self.artifacts.set(&key, bytes);
        ObjectRef { key, sha256 }
    }

    /// Leaves the result of a job, as the runner does. An object whose key has no folder is one of the
    /// job.
    pub fn leave_result(&self, run: &RunId, job: &JobId, outcome: JobOutcome) {
        let folder = format!("{}{job}/", self.objects_of(run).jobs());
        let result = JobResult {
            schema: JOB_SCHEMA,
            run: run.clone(),
            job: job.clone(),
            outcome,
            duration_ms: 1,
            exit_code: 0,
        };
        let mut result = serde_json::to_value(&result).expect("it is written as JSON");
        put_into(&folder, &mut result);
        let bytes = serde_json::to_vec(&result).expect("it is written as JSON");
        let key = self.objects_of(run).job(job, JobFile::Result);
        self.artifacts.set(&key, bytes);
    }

    /// Returns the status messages in the queue, in order.
    #[must_use]
    pub fn announced(&self) -> Vec<StatusData> {
        let messages = self.status.messages().into_iter();
        messages
            .map(|message| parse(&message.body).expect("a status message").data)
            .collect()
    }

    /// Returns the verdicts and decisions that waiting runs received, by task token.
    #[must_use]
    pub fn answers(&self) -> Vec<(String, String)> {
        let verdict = |output: &str| {
            let output: serde_json::Value = serde_json::from_str(output).expect("JSON");
            let verdict = output.get("verdict").or_else(|| output.get("decision"));
            let verdict = verdict.and_then(serde_json::Value::as_str);
            verdict.expect("a verdict").to_owned()
        };
        let outputs = self.tokens.outputs().into_iter();
        outputs
            .map(|(token, output)| (token, verdict(&output)))
            .collect()
    }

    /// Returns what other processes can see, as text: the items, the names of the objects, the
    /// images' tags, the answers to waits and the ids of the status messages. A repeated story
    /// leaves the same text.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for key in self.table.keys() {
            let item = self.table.peek(&key).expect("an item of the list");
            lines.push(format!("{} {}", key.pk, item.doc));
        }
        lines.extend(self.artifacts.keys());
        lines.extend(self.audit.keys());
        lines.extend(self.registry.images());
        // A run that is notified twice receives one answer.
        let mut answers = self.answers();
        answers.dedup();
        lines.extend(answers.into_iter().map(|answer| format!("{answer:?}")));
        let messages = self.status.messages().into_iter();
        lines.extend(messages.map(|message| message.id));
        lines.join("\n")
    }
}

/// Puts each object that a document names by a key without a folder into a folder.
fn put_into(folder: &str, document: &mut serde_json::Value) {
    match document {
        serde_json::Value::Object(fields) => {
            let is_object = fields.contains_key("sha256");
            for (name, value) in fields {
                match value {
                    serde_json::Value::String(key)
                        if is_object && name == "key" && !key.contains('/') =>
                    {
                        key.insert_str(0, folder);
                    }
                    other => put_into(folder, other),
                }
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                put_into(folder, item);
            }
        }
        _ => {}
    }
}

/// Returns the error of an AWS API that throttles, which the state machine retries.
#[must_use]
pub fn throttled() -> StepError {
    StepError::new(domain::error::ErrorName::AwsThrottled, "slow down")
}
