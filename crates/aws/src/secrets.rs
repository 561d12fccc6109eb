use crate::Clients;
use crate::errors::{named, named_part};
use async_trait::async_trait;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use domain::error::StepError;
use ports::{Result, Secrets};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone)]
struct Kept {
    text: String,
    until: Instant,
}

/// Secrets Manager, with what was read kept in memory for a while. A failure is never kept.
#[derive(Clone)]
pub struct SecretStore {
    client: aws_sdk_secretsmanager::Client,
    kept: Arc<Mutex<HashMap<String, Kept>>>,
    keep: Duration,
}

// Never shows a secret.
impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretStore")
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

impl SecretStore {
    /// A store that keeps a secret for `keep` after it was read: a rotated secret is noticed that
    /// much later. Zero keeps nothing.
    #[must_use]
    pub fn new(clients: &Clients, keep: Duration) -> Self {
        Self {
            client: clients.secretsmanager(),
            kept: Arc::default(),
            keep,
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, arn: &str, now: Instant) -> Option<String> {
        let kept = self.kept();
        kept.get(arn)
            .filter(|kept| now < kept.until)
            .map(|kept| kept.text.clone())
    }

    fn remember(&self, arn: &str, text: &str, now: Instant) {
        let kept = Kept {
            text: text.to_owned(),
            until: now + self.keep,
        };
        self.kept().insert(arn.to_owned(), kept);
    }
}

#[async_trait]
impl Secrets for SecretStore {
    async fn get(&self, arn: &str) -> Result<String> {
        if let Some(text) = self.recall(arn, Instant::now()) {
            return Ok(text);
        }
        let call = format!("GetSecretValue {arn}");
        let answer = match self.client.get_secret_value().secret_id(arn).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let missing = error
                    .as_service_error()
                    .is_some_and(GetSecretValueError::is_resource_not_found_exception);
                let named = named(&call, &error);
                return Err(if missing { with_hint(&named) } else { named });
            }
        };
        let text = answer
            .secret_string()
            .ok_or_else(|| with_hint(&named_part(&call, "no value", "the secret holds no text")))?;
        self.remember(arn, text, Instant::now());
        Ok(text.to_owned())
    }
}

/// Terraform makes the secrets empty, so this is the first error that a new installation meets.
fn with_hint(error: &StepError) -> StepError {
    let message = format!(
        "{}; a new secret has no value until an operator sets one: \
         `aws secretsmanager put-secret-value`",
        error.message
    );
    StepError::new(error.name, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_kept_for_its_time_and_never_shown() {
        let clients = Clients::of_emulator("http://127.0.0.1:1", "eu-central-1").await;
        let store = SecretStore::new(&clients, Duration::from_secs(60));
        let now = Instant::now();
        store.remember("arn", "hush", now);
        assert_eq!(
            store
                .recall("arn", now + Duration::from_secs(59))
                .as_deref(),
            Some("hush")
        );
        assert_eq!(store.recall("arn", now + Duration::from_secs(60)), None);
        assert_eq!(store.recall("other", now), None);
        assert!(!format!("{store:?}").contains("hush"));
    }
}
