use async_trait::async_trait;
use domain::enrolment::EnrolledRepository;
use domain::error::{ErrorName, StepError};
use domain::ids::{BranchRef, BuildId, CommitId, ImageDigest, JobId, RoleArn, RunId};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of a port's call. The port names the error, because only the port knows the other
/// side's response.
pub type Result<T> = std::result::Result<T, StepError>;

/// The key of an item in the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemKey {
    /// The partition key, such as `RUN#shop-1a2b3c4d-9f8e7d`.
    pub pk: String,
    /// The sort key, such as `RUN`.
    pub sk: String,
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pk, self.sk)
    }
}

/// An item to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemBody {
    /// The document, as JSON.
    pub doc: String,
    /// The item's place in the index `by-kind`, if it is listed.
    pub index: Option<IndexKey>,
    /// When the item expires.
    pub expires: Option<Timestamp>,
}

/// A place in the index `by-kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexKey {
    /// The partition key, such as `RUNS`.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

/// The order of the items of a partition of the index, by the sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The oldest run first.
    Ascending,
    /// The newest run first.
    Descending,
}

/// The last item of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The item's key.
    pub key: ItemKey,
    /// The item's place in the index.
    pub index: IndexKey,
}

/// Some items of a partition of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The items. There may be none although more follow.
    pub items: Vec<Item>,
    /// Where the next page begins, or none if this is the last one.
    pub next: Option<Cursor>,
}

/// An item as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The document, as JSON.
    pub doc: String,
    /// The version, from 1. Each write increments it.
    pub version: u64,
}

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The item or object was written.
    Yes,
    /// The condition did not hold, so nothing was written.
    No,
}

/// The pipeline's table.
#[async_trait]
pub trait Table: Send + Sync {
    /// Reads an item with a strongly consistent read.
    async fn get(&self, key: &ItemKey) -> Result<Option<Item>>;
    /// Writes an item that must not exist yet, as version 1.
    async fn insert(&self, key: &ItemKey, body: &ItemBody) -> Result<Written>;
    /// Writes the next version of an item that must have this version.
    async fn replace(&self, key: &ItemKey, body: &ItemBody, version: u64) -> Result<Written>;
    /// Reads the items of a partition of the index, in descending order of the sort key.
    async fn list(&self, index_pk: &str, limit: u32) -> Result<Vec<Item>>;
    /// Reads the next items of a partition of the index: those after `after`, or the first ones.
    async fn page(&self, index_pk: &str, order: Order, after: Option<&Cursor>) -> Result<Page>;
}

/// An S3 bucket.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Reads an object.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>>;
    /// Reads an object of at most `limit` bytes. Does not read a larger one into memory.
    async fn get_limited(&self, key: &str, limit: usize) -> Result<Option<Limited>>;
    /// Writes an object.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()>;
    /// Writes an object that must not exist yet.
    async fn put_if_absent(&self, key: &str, bytes: Vec<u8>) -> Result<Written>;
    /// Lists the keys with a prefix, in order. Only the command line uses it. A step knows its
    /// keys.
    async fn list(&self, prefix: &str) -> Result<Vec<String>>;
    /// Returns the bucket's name.
    fn bucket(&self) -> &str;
}

/// An object that is read up to a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limited {
    /// All of it.
    Whole(Vec<u8>),
    /// It is larger than the limit.
    TooLarge,
}

/// The status queue.
#[async_trait]
pub trait StatusQueue: Send + Sync {
    /// Sends a message. Messages of one group arrive in order. A second message with the same id
    /// within five minutes is dropped.
    async fn send(&self, group: &str, id: &str, body: &str) -> Result<()>;
}

/// The project's event bus.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Publishes an event. The bus has accepted it when this returns.
    async fn publish(&self, source: &str, detail_type: &str, detail: &str) -> Result<()>;
}

/// Whether a wait still existed when its task token was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// The answer ended the wait.
    Open,
    /// The wait had already ended: it was answered before, it timed out, or its execution ended.
    Closed,
}

/// Step Functions' task tokens.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Ends a wait with an output, as JSON.
    async fn succeed(&self, token: &str, output: &str) -> Result<TokenState>;
    /// Ends a wait with an error. The state machine catches it by its name. `cause` is text for a
    /// person.
    async fn fail(&self, token: &str, error: ErrorName, cause: &str) -> Result<TokenState>;
}

pub use domain::reconcile::ExecutionState;
pub use domain::step::Started;

/// An execution of the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The status.
    pub state: ExecutionState,
    /// The input, as JSON.
    pub input: String,
}

/// Executions of the state machine.
#[async_trait]
pub trait Executions: Send + Sync {
    /// Describes an execution, or returns none if Step Functions does not know it. The status may
    /// lag behind.
    async fn describe(&self, arn: &str) -> Result<Option<Execution>>;
    /// Starts the execution of a run, with the run's id as its name. Starts no second execution of
    /// that name as long as Step Functions keeps the first: 90 days after its end.
    async fn start(&self, name: &RunId, input: &str) -> Result<Started>;
}

/// A job in Batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchJob {
    /// The id that Batch assigned.
    pub id: String,
    /// The job's progress.
    pub progress: JobProgress,
    /// Batch's description for a person: the state, the reason and the exit code.
    pub description: String,
}

/// The progress of a job in Batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobProgress {
    /// The job waits or runs, and may still change something.
    Open,
    /// The job succeeded or failed.
    Ended,
}

/// AWS Batch, to find and terminate jobs that the state machine no longer tracks.
#[async_trait]
pub trait BatchJobs: Send + Sync {
    /// Finds the jobs with this name, in any state.
    async fn find(&self, name: &JobId) -> Result<Vec<BatchJob>>;
    /// Terminates a job. A waiting job never starts. A running job gets SIGTERM. A job that has
    /// ended is not changed.
    async fn terminate(&self, id: &str, why: &str) -> Result<()>;
}

/// Secrets Manager.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Reads a secret's text. Callers must not log it or put it in a message.
    async fn get(&self, arn: &str) -> Result<String>;
}

/// The image registry.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Finds an image by tag. `image` is `registry/repository`.
    async fn find(&self, image: &str, tag: &str) -> Result<Option<ImageDigest>>;
    /// Adds a tag to an image. Succeeds if the image already has the tag.
    async fn tag(&self, image: &str, digest: &ImageDigest, tag: &str) -> Result<()>;
}

/// The state of an ECS service and its rollouts.
pub use domain::release::ecs::{RolloutProgress, RolloutState, ServiceState};

/// The changes to a task definition in a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRevision {
    /// The task definition that Terraform created. Everything else is copied from it.
    pub template: String,
    /// The container that gets the image.
    pub container: String,
    /// `registry/repository@sha256:...`.
    pub image: String,
    /// The variables that are set in that container.
    pub environment: BTreeMap<String, String>,
}

/// The IAM roles of a task definition, as ARNs or names.
pub type TaskRoles = Vec<String>;

/// Amazon ECS.
#[async_trait]
pub trait Services: Send + Sync {
    /// Returns the roles of a task definition: of the tasks, and of their start.
    async fn task_roles(&self, task_definition: &str) -> Result<TaskRoles>;
    /// Describes a service.
    async fn describe(&self, cluster: &str, service: &str) -> Result<ServiceState>;
    /// Registers a task definition, and returns its ARN.
    async fn register(&self, revision: &TaskRevision) -> Result<String>;
    /// Returns the image of a container of a task definition, or none if it has no such container.
    async fn image(&self, task_definition: &str, container: &str) -> Result<Option<String>>;
    /// Starts a rollout. Without a desired number of tasks, the service keeps its own.
    async fn update(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
        desired: Option<u32>,
    ) -> Result<()>;
}

/// The logs of image builds.
#[async_trait]
pub trait BuildLogs: Send + Sync {
    /// Returns the last lines of a build's log, at most `limit`, the oldest first.
    async fn tail(&self, build: &BuildId, limit: usize) -> Result<Vec<String>>;
}

/// The ports of the deployment targets.
#[derive(Clone)]
pub struct Targets {
    /// Amazon ECS.
    pub services: Arc<dyn Services>,
}

/// Reaches the targets of environments.
#[async_trait]
pub trait TargetRoles: Send + Sync {
    /// Returns the ports of the targets, with the rights of an environment's deploy role. The run
    /// names the session, so that CloudTrail shows which run did what.
    async fn assume(&self, role: &RoleArn, run: &RunId) -> Result<Targets>;
}

/// An HTTP response of the application.
pub use domain::rollout::HttpReply;

/// Probes the delivered application.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Sends a GET request. Does not follow redirects.
    ///
    /// The error is text for a person, such as a refused connection or a timeout.
    async fn get(&self, url: &str, timeout: Duration) -> std::result::Result<HttpReply, String>;
}

/// A file in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The path from the root, with `/` as the separator.
    pub path: String,
    /// The kind of the file.
    pub kind: FileKind,
    /// The content. For a symbolic link, its target.
    pub bytes: Vec<u8>,
}

pub use domain::source_rules::FileKind;

/// A file in a commit whose content was not read: nothing reads it, or it is too large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadFile {
    /// The path from the root, with `/` as the separator.
    pub path: String,
    /// The kind of the file.
    pub kind: FileKind,
    /// The size of the content, in bytes.
    pub size: u64,
    /// Git's digest of the content.
    pub id: String,
}

/// The content of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit id.
    pub commit: CommitId,
    /// The author's name.
    pub author: String,
    /// The message's first line.
    pub subject: String,
    /// The files, ordered by path.
    pub files: Vec<SnapshotFile>,
    /// The files that were not read, ordered by path.
    pub unread: Vec<UnreadFile>,
    /// Git's digest of each directory's tree. The root is the empty path.
    pub trees: BTreeMap<String, CommitId>,
}

/// The state of a commit's status at its forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitState {
    /// The run continues.
    Pending,
    /// The run succeeded.
    Success,
    /// The run failed because of the commit.
    Failure,
    /// The run failed because of the pipeline.
    Error,
}

/// A status on a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// The state.
    pub state: CommitState,
    /// The name that distinguishes the commit's statuses, such as `sluicegate/production`.
    pub context: String,
    /// One line for a person. At most 140 characters.
    pub description: String,
}

/// A file to add to the audit branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFile {
    /// The file's path on the branch.
    pub path: String,
    /// The file's content.
    pub bytes: Vec<u8>,
    /// The message of the commit that adds the file.
    pub message: String,
    /// The time of the commit that adds the file.
    pub at: Timestamp,
}

/// Fetches commits from the forge.
#[async_trait]
pub trait SourceFetcher: Send + Sync {
    /// Fetches a commit by its full id, without history.
    async fn fetch(&self, repository: &EnrolledRepository, commit: &CommitId) -> Result<Snapshot>;
}

/// Reads branches at the forge.
#[async_trait]
pub trait BranchTips: Send + Sync {
    /// Returns the commits that branches point to, with one request. A branch that does not exist is left out.
    async fn tips(
        &self,
        repository: &EnrolledRepository,
        branches: &[BranchRef],
    ) -> Result<BTreeMap<BranchRef, CommitId>>;
}

/// Whether a branch has a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBranch {
    /// The commit is the branch's tip, or one of its ancestors.
    Yes,
    /// The branch does not have it: it was retracted, or it was never pushed to this branch.
    No,
}

/// Reads the history of branches at the forge.
#[async_trait]
pub trait BranchHistory: Send + Sync {
    /// Returns whether a branch has a commit. git serves a commit by its id whether a branch has it or
    /// not.
    async fn has(
        &self,
        repository: &EnrolledRepository,
        branch: &BranchRef,
        commit: &CommitId,
    ) -> Result<OnBranch>;
}

/// The statuses of commits at their forge.
#[async_trait]
pub trait CommitStatuses: Send + Sync {
    /// Sets a status. A later status with the same context replaces it.
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

/// The source of the current time.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}
