#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::json;

fn redactor(secret: &str) -> Redactor {
    let mut redactor = Redactor::default();
    redactor.add(secret);
    redactor
}

/// Encodes as Terraform's `urlencode`.
fn query(text: &str) -> String {
    percent(text).replace("%20", "+")
}

fn percent(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&#62;")
        .replace('"', "&quot;")
}

/// Encodes as Terraform's `jsonencode`.
fn jsonencode(text: &str) -> String {
    escape_html(&json!(text).to_string())
}

#[test]
fn credentials_and_sensitive_values_are_masked_also_inside_json() {
    let mut redactor = Redactor::of_environment([
        ("AWS_SECRET_ACCESS_KEY", "canary/key+1"),
        ("AWS_REGION", "eu-central-1"),
    ]);
    let value = json!({"url": ["line one\n\"two\""], "port": 5432, "pin": 123_456, "short": "abc"});
    redactor.add_value(&serde_json::from_value(value).unwrap());
    let line = json!({"@message": "canary/key+1 line one\n\"two\" abc 5432 123456 eu-central-1"});
    assert_eq!(
        redactor.clean(&line.to_string()),
        r#"{"@message":"[redacted] [redacted] abc 5432 [redacted] eu-central-1"}"#
    );
    assert!(!format!("{redactor:?}").contains("canary"));
}

#[test]
fn a_secret_inside_a_longer_one_leaves_no_tail() {
    let mut redactor = redactor("secret");
    redactor.add("secret-tail");
    assert_eq!(redactor.clean("a secret-tail b"), "a [redacted] b");
}

#[test]
fn the_forms_that_terraform_makes_of_a_secret_are_masked() {
    let secret = "p<s> \"w\"&ü+/1";
    let redactor = redactor(secret);
    let json = jsonencode(secret);
    for form in [
        secret.to_uppercase().replace('Ü', "ü"),
        json.clone(),
        jsonencode(&json),
        jsonencode(&jsonencode(&json)),
        query(secret),
        percent(secret).to_lowercase(),
        html(secret),
        query(&json),
        STANDARD.encode(secret),
        URL_SAFE.encode(secret),
        BASE64.encode(format!("user:{secret}")),
        STANDARD.encode(format!("{{\"password\":{json}}}")),
        STANDARD.encode(STANDARD.encode(secret)),
        query(&STANDARD.encode(secret)),
    ] {
        let clean = redactor.clean(&format!("a {form}, b"));
        let inner = clean
            .strip_prefix("a ")
            .and_then(|rest| rest.strip_suffix(", b"));
        assert!(
            matches!(
                inner,
                Some(
                    "[redacted]"
                        | "\"[redacted]\""
                        | r#""\"[redacted]\"""#
                        | r#""\"\\\"[redacted]\\\"\"""#
                        | "%22[redacted]%22"
                )
            ),
            "{form}: {clean}"
        );
    }
}

#[test]
fn a_line_of_a_secret_is_a_secret() {
    let redactor = redactor("-----BEGIN KEY-----\n  first line\nabc\nsecond line\n");
    assert_eq!(
        redactor.clean(r#"{"a":"x first line y","b":"second line abc"}"#),
        r#"{"a":"x [redacted] y","b":"[redacted] abc"}"#
    );
}

#[test]
fn a_line_of_json_stays_json() {
    let redactor = redactor("pass\"word\\");
    let line = json!({"@message": "is pass\"word\\", "n": [1, "pass\"word\\"]}).to_string();
    assert_eq!(
        redactor.clean(&line),
        r#"{"@message":"is [redacted]","n":[1,"[redacted]"]}"#
    );
}

proptest! {
    #[test]
    fn no_form_of_a_secret_remains(
        secret in "[ -~]{6,24}|[a-zA-Z0-9+/=\\\\\"<>&%$\\{]{6,12}|\\PC{6,12}|(?s)[a-z\"\n\t\u{1}]{6,20}",
        before in "[ -~]{0,5}",
        after in "[ -~]{0,5}",
    ) {
        let secret = secret.trim();
        prop_assume!(secret.len() >= SHORTEST && !MASK.contains(&secret.to_ascii_lowercase()));
        let redactor = redactor(secret);
        let whole = format!("{before}{secret}{after}");
        let json = jsonencode(secret);
        for form in [
            secret.to_owned(),
            inside_quotes(secret),
            json.clone(),
            jsonencode(&json),
            percent(secret),
            query(secret),
            html(secret),
            BASE64.encode(secret),
            STANDARD.encode(&whole),
            URL_SAFE.encode(&whole),
            URL_SAFE_NO_PAD.encode(secret),
            STANDARD.encode(format!("{before}{json}{after}")),
        ] {
            let clean = redactor.clean(&format!("{before} {form} {after}"));
            prop_assert!(clean.contains(MASK));
            prop_assert!(!clean.contains(&form), "{}: {}", form, clean);
            for decoded in Decoded::all(&clean) {
                prop_assert_eq!(Finder::new(secret).find(decoded.bytes()), None);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic_and_other_text_stays(text in "(?s).{0,60}", secret in "(?s).{0,12}") {
        let _clean = redactor(&secret).clean(&text);
        prop_assert_eq!(redactor("canary-of-the-test").clean(&text), text);
    }
}
