//! Items: pairs of a key and a text, in a DynamoDB table with the hash key `key`.

use std::time::Duration;

use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{Client, error::DisplayErrorContext, types::AttributeValue};
use aws_smithy_http_client::{
    Builder,
    tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

/// The table did not respond, or not in time. The text is for the log, not for the client.
#[derive(Debug)]
pub(crate) struct Unavailable(pub(crate) String);

/// Access to the table.
#[derive(Clone)]
pub(crate) struct Items {
    client: Client,
    table: String,
}

impl Items {
    /// Creates a client from the environment (credentials, region, endpoint). Sends no request.
    pub(crate) async fn connect(table: String) -> Result<Self, String> {
        let context = TlsContext::builder()
            .with_trust_store(mozilla_roots())
            .build()
            .map_err(|error| format!("cannot use the bundled root certificates: {error}"))?;
        let http = Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .tls_context(context)
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_secs(2))
            .operation_timeout(Duration::from_secs(5));
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts.build())
            .load()
            .await;
        Ok(Self {
            client: Client::new(&config),
            table,
        })
    }

    /// Returns the text of a key. The read is consistent: it sees the last `put` of any instance.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<String>, Unavailable> {
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("key", AttributeValue::S(key.to_owned()))
            .consistent_read(true);
        let answer = read.send().await.map_err(unavailable)?;
        Ok(answer.item.and_then(|mut item| match item.remove("value") {
            Some(AttributeValue::S(text)) => Some(text),
            _ => None,
        }))
    }

    /// Stores a text for a key, and replaces an existing one.
    pub(crate) async fn put(&self, key: &str, text: String) -> Result<(), Unavailable> {
        let write = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("key", AttributeValue::S(key.to_owned()))
            .item("value", AttributeValue::S(text));
        write.send().await.map_err(unavailable)?;
        Ok(())
    }

    /// Checks that the table responds to a read within `budget`. Reads a key that no item can have.
    pub(crate) async fn ping(&self, budget: Duration) -> Result<(), Unavailable> {
        match tokio::time::timeout(budget, self.get("/health")).await {
            Ok(read) => read.map(drop),
            Err(_) => Err(Unavailable(format!("no answer within {budget:?}"))),
        }
    }
}

fn unavailable<E: std::error::Error + Send + Sync + 'static>(error: E) -> Unavailable {
    Unavailable(DisplayErrorContext(&error).to_string())
}

/// Returns Mozilla's root certificates in the client's format. By default the client would read files
/// of the operating system, which the image does not have.
fn mozilla_roots() -> TrustStore {
    let mut store = TrustStore::empty();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let body = aws_smithy_types::base64::encode(certificate.as_ref());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        store.add_pem_certificate(pem.into_bytes());
    }
    store
}
