//! The webhook keys of repositories, cached for a minute.

use crate::Webhook;
use forge::webhook::{Keys, Refusal};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, PoisonError};

/// How long keys are used before the secret is read again.
pub(crate) const KEYS_AGE: SignedDuration = SignedDuration::from_secs(60);

/// How old cached keys must be before a signature mismatch causes the secret to be read again.
pub(crate) const KEYS_DOUBT: SignedDuration = SignedDuration::from_secs(5);

impl Webhook {
    pub(crate) fn age(&self, since: Timestamp) -> SignedDuration {
        self.clock.now().duration_since(since)
    }

    /// Returns the keys in a repository's secret that are not older than `age`, and when they were
    /// read.
    pub(crate) async fn keys(
        &self,
        secret: &str,
        age: SignedDuration,
    ) -> Result<(Arc<Keys>, Timestamp), Refusal> {
        let known = self
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(secret)
            .cloned();
        if let Some((keys, since)) = known
            && self.age(since) < age
        {
            return Ok((keys, since));
        }
        let unusable = |message: String| Refusal::new(503, "WH152", message);
        let now = self.clock.now();
        let text = self
            .secrets
            .get(secret)
            .await
            .map_err(|error| unusable(error.to_string()))?;
        let keys = Keys::parse(&text).map_err(|error| unusable(error.to_string()))?;
        let keys = Arc::new(keys);
        let mut cached = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        cached.insert(secret.to_owned(), (Arc::clone(&keys), now));
        Ok((keys, now))
    }
}
