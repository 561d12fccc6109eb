use serde::Deserialize;

/// The shortest key, in bytes: HMAC-SHA256 is no stronger than its key.
const SHORTEST: usize = 32;

/// The webhook's keys: the current one, and the previous one while the key is being rotated.
pub struct Keys {
    pub(crate) current: Vec<u8>,
    pub(crate) previous: Option<Vec<u8>>,
}

/// Why a secret holds no usable keys. Never shows the secret's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not the expected JSON.
    #[error("the webhook secret does not hold {{\"current\": \"...\"}}")]
    Shape,
    /// A key has fewer than 32 bytes.
    #[error(
        "a key of the webhook secret has fewer than 32 bytes: create one with `openssl rand -hex 32`"
    )]
    Short,
}

#[derive(Deserialize)]
struct Secret {
    current: String,
    #[serde(default)]
    previous: Option<String>,
}

impl Keys {
    /// Reads `{"current": "...", "previous": "..."}`; `previous` may be missing or null.
    ///
    /// # Errors
    /// [`KeysError`]; a short previous key is refused too.
    pub fn parse(secret: &str) -> Result<Self, KeysError> {
        // The parser's error is dropped: it may quote the secret.
        let secret: Secret = serde_json::from_str(secret).map_err(|_| KeysError::Shape)?;
        let keys = Self {
            current: secret.current.into_bytes(),
            previous: secret.previous.map(String::into_bytes),
        };
        let short = |key: &Vec<u8>| key.len() < SHORTEST;
        if short(&keys.current) || keys.previous.as_ref().is_some_and(short) {
            return Err(KeysError::Short);
        }
        Ok(keys)
    }

    /// Returns whether a key matches. Tries every key, so that the time reveals nothing.
    pub(crate) fn any(&self, matches: impl Fn(&[u8]) -> bool) -> bool {
        let current = matches(&self.current);
        let previous = self.previous.as_deref().is_some_and(&matches);
        current | previous
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn key(n: u8) -> String {
        format!("{n:02}").repeat(16)
    }

    #[test]
    fn weak_secrets_are_refused_and_never_shown() {
        let short = "x".repeat(31);
        for (text, error) in [
            (String::new(), KeysError::Shape),
            ("hunter2".into(), KeysError::Shape),
            (r#""hunter2""#.into(), KeysError::Shape),
            (r#"{"current":""}"#.into(), KeysError::Short),
            (format!(r#"{{"current":"{short}"}}"#), KeysError::Short),
            (
                format!(r#"{{"current":"{}","previous":"{short}"}}"#, key(1)),
                KeysError::Short,
            ),
        ] {
            let found = Keys::parse(&text).err().unwrap();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("hunter2"));
        }
    }
}
