use crate::Clients;
use crate::errors::{named, named_part};
use async_trait::async_trait;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use domain::error::StepError;
use engine::{Result, Secrets};

/// Secrets Manager. Never caches: the caller that caches a secret knows when to read it again.
#[derive(Debug, Clone)]
pub struct SecretStore {
    client: aws_sdk_secretsmanager::Client,
}

impl SecretStore {
    /// Secrets of the clients' account and region.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: aws_sdk_secretsmanager::Client::new(clients.config()),
        }
    }
}

#[async_trait]
impl Secrets for SecretStore {
    async fn get(&self, arn: &str) -> Result<String> {
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
        answer
            .secret_string
            .ok_or_else(|| with_hint(&named_part(&call, "no value", "the secret holds no text")))
    }
}

/// Terraform creates the secrets empty, so a new installation meets this error first.
fn with_hint(error: &StepError) -> StepError {
    let message = format!(
        "{}; a new secret has no value until an operator sets one: \
         `aws secretsmanager put-secret-value`",
        error.message
    );
    StepError::new(error.name, message)
}
