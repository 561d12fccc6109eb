//! The forge's token, read from its secret.

use domain::enrolment::EnrolledRepository;
use domain::error::{ErrorName, StepError};
use domain::ids::ForgeId;
use engine::{Result, Secrets};
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a token is used before the secret is read again.
const TOKEN_AGE: Duration = Duration::from_secs(60);

/// The token that clones, sets commit statuses and writes the audit branch. Reads the secret on
/// first use and keeps the token for a minute.
pub struct Token {
    forge: ForgeId,
    secrets: Arc<dyn Secrets>,
    secret_arn: String,
    cached: Mutex<Option<(String, Instant)>>,
}

#[derive(Deserialize)]
struct Secret {
    token: String,
}

impl Token {
    /// A token of a forge in the secret `secret_arn`, stored as `{"token": "..."}`.
    #[must_use]
    pub fn new(forge: ForgeId, secrets: Arc<dyn Secrets>, secret_arn: String) -> Self {
        Self {
            forge,
            secrets,
            secret_arn,
            cached: Mutex::new(None),
        }
    }

    /// Runs a blocking call to a repository with the token on a blocking thread. If the forge refuses a cached
    /// token, reads the secret again and repeats the call once with a token that is new.
    ///
    /// # Errors
    /// `NotEnrolled` when the repository is at another forge, which must not see the token;
    /// `ForgeDenied` when the secret has another shape; the call's errors.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        repository: &EnrolledRepository,
        call: impl Fn(&str) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        if repository.key.forge != self.forge {
            return Err(StepError::new(
                ErrorName::NotEnrolled,
                format!(
                    "repository {} ({}) is not at {}, the forge of the token",
                    repository.full_name, repository.key, self.forge
                ),
            ));
        }
        let with = |token: String| {
            let call = call.clone();
            blocking(move || call(&token))
        };
        let Some(cached) = self.cached() else {
            return with(self.read().await?).await;
        };
        match with(cached.clone()).await {
            Err(refused) if refused.name == ErrorName::ForgeDenied => {
                let token = self.read().await?;
                if token == cached {
                    return Err(refused);
                }
                with(token).await
            }
            result => result,
        }
    }

    async fn read(&self) -> Result<String> {
        let text = self.secrets.get(&self.secret_arn).await?;
        // The parser's error is dropped: it may quote the secret.
        let token = serde_json::from_str::<Secret>(&text)
            .map(|secret| secret.token)
            .ok()
            .filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| {
                StepError::new(
                    ErrorName::ForgeDenied,
                    format!(
                        "secret {} does not hold {{\"token\": \"...\"}}",
                        self.secret_arn
                    ),
                )
            })?;
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        *cached = Some((token.clone(), Instant::now()));
        Ok(token)
    }

    fn cached(&self) -> Option<String> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached
            .as_ref()
            .filter(|(_, since)| since.elapsed() < TOKEN_AGE)
            .map(|(token, _)| token.clone())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StepError::new(
            ErrorName::Internal,
            format!("the call to the forge panicked: {error}"),
        )),
    }
}
