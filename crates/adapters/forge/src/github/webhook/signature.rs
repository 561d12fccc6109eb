//! GitHub's signature: HMAC-SHA256 of the body.

use super::SIGNATURE_HEADER;
use crate::webhook::{Headers, Keys, Refusal};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// GitHub's SHA-1 signature, which is not accepted.
const SHA1_HEADER: &str = "x-hub-signature";

/// Returns the signature header that GitHub sends with a body, made with the current key.
#[must_use]
pub fn sign(keys: &Keys, body: &[u8]) -> String {
    let digest = mac(&keys.current, body).map(|mac| hex::encode(mac.finalize().into_bytes()));
    format!("sha256={}", digest.unwrap_or_default())
}

pub(super) fn verify(keys: &Keys, headers: &Headers, body: &[u8]) -> Result<(), Refusal> {
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
    if keys.any(|key| matches(key, body, &signature)) {
        Ok(())
    } else {
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
        verify(keys, &headers, body).map_or_else(|refusal| refusal.code, |()| "good")
    }

    /// GitHub's example from "Validating webhook deliveries". Its key is shorter than `Keys::parse`
    /// accepts.
    #[test]
    fn the_published_example_is_good() {
        let keys = Keys {
            current: b"It's a Secret to Everybody".to_vec(),
            previous: None,
        };
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(sign(&keys, b"Hello, World!"), signature);
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
        let by = |keys: &Keys| sign(keys, b"{}");
        let check = |keys: &Keys, by: &str| code(keys, &[(SIGNATURE_HEADER, by)], b"{}");
        assert_eq!(check(&both, &by(&old)), "good");
        assert_eq!(check(&both, &by(&new)), "good");
        assert_eq!(check(&new, &by(&old)), "WH104");
    }

    #[test]
    fn bad_signatures_have_their_codes() {
        let keys = Keys::parse(&format!(r#"{{"current":"{}"}}"#, key(1))).unwrap();
        let good = sign(&keys, b"{}");
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
