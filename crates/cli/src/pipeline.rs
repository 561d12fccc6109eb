//! The services that the commands use.

use crate::failure::Outcome;
use crate::settings::{self, Settings};
use async_trait::async_trait;
use domain::error::StepError;
use engine::announce::Announcer;
use engine::{BatchJobs, Clock, Executions, Objects, SystemClock, Table, Tokens, Written};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The services that the commands use.
#[derive(Clone)]
pub struct Pipeline {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// The artifacts bucket.
    pub artifacts: Arc<dyn Objects>,
    /// The audit bucket.
    pub audit: Arc<dyn Objects>,
    /// Completes the task tokens of waiting runs.
    pub tokens: Arc<dyn Tokens>,
    /// CloudWatch Logs.
    pub logs: Arc<dyn LogSource>,
    /// The log groups, by the component that writes to them.
    pub log_groups: BTreeMap<String, String>,
    /// What recovers runs and states. None without a settings file.
    pub recovery: Option<Recovery>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// What recovers runs and states.
#[derive(Clone)]
pub struct Recovery {
    /// Executions of the state machine.
    pub executions: Arc<dyn Executions>,
    /// AWS Batch.
    pub batch: Arc<dyn BatchJobs>,
    /// The bucket of the stacks' states.
    pub states: Arc<dyn StateStore>,
    /// Announces the end of a run.
    pub announcer: Announcer,
}

/// A version of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateVersion {
    /// The id that S3 assigned.
    pub id: String,
    /// When it was written.
    pub at: Timestamp,
    /// Its size in bytes.
    pub bytes: i64,
}

/// The bucket of the stacks' states, with its versions.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Reads an object.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StepError>;
    /// Writes an object if there is none.
    async fn create(&self, key: &str, bytes: Vec<u8>) -> Result<Written, StepError>;
    /// Writes an object. Its earlier versions stay.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), StepError>;
    /// Deletes an object. Its versions stay.
    async fn remove(&self, key: &str) -> Result<(), StepError>;
    /// Returns the versions of an object, the newest first.
    async fn versions(&self, key: &str) -> Result<Vec<StateVersion>, StepError>;
    /// Makes an earlier version of an object its newest one.
    async fn restore(&self, key: &str, version: &str) -> Result<(), StepError>;
}

#[async_trait]
impl StateStore for aws::Bucket {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StepError> {
        Objects::get(self, key).await
    }

    async fn create(&self, key: &str, bytes: Vec<u8>) -> Result<Written, StepError> {
        Objects::put_if_absent(self, key, bytes).await
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), StepError> {
        Objects::put(self, key, bytes).await
    }

    async fn remove(&self, key: &str) -> Result<(), StepError> {
        Self::remove(self, key).await
    }

    async fn versions(&self, key: &str) -> Result<Vec<StateVersion>, StepError> {
        let versions = Self::versions(self, key).await?;
        Ok(versions
            .into_iter()
            .map(|version| StateVersion {
                id: version.id,
                at: version.at,
                bytes: version.bytes,
            })
            .collect())
    }

    async fn restore(&self, key: &str, version: &str) -> Result<(), StepError> {
        Self::restore(self, key, version).await
    }
}

/// A line of a CloudWatch Logs stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLine {
    /// When it was written.
    pub at: Timestamp,
    /// The name of the stream.
    pub stream: String,
    /// The text.
    pub text: String,
}

/// Reads log groups.
#[async_trait]
pub trait LogSource: Send + Sync {
    /// Reads the lines of a group since a time, the oldest first.
    async fn read(&self, group: &str, since: Timestamp) -> Result<Vec<StreamLine>, StepError>;
}

/// The most lines of a group that are read. The lines of other runs count too.
const LINES: usize = 20_000;

#[async_trait]
impl LogSource for aws::Logs {
    async fn read(&self, group: &str, since: Timestamp) -> Result<Vec<StreamLine>, StepError> {
        let query = aws::LogQuery {
            group: group.to_owned(),
            since: Some(since),
            limit: LINES,
        };
        let lines = Self::read(self, &query).await?;
        Ok(lines
            .into_iter()
            .map(|line| StreamLine {
                at: line.at,
                stream: line.stream,
                text: line.text,
            })
            .collect())
    }
}

impl Pipeline {
    /// Returns what recovers runs and states.
    ///
    /// # Errors
    /// `SettingsInvalid` without a settings file.
    pub fn recovery(&self) -> Outcome<&Recovery> {
        self.recovery.as_ref().ok_or_else(settings::no_file)
    }

    /// Connects to the pipeline in AWS.
    ///
    /// # Errors
    /// `SettingsInvalid` if no region is set.
    pub async fn in_aws(settings: Settings) -> Outcome<Self> {
        let clients = aws::Clients::from_env().await?;
        let recovery = settings.recovery.as_ref().map(|found| {
            let queue = aws::SqsStatusQueue::new(&clients, &found.status_queue_url);
            Recovery {
                executions: Arc::new(aws::Executions::new(&clients, &found.state_machine_arn)),
                batch: Arc::new(aws::Batch::new(&clients, &found.job_queues)),
                states: Arc::new(aws::Bucket::new(&clients, &found.state_bucket)),
                announcer: Announcer::new(Arc::new(queue), Arc::new(SystemClock)),
            }
        });
        Ok(Self {
            recovery,
            table: Arc::new(aws::DynamoTable::new(&clients, &settings.table)),
            artifacts: Arc::new(aws::Bucket::new(&clients, &settings.bucket)),
            audit: Arc::new(aws::Bucket::new(&clients, &settings.audit_bucket)),
            tokens: Arc::new(aws::TaskTokens::new(&clients)),
            logs: Arc::new(aws::Logs::new(&clients)),
            log_groups: settings.log_groups,
            clock: Arc::new(SystemClock),
        })
    }
}
