use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
#[cfg(any(test, feature = "emulator"))]
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use domain::error::{ErrorName, StepError};
use domain::ids::RoleArn;
use std::net::IpAddr;
use std::time::Duration;

/// A TCP connection and its TLS handshake.
const CONNECT: Duration = Duration::from_secs(3);
/// One attempt of a call, its answer read.
const ATTEMPT: Duration = Duration::from_secs(8);
/// A call with all its attempts.
const OPERATION: Duration = Duration::from_secs(20);
/// A call that carries an object: its time depends on the size.
const TRANSFER: Duration = Duration::from_secs(120);
/// Attempts of a call, including the first.
const ATTEMPTS: u32 = 4;
/// The longest pause between two attempts.
const BACKOFF: Duration = Duration::from_secs(3);

/// Makes the clients of all services from one configuration and one connection pool.
#[derive(Debug, Clone)]
pub struct Clients {
    config: SdkConfig,
    path_style: bool,
}

impl Clients {
    /// Reads the region, the credentials and the endpoints (`AWS_ENDPOINT_URL`,
    /// `AWS_ENDPOINT_URL_S3` and the like) from the environment and the profile.
    ///
    /// # Errors
    /// `SettingsInvalid` if no region is set. Credentials are resolved by the first call.
    pub async fn from_env() -> Result<Self, StepError> {
        // Not the SDK's default chain: it asks the instance metadata service for a region and waits
        // for seconds where that does not exist.
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new());
        let region = region.region().await.ok_or_else(|| {
            StepError::new(
                ErrorName::SettingsInvalid,
                "no AWS region is set: expected AWS_REGION, or a region in the AWS profile",
            )
        })?;
        let config = loader(region).load().await;
        let endpoint = crate::config::s3_endpoint();
        let path_style = endpoint.is_some_and(|url| names_no_host_below_it(&url));
        Ok(Self { config, path_style })
    }

    /// Clients of an emulator at one endpoint, such as `http://127.0.0.1:4566`; the credentials
    /// are `test`/`test`.
    #[cfg(any(test, feature = "emulator"))]
    pub async fn of_emulator(endpoint: &str, region: &str) -> Self {
        let config = loader(Region::new(region.to_owned()))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "emulator"))
            .load()
            .await;
        Self {
            config,
            path_style: names_no_host_below_it(endpoint),
        }
    }

    /// The same clients with the rights of a role. The SDK assumes it with the first call, and again
    /// before its credentials expire.
    pub(crate) async fn with_role(&self, role: &RoleArn, session: &str) -> Self {
        let provider = AssumeRoleProvider::builder(role.as_str())
            .session_name(session)
            .configure(&self.config)
            .build()
            .await;
        let config = self.config.to_builder();
        Self {
            config: config
                .credentials_provider(SharedCredentialsProvider::new(provider))
                .build(),
            path_style: self.path_style,
        }
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        self.config.region().map_or("", Region::as_ref)
    }

    /// The configuration of a client that has the usual time limits.
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .disable_operation_attempt_timeout()
            .operation_timeout(TRANSFER)
            .build();
        let config = aws_sdk_s3::config::Builder::from(&self.config)
            .force_path_style(self.path_style)
            .timeout_config(timeouts)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// A client with a time limit that fits long polling.
    #[cfg(feature = "emulator")]
    pub(crate) fn sqs_listening(&self) -> aws_sdk_sqs::Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .disable_operation_attempt_timeout()
            .operation_timeout(OPERATION + OPERATION)
            .build();
        let config = aws_sdk_sqs::config::Builder::from(&self.config)
            .timeout_config(timeouts)
            .build();
        aws_sdk_sqs::Client::from_conf(config)
    }
}

fn loader(region: Region) -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http_client())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_max_backoff(BACKOFF),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(ATTEMPT)
                .operation_timeout(OPERATION)
                .build(),
        )
}

fn http_client() -> SharedHttpClient {
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// Returns whether the endpoint is an IP address or `localhost`, where `bucket.<host>` cannot
/// resolve.
fn names_no_host_below_it(endpoint: &str) -> bool {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_path_style() {
        for endpoint in [
            "http://127.0.0.1:4566",
            "http://[::1]:4566/x",
            "https://localhost",
        ] {
            assert!(names_no_host_below_it(endpoint), "{endpoint}");
        }
        for endpoint in ["https://s3.eu-central-1.amazonaws.com", "http://minio:9000"] {
            assert!(!names_no_host_below_it(endpoint), "{endpoint}");
        }
    }

    #[tokio::test]
    async fn the_region_is_that_of_the_configuration() {
        let clients = Clients::of_emulator("http://127.0.0.1:1", "eu-central-1").await;
        assert_eq!(clients.region(), "eu-central-1");
    }
}
