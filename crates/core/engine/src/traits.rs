use async_trait::async_trait;
use domain::error::{ErrorName, StepError};
use domain::event::EnrolledRepository;
use domain::ids::{CommitId, ImageDigest, JobId};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// What every port answers: the error is named already, since only the port knows what the other
/// side said.
pub type Result<T> = std::result::Result<T, StepError>;

/// The key of a record in the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// The partition key, such as `RUN#shop-1a2b3c4d-9f8e7d`.
    pub pk: String,
    /// The sort key, such as `RUN`.
    pub sk: String,
}

/// A record as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBody {
    /// The document, as JSON.
    pub doc: String,
    /// The place in the index `by-kind`, for records that are listed.
    pub index: Option<IndexKey>,
    /// When the record may be forgotten.
    pub expires: Option<Timestamp>,
}

/// A place in the index `by-kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexKey {
    /// The partition, such as `RUNS`.
    pub pk: String,
    /// The order within it.
    pub sk: String,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The document, as JSON.
    pub doc: String,
    /// The version, from 1; each write adds one.
    pub version: u64,
}

/// What a conditional write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It wrote.
    Yes,
    /// The condition did not hold; nothing was written.
    No,
}

/// Our own table.
#[async_trait]
pub trait Records: Send + Sync {
    /// Reads a record, strongly consistent.
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>>;
    /// Writes a record that must not exist yet, as version 1.
    async fn insert(&self, key: &RecordKey, body: &RecordBody) -> Result<Written>;
    /// Writes a record that must have this version, as the next one.
    async fn replace(&self, key: &RecordKey, body: &RecordBody, version: u64) -> Result<Written>;
    /// Reads the records of a partition of the index, the greatest sort key first.
    async fn list(&self, index_pk: &str, limit: u32) -> Result<Vec<Record>>;
}

/// A bucket.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Reads an object.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>>;
    /// Writes an object.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()>;
    /// Writes an object that must not exist yet.
    async fn put_if_absent(&self, key: &str, bytes: Vec<u8>) -> Result<Written>;
    /// Lists the keys with a prefix, in order. Only the command line lists: a step knows its keys.
    async fn list(&self, prefix: &str) -> Result<Vec<String>>;
    /// The bucket's name.
    fn bucket(&self) -> &str;
}

/// The status queue.
#[async_trait]
pub trait StatusQueue: Send + Sync {
    /// Sends a message. Messages of one group arrive in order; a second one with the same id
    /// within five minutes is dropped.
    async fn send(&self, group: &str, id: &str, body: &str) -> Result<()>;
}

/// The project's event bus.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Publishes an event; it is accepted when this returns.
    async fn publish(&self, source: &str, detail_type: &str, detail: &str) -> Result<()>;
}

/// Whether a wait still had its task token when it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// The answer ended the wait.
    Open,
    /// The wait had ended: it was answered before, it timed out, or its execution ended.
    Closed,
}

/// Step Functions' task tokens.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Ends a wait with an output, as JSON.
    async fn succeed(&self, token: &str, output: &str) -> Result<TokenState>;
    /// Ends a wait with an error, which the state machine catches by its name. `cause` is text
    /// for a person.
    async fn fail(&self, token: &str, error: ErrorName, cause: &str) -> Result<TokenState>;
}

/// Executions of the state machine.
#[async_trait]
pub trait Executions: Send + Sync {
    /// What an execution was started with, as JSON; none when Step Functions does not know it.
    async fn input(&self, arn: &str) -> Result<Option<String>>;
}

/// A job as Batch knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchJob {
    /// Batch's own id.
    pub id: String,
    /// How far it is.
    pub progress: JobProgress,
    /// What Batch says of it, for a person: its state, the reason, the exit code.
    pub said: String,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobProgress {
    /// It waits or runs: it may still change something.
    Open,
    /// It succeeded or failed.
    Ended,
}

/// AWS Batch, for the jobs that the state machine lost sight of.
#[async_trait]
pub trait BatchJobs: Send + Sync {
    /// Finds the jobs of a name, whatever their state.
    async fn find(&self, name: &JobId) -> Result<Vec<BatchJob>>;
    /// Ends a job: one that waits never starts, one that runs gets SIGTERM. One that ended is left
    /// as it is.
    async fn terminate(&self, id: &str, why: &str) -> Result<()>;
}

/// Secrets Manager.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Reads a secret's text. The caller keeps it out of every log and message.
    async fn get(&self, arn: &str) -> Result<String>;
}

/// The image registry.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Finds an image by tag. `image` is `registry/repository`.
    async fn find(&self, image: &str, tag: &str) -> Result<Option<ImageDigest>>;
    /// Gives an image one more tag. A tag that stands at this digest already is fine.
    async fn tag(&self, image: &str, digest: &ImageDigest, tag: &str) -> Result<()>;
}

/// How an ECS service and its rollouts stand.
pub use domain::ecs::{RolloutProgress, RolloutState, ServiceState};

/// What changes in a task definition from one deployment to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRevision {
    /// The task definition that Terraform made: all else is taken from it.
    pub template: String,
    /// The container that gets the image.
    pub container: String,
    /// `registry/repository@sha256:...`.
    pub image: String,
    /// Variables that are set in that container.
    pub environment: BTreeMap<String, String>,
}

/// ECS.
#[async_trait]
pub trait Services: Send + Sync {
    /// Describes a service.
    async fn describe(&self, cluster: &str, service: &str) -> Result<ServiceState>;
    /// Registers a task definition and gives its ARN.
    async fn register(&self, revision: &TaskRevision) -> Result<String>;
    /// Starts a rollout.
    async fn update(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
        desired: u32,
    ) -> Result<()>;
}

/// The answer of an address.
pub use domain::rollout::HttpReply;

/// Asks the delivered application how it is.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Gets an address. No redirects are followed.
    ///
    /// The error is text for a person: no connection, no answer in time.
    async fn get(&self, url: &str, timeout: Duration) -> std::result::Result<HttpReply, String>;
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Its path from the root, with `/`.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// Its bytes; a symbolic link's target.
    pub bytes: Vec<u8>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A plain file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link.
    Symlink,
    /// A submodule: nothing of it is fetched.
    Submodule,
}

/// A commit as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit.
    pub commit: CommitId,
    /// The author's name.
    pub author: String,
    /// The message's first line.
    pub subject: String,
    /// Every file, in the order of their paths.
    pub files: Vec<SnapshotFile>,
    /// Git's digest of each directory's tree; the root is the empty path.
    pub trees: BTreeMap<String, CommitId>,
}

/// The state that a commit shows at its forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitState {
    /// Work goes on.
    Pending,
    /// It is good.
    Success,
    /// The commit failed.
    Failure,
    /// The pipeline failed.
    Error,
}

/// A status on a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// The state.
    pub state: CommitState,
    /// Which of the commit's statuses: `sluicegate/production`.
    pub context: String,
    /// One line for a person, at most 140 characters.
    pub description: String,
}

/// A file for the audit branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFile {
    /// Its path on the branch.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The commit message.
    pub message: String,
    /// The commit's time.
    pub at: Timestamp,
}

/// Commits at the forge.
#[async_trait]
pub trait SourceFetcher: Send + Sync {
    /// Fetches a commit by its full id, without history.
    async fn fetch(&self, repository: &EnrolledRepository, commit: &CommitId) -> Result<Snapshot>;
}

/// Statuses that a commit shows at its forge.
#[async_trait]
pub trait CommitStatuses: Send + Sync {
    /// Sets a status. A later one with the same context replaces it.
    async fn set(
        &self,
        repository: &EnrolledRepository,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<()>;
}

/// The branch `sluicegate/audit`.
#[async_trait]
pub trait AuditBranch: Send + Sync {
    /// Adds files, one commit each, in order. Skips a file that the branch already holds with the
    /// same bytes. The branch only moves forward.
    async fn append(&self, repository: &EnrolledRepository, files: &[AuditFile]) -> Result<()>;
    /// Returns the number of the newest audit file, read from the file names. Ignores numbers above
    /// `up_to`: anyone who may push can add a file with any name.
    async fn newest(&self, repository: &EnrolledRepository, up_to: u64) -> Result<Option<u64>>;
}

/// The time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}
