use crate::Clients;
use crate::errors::named;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata as _;
use engine::Result;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Reads CloudWatch Logs, for the command line.
#[derive(Debug, Clone)]
pub struct Logs {
    client: aws_sdk_cloudwatchlogs::Client,
}

/// Which lines are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The log group.
    pub group: String,
    /// Which of its streams.
    pub streams: Streams,
    /// The first moment that is read; all from the beginning when there is none.
    pub since: Option<Timestamp>,
    /// How many lines are read at most.
    pub limit: usize,
}

/// Which streams of a group are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Streams {
    /// All of them.
    All,
    /// The one of this name.
    Named(String),
    /// Those whose names begin so.
    Prefix(String),
}

impl Streams {
    fn contain(&self, stream: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(name) => stream == name,
            Self::Prefix(prefix) => stream.starts_with(prefix),
        }
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// The stream.
    pub stream: String,
    /// The text, without the line's end.
    pub text: String,
}

/// A reader that goes on from where it was.
#[derive(Debug, Clone)]
pub struct Tail {
    logs: Logs,
    query: LogQuery,
    /// Lines of the last moment that were given already: the next question asks for that moment
    /// again, since more may have been written in the same millisecond.
    given: BTreeSet<String>,
}

impl Logs {
    /// The log groups of this account and region.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: clients.cloudwatchlogs(),
        }
    }

    /// Reads lines, the oldest first. A stream that does not exist (yet) has no lines.
    ///
    /// # Errors
    /// Those of AWS; `AwsRefused` when there is no such group.
    pub async fn read(&self, query: &LogQuery) -> Result<Vec<LogLine>> {
        Ok(self
            .events(query)
            .await?
            .into_iter()
            .map(|(_, line)| line)
            .collect())
    }

    /// Follows lines: each call of [`Tail::next`] gives those that are new.
    #[must_use]
    pub fn tail(&self, query: LogQuery) -> Tail {
        Tail {
            logs: self.clone(),
            query,
            given: BTreeSet::new(),
        }
    }

    async fn events(&self, query: &LogQuery) -> Result<Vec<(String, LogLine)>> {
        let call = format!("FilterLogEvents {} {:?}", query.group, query.streams);
        let mut lines = Vec::new();
        let mut token = None;
        while lines.len() < query.limit {
            let mut filter = self
                .client
                .filter_log_events()
                .log_group_name(&query.group)
                .set_start_time(query.since.map(Timestamp::as_millisecond))
                .limit(page(query.limit - lines.len()))
                .set_next_token(token.take());
            filter = match &query.streams {
                Streams::All => filter,
                Streams::Named(name) => filter.log_stream_names(name),
                Streams::Prefix(prefix) => filter.log_stream_name_prefix(prefix),
            };
            let answer = match filter.send().await {
                Ok(answer) => answer,
                Err(error) if error.message().is_some_and(is_about_a_stream) => break,
                Err(error) => return Err(named(&call, &error)),
            };
            for event in answer.events.unwrap_or_default() {
                // AWS filters by itself; an emulator may give all streams.
                let stream = event.log_stream_name.unwrap_or_default();
                if !query.streams.contain(&stream) {
                    continue;
                }
                let line = LogLine {
                    at: event
                        .timestamp
                        .and_then(|at| Timestamp::from_millisecond(at).ok())
                        .unwrap_or_default(),
                    stream,
                    text: event.message.unwrap_or_default().trim_end().to_owned(),
                };
                lines.push((event.event_id.unwrap_or_default(), line));
            }
            // A page may be empty although there are more.
            match answer.next_token {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        lines.truncate(query.limit);
        // Pages of several streams need not be in order of time.
        lines.sort_by_key(|(_, line)| line.at);
        Ok(lines)
    }
}

/// The error is the same for a missing group, `The specified log group does not exist.`, and a
/// missing stream.
fn is_about_a_stream(message: &str) -> bool {
    message.contains("log stream does not exist")
}

/// AWS gives at most 10,000 lines a page.
fn page(left: usize) -> i32 {
    i32::try_from(left.min(10_000)).unwrap_or(10_000)
}

impl Tail {
    /// Reads the lines that are new since the last call. It does not wait for any.
    ///
    /// # Errors
    /// As [`Logs::read`].
    pub async fn next(&mut self) -> Result<Vec<LogLine>> {
        let events = self.logs.events(&self.query).await?;
        Ok(self.take(events))
    }

    fn take(&mut self, events: Vec<(String, LogLine)>) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for (id, line) in events {
            // An emulator may give no ids: the line itself tells it from others then.
            let id = if id.is_empty() {
                format!("{} {} {}", line.at, line.stream, line.text)
            } else {
                id
            };
            if self.given.contains(&id) {
                continue;
            }
            if self.query.since.is_none_or(|since| line.at > since) {
                self.query.since = Some(line.at);
                self.given.clear();
            }
            self.given.insert(id);
            lines.push(line);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[tokio::test]
    async fn a_tail_gives_each_line_once() {
        let clients = Clients::of_emulator("http://127.0.0.1:1", "eu-central-1").await;
        let mut tail = Logs::new(&clients).tail(LogQuery {
            group: "g".into(),
            streams: Streams::All,
            since: None,
            limit: 100,
        });
        let event = |id: &str, at: i64| {
            let line = LogLine {
                at: Timestamp::from_millisecond(at).unwrap(),
                stream: "s".into(),
                text: id.to_owned(),
            };
            (id.to_owned(), line)
        };
        assert_eq!(tail.take(vec![event("a", 1), event("b", 2)]).len(), 2);
        assert_eq!(tail.query.since.unwrap().as_millisecond(), 2);
        let texts: Vec<_> = tail
            .take(vec![event("b", 2), event("c", 2), event("d", 3)])
            .into_iter()
            .map(|line| line.text)
            .collect();
        assert_eq!(texts, ["c", "d"]);
        assert!(tail.take(vec![event("d", 3)]).is_empty());
    }

    #[test]
    fn a_missing_stream_is_told_from_a_missing_group() {
        assert!(is_about_a_stream(
            "The specified log stream does not exist."
        ));
        assert!(!is_about_a_stream(
            "The specified log group does not exist."
        ));
    }
}
