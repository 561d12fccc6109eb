//! The services that the commands use.

use crate::failure::Outcome;
use crate::settings::Settings;
use async_trait::async_trait;
use domain::error::StepError;
use engine::{Clock, Objects, SystemClock, Table, Tokens};
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
    /// The clock.
    pub clock: Arc<dyn Clock>,
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
    /// Connects to the pipeline in AWS.
    ///
    /// # Errors
    /// `SettingsInvalid` if no region is set.
    pub async fn in_aws(settings: Settings) -> Outcome<Self> {
        let clients = aws::Clients::from_env().await?;
        Ok(Self {
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
