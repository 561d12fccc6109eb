use super::{Refusal, SIGNATURE_HEADER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use std::collections::BTreeMap;

/// The shortest key, in bytes: HMAC-SHA256 is no stronger than its key.
const SHORTEST: usize = 32;

/// The header that GitHub sent before SHA-256.
const SHA1_HEADER: &str = "x-hub-signature";

/// The webhook's keys: the one in use, and the one before it while GitHub still signs with that.
pub struct Keys {
    current: Vec<u8>,
    previous: Option<Vec<u8>>,
}

/// Why a secret holds no keys. It never shows what the secret holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It has another shape.
    #[error("the webhook secret does not hold {{\"current\": \"...\"}}")]
    Shape,
    /// A key is too short.
    #[error(
        "a key of the webhook secret has fewer than 32 bytes: `openssl rand -hex 32` makes a good one"
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
    /// [`KeysError`]; a short key is refused even as the previous one.
    pub fn parse(secret: &str) -> Result<Self, KeysError> {
        // The parser's own words may show the secret.
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

    /// The header that GitHub sends with a body, made with the current key.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        let digest = mac(&self.current, body).map(|mac| hex::encode(mac.finalize().into_bytes()));
        format!("sha256={}", digest.unwrap_or_default())
    }

    /// Checks a body's signature, in constant time.
    ///
    /// # Errors
    /// [`Refusal`] with status 401.
    pub fn verify(&self, headers: &BTreeMap<String, String>, body: &[u8]) -> Result<(), Refusal> {
        let refused = |code, message: &str| Err(Refusal::new(401, code, message));
        let Some(header) = headers.get(SIGNATURE_HEADER) else {
            if headers.contains_key(SHA1_HEADER) {
                return refused("WH102", "only SHA-1 signature sent; SHA-256 required");
            }
            return refused("WH101", "signature header missing");
        };
        if header.contains(',') {
            return refused("WH105", "ambiguous signature header");
        }
        let digits = header.strip_prefix("sha256=").unwrap_or_default();
        let mut signature = [0_u8; 32];
        if hex::decode_to_slice(digits, &mut signature).is_err() {
            return refused(
                "WH103",
                "malformed signature: expected sha256= and 64 hex digits",
            );
        }
        // Both keys are always tried, so that the time tells nothing.
        let current = matches(&self.current, body, &signature);
        let previous = self
            .previous
            .as_ref()
            .is_some_and(|key| matches(key, body, &signature));
        if current | previous {
            return Ok(());
        }
        refused("WH104", "signature mismatch")
    }
}

fn mac(key: &[u8], body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(body);
    Some(mac)
}

fn matches(key: &[u8], body: &[u8], signature: &[u8]) -> bool {
    mac(key, body).is_some_and(|mac| mac.verify_slice(signature).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn key(n: u8) -> String {
        format!("{n:02}").repeat(16)
    }

    fn code(keys: &Keys, headers: &[(&str, &str)], body: &[u8]) -> &'static str {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        keys.verify(&headers, body)
            .map_or_else(|refusal| refusal.code, |()| "good")
    }

    /// GitHub's own example, from "Validating webhook deliveries". Its key is shorter than ours
    /// may be.
    #[test]
    fn the_published_example_is_good() {
        let keys = Keys {
            current: b"It's a Secret to Everybody".to_vec(),
            previous: None,
        };
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(keys.sign(b"Hello, World!"), signature);
        assert_eq!(
            code(&keys, &[(SIGNATURE_HEADER, signature)], b"Hello, World!"),
            "good"
        );
    }

    #[test]
    fn both_keys_are_good_during_a_rotation() {
        let old = Keys::parse(&format!(r#"{{"current":"{}"}}"#, key(1))).unwrap();
        let both = format!(r#"{{"current":"{}","previous":"{}"}}"#, key(2), key(1));
        let both = Keys::parse(&both).unwrap();
        let new = format!(r#"{{"current":"{}","previous":null}}"#, key(2));
        let new = Keys::parse(&new).unwrap();
        let by = |keys: &Keys| keys.sign(b"{}");
        let check = |keys: &Keys, by: &str| code(keys, &[(SIGNATURE_HEADER, by)], b"{}");
        assert_eq!(check(&both, &by(&old)), "good");
        assert_eq!(check(&both, &by(&new)), "good");
        assert_eq!(check(&new, &by(&old)), "WH104");
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

    #[test]
    fn bad_signatures_have_their_codes() {
        let keys = Keys::parse(&format!(r#"{{"current":"{}"}}"#, key(1))).unwrap();
        let good = keys.sign(b"{}");
        let digits = good.strip_prefix("sha256=").unwrap();
        assert_eq!(code(&keys, &[], b"{}"), "WH101");
        assert_eq!(code(&keys, &[(SHA1_HEADER, "sha1=00")], b"{}"), "WH102");
        for malformed in [
            "",
            "sha256=",
            digits,
            &good[..good.len() - 1],
            &format!("{good}{digits}"),
            &format!("sha256={}", "z".repeat(64)),
            &format!("SHA256={digits}"),
            &format!(" {good}"),
        ] {
            let found = code(&keys, &[(SIGNATURE_HEADER, malformed)], b"{}");
            assert_eq!(found, "WH103", "{malformed}");
        }
        assert_eq!(code(&keys, &[(SIGNATURE_HEADER, &good)], b"{ }"), "WH104");
        let twice = format!("{good},{good}");
        assert_eq!(code(&keys, &[(SIGNATURE_HEADER, &twice)], b"{}"), "WH105");
    }
}
