//! What the stand-ins of the local run ask of the emulator: logs, events and objects.
//!
//! No port: nothing of this is used on AWS, where Batch and CodeBuild do it themselves.

use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cloudwatchlogs::error::{DisplayErrorContext, SdkError};
use aws_sdk_cloudwatchlogs::operation::create_log_stream::CreateLogStreamError;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_smithy_http_client::Builder;

/// A call to the emulator failed.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// The thing asked for does not exist.
    #[error("{0} does not exist")]
    Missing(String),
    /// Anything else, with the causes.
    #[error("{0}")]
    Failed(String),
}

/// Clients of an emulator at a plain HTTP endpoint.
#[derive(Clone, Debug)]
pub struct EmulatorClient {
    logs: aws_sdk_cloudwatchlogs::Client,
    events: aws_sdk_eventbridge::Client,
    objects: aws_sdk_s3::Client,
}

impl EmulatorClient {
    /// `endpoint` is such as `http://127.0.0.1:4566`; the credentials are `test`/`test`.
    #[must_use]
    pub fn new(endpoint: &str, region: &str) -> Self {
        let credentials = Credentials::new("test", "test", None, None, "local run");
        let http = Builder::new().build_http();
        let region = Region::new(region.to_owned());
        let logs = aws_sdk_cloudwatchlogs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(region.clone())
            .credentials_provider(credentials.clone())
            .http_client(http.clone())
            .build();
        let events = aws_sdk_eventbridge::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(region.clone())
            .credentials_provider(credentials.clone())
            .http_client(http.clone())
            .build();
        let objects = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(region)
            .credentials_provider(credentials)
            .http_client(http)
            .force_path_style(true)
            .build();
        Self {
            logs: aws_sdk_cloudwatchlogs::Client::from_conf(logs),
            events: aws_sdk_eventbridge::Client::from_conf(events),
            objects: aws_sdk_s3::Client::from_conf(objects),
        }
    }

    /// Makes a log group; one that exists is fine.
    ///
    /// # Errors
    /// [`EmulatorError::Failed`].
    pub async fn create_log_group(&self, group: &str) -> Result<(), EmulatorError> {
        match self
            .logs
            .create_log_group()
            .log_group_name(group)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_resource_already_exists_exception() => Ok(()),
                _ => Err(failed(&error)),
            },
        }
    }

    /// Makes a log stream; one that exists is fine.
    ///
    /// # Errors
    /// [`EmulatorError::Missing`] when there is no such group.
    pub async fn create_log_stream(&self, group: &str, stream: &str) -> Result<(), EmulatorError> {
        let call = self
            .logs
            .create_log_stream()
            .log_group_name(group)
            .log_stream_name(stream);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(CreateLogStreamError::ResourceAlreadyExistsException(_)) => Ok(()),
                Some(CreateLogStreamError::ResourceNotFoundException(_)) => {
                    Err(EmulatorError::Missing(format!("log group {group}")))
                }
                _ => Err(failed(&error)),
            },
        }
    }

    /// Appends lines (milliseconds since 1970, text) to a stream, oldest first.
    ///
    /// # Errors
    /// [`EmulatorError::Failed`].
    pub async fn write_logs(
        &self,
        group: &str,
        stream: &str,
        lines: impl IntoIterator<Item = (i64, &str)>,
    ) -> Result<(), EmulatorError> {
        let mut events = Vec::new();
        for (at, text) in lines {
            let event = InputLogEvent::builder().timestamp(at).message(text).build();
            events.push(event.map_err(|error| EmulatorError::Failed(error.to_string()))?);
        }
        let call = self
            .logs
            .put_log_events()
            .log_group_name(group)
            .log_stream_name(stream);
        call.set_log_events(Some(events))
            .send()
            .await
            .map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Puts one event on the default bus; `detail` is JSON.
    ///
    /// # Errors
    /// [`EmulatorError::Failed`], also when the bus refuses the event.
    pub async fn put_event(
        &self,
        source: &str,
        detail_type: &str,
        resources: &[String],
        detail: &str,
    ) -> Result<(), EmulatorError> {
        let entry = PutEventsRequestEntry::builder()
            .source(source)
            .detail_type(detail_type)
            .set_resources(Some(resources.to_vec()))
            .detail(detail)
            .build();
        let answer = self.events.put_events().entries(entry).send().await;
        let answer = answer.map_err(|error| failed(&error))?;
        match answer.entries().iter().find_map(|entry| entry.error_code()) {
            None => Ok(()),
            Some(code) => Err(EmulatorError::Failed(format!(
                "PutEvents refused it: {code}"
            ))),
        }
    }

    /// Reads an object whole.
    ///
    /// # Errors
    /// [`EmulatorError::Missing`] when there is no such object.
    pub async fn object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, EmulatorError> {
        let answer = self
            .objects
            .get_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await;
        let answer = answer.map_err(|error| match error.as_service_error() {
            Some(refused) if refused.is_no_such_key() => {
                EmulatorError::Missing(format!("{bucket}/{key}"))
            }
            _ => failed(&error),
        })?;
        let bytes = answer.body.collect().await;
        let bytes = bytes.map_err(|error| EmulatorError::Failed(error.to_string()))?;
        Ok(bytes.to_vec())
    }
}

fn failed<
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
>(
    error: &SdkError<E, R>,
) -> EmulatorError {
    EmulatorError::Failed(DisplayErrorContext(error).to_string())
}
