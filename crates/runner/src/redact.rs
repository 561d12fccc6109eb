//! Masks known secrets in every text that leaves the job.

use serde_json::Value;

/// The text that replaces a secret.
const MASK: &str = "[redacted]";
/// The shortest value that is masked, in bytes. Masking shorter ones would remove ordinary text.
const SHORTEST: usize = 6;
/// The environment variables whose values are secrets.
const SECRET_VARIABLES: &[&str] = &[
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
];

/// Masks known values. It does not guess: a value that was not added is not masked.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a shorter secret inside a longer one does not leave a part of it.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.secrets.len())
    }
}

impl Redactor {
    /// Masks the credentials in the environment of the job, because code that runs during a plan
    /// can print them.
    pub fn of_environment<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut redactor = Self::default();
        for (key, value) in variables {
            if SECRET_VARIABLES.contains(&key) {
                redactor.add(value);
            }
        }
        redactor
    }

    /// Adds a secret, and its form inside a JSON string.
    pub fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let quoted = Value::from(secret).to_string();
        let inner = quoted
            .get(1..quoted.len().saturating_sub(1))
            .unwrap_or_default();
        for text in [secret, inner] {
            if !self.secrets.iter().any(|known| known == text) {
                self.secrets.push(text.to_owned());
            }
        }
        self.secrets
            .sort_by_key(|text| std::cmp::Reverse(text.len()));
    }

    /// Adds every string inside a sensitive value.
    pub fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Array(items) => items.iter().for_each(|item| self.add_value(item)),
            Value::Object(fields) => fields.values().for_each(|item| self.add_value(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Masks the known secrets in a text.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in &self.secrets {
            if clean.contains(secret.as_str()) {
                clean = clean.replace(secret.as_str(), MASK);
            }
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_and_sensitive_values_are_masked_also_inside_json() {
        let mut redactor = Redactor::of_environment([
            ("AWS_SECRET_ACCESS_KEY", "canary/key+1"),
            ("AWS_REGION", "eu-central-1"),
        ]);
        redactor.add_value(&json!({"url": ["line one\n\"two\""], "port": 5432, "short": "abc"}));
        let line =
            json!({"@message": "canary/key+1 line one\n\"two\" abc eu-central-1"}).to_string();
        assert_eq!(
            redactor.clean(&line),
            r#"{"@message":"[redacted] [redacted] abc eu-central-1"}"#
        );
        assert!(!format!("{redactor:?}").contains("canary"));
    }

    #[test]
    fn a_secret_inside_a_longer_one_leaves_no_tail() {
        let mut redactor = Redactor::default();
        redactor.add("secret");
        redactor.add("secret-tail");
        assert_eq!(redactor.clean("a secret-tail b"), "a [redacted] b");
    }
}
