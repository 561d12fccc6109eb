use crate::Clients;
use crate::errors::named;
use async_trait::async_trait;
use domain::ids::BuildId;
use engine::{BuildLogs, Result};
use jiff::Timestamp;

/// Reads CloudWatch Logs, for the command line.
#[derive(Debug, Clone)]
pub struct Logs {
    client: aws_sdk_cloudwatchlogs::Client,
}

/// Which lines to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The log group; all its streams are read.
    pub group: String,
    /// The earliest time, inclusive; `None` reads from the beginning.
    pub since: Option<Timestamp>,
    /// The most lines to read.
    pub limit: usize,
}

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, to the millisecond.
    pub at: Timestamp,
    /// The log stream that holds it.
    pub stream: String,
    /// The text, without the line end.
    pub text: String,
}

impl Logs {
    /// Log groups of the clients' account and region.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: aws_sdk_cloudwatchlogs::Client::new(clients.config()),
        }
    }

    /// Reads lines, oldest first.
    ///
    /// # Errors
    /// Those of AWS; `AwsRefused` if the group does not exist.
    pub async fn read(&self, query: &LogQuery) -> Result<Vec<LogLine>> {
        let call = format!("FilterLogEvents {}", query.group);
        let mut lines = Vec::new();
        let mut token = None;
        while lines.len() < query.limit {
            let filter = self
                .client
                .filter_log_events()
                .log_group_name(&query.group)
                .set_start_time(query.since.map(Timestamp::as_millisecond))
                .limit(page(query.limit - lines.len()))
                .set_next_token(token.take());
            let answer = filter.send().await.map_err(|error| named(&call, &error))?;
            for event in answer.events.unwrap_or_default() {
                lines.push(LogLine {
                    at: event
                        .timestamp
                        .and_then(|at| Timestamp::from_millisecond(at).ok())
                        .unwrap_or_default(),
                    stream: event.log_stream_name.unwrap_or_default(),
                    text: event.message.unwrap_or_default().trim_end().to_owned(),
                });
            }
            // A page may be empty although more pages follow.
            match answer.next_token {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        lines.truncate(query.limit);
        // Pages of several streams are not in order of time.
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }
}

/// The log groups of builds: one for each CodeBuild project, with a stream for each build.
#[derive(Debug, Clone)]
pub struct BuildLogGroups {
    client: aws_sdk_cloudwatchlogs::Client,
}

impl BuildLogGroups {
    /// The groups in the clients' account and region.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: aws_sdk_cloudwatchlogs::Client::new(clients.config()),
        }
    }
}

#[async_trait]
impl BuildLogs for BuildLogGroups {
    async fn tail(&self, build: &BuildId, limit: usize) -> Result<Vec<String>> {
        let group = format!("/aws/codebuild/{}", build.project());
        let stream = build.log_stream();
        let call = format!("GetLogEvents {group} {stream}");
        let tail = self
            .client
            .get_log_events()
            .log_group_name(&group)
            .log_stream_name(stream)
            .start_from_head(false)
            .limit(page(limit));
        let answer = tail.send().await.map_err(|error| named(&call, &error))?;
        let lines = answer.events.unwrap_or_default().into_iter();
        Ok(lines
            .map(|event| event.message.unwrap_or_default().trim_end().to_owned())
            .collect())
    }
}

/// AWS returns at most 10,000 lines in a page.
fn page(left: usize) -> i32 {
    i32::try_from(left.min(10_000)).unwrap_or(10_000)
}
