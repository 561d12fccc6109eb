//! The real emulator behind [`Cloud`].

use async_trait::async_trait;
use aws::emulator::{EmulatorClient, EmulatorError};

use super::cloud::{Cloud, CloudError, Event, LogLine};

/// The emulator at an endpoint.
#[derive(Clone, Debug)]
pub struct Emulator(EmulatorClient);

impl Emulator {
    /// `endpoint` is such as `http://127.0.0.1:4566`.
    #[must_use]
    pub fn new(endpoint: &str, region: &str) -> Self {
        Self(EmulatorClient::new(endpoint, region))
    }
}

impl From<EmulatorError> for CloudError {
    fn from(error: EmulatorError) -> Self {
        match error {
            EmulatorError::Missing(what) => Self::Missing(what),
            EmulatorError::Failed(why) => Self::Failed(why),
        }
    }
}

#[async_trait]
impl Cloud for Emulator {
    async fn create_log_group(&self, group: &str) -> Result<(), CloudError> {
        Ok(self.0.create_log_group(group).await?)
    }

    async fn create_log_stream(&self, group: &str, stream: &str) -> Result<(), CloudError> {
        Ok(self.0.create_log_stream(group, stream).await?)
    }

    async fn write_logs(
        &self,
        group: &str,
        stream: &str,
        lines: &[LogLine],
    ) -> Result<(), CloudError> {
        let lines = lines.iter().map(|line| (line.at, line.text.as_str()));
        Ok(self.0.write_logs(group, stream, lines).await?)
    }

    async fn publish(&self, event: &Event) -> Result<(), CloudError> {
        let detail = event.detail.to_string();
        let (source, detail_type) = (&event.source, &event.detail_type);
        Ok(self
            .0
            .put_event(source, detail_type, &event.resources, &detail)
            .await?)
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, CloudError> {
        Ok(self.0.object(bucket, key).await?)
    }
}
