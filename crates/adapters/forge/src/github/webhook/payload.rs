use crate::webhook::{Delivery, Push, Refusal, json};
use domain::event::EventRepository;
use domain::ids::{BranchRef, CommitId, RepositoryKey, RepositoryName};
use domain::text;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The longest pusher name, in characters.
const PUSHER_LIMIT: usize = 100;

/// Reads the payload of an event.
///
/// # Errors
/// [`Refusal`]: 400 for a payload that GitHub would not send, 202 for one that the pipeline ignores.
pub(super) fn read(event: &str, body: &[u8]) -> Result<Delivery, Refusal> {
    match event {
        "ping" => {
            let payload = json::parse(body)?;
            let hook = payload.get("hook_id").and_then(Value::as_u64);
            Ok(Delivery::Ping { hook })
        }
        "push" => push(&json::parse(body)?).map(Delivery::Push),
        _ => {
            let event = text::clip(event, 50);
            let message = format!("ignored: event {event:?}");
            Err(Refusal::new(202, "WH200", message))
        }
    }
}

fn push(payload: &Value) -> Result<Push, Refusal> {
    let repository = repository(payload)?;
    let name = text(payload, "ref");
    let branch = branch(name)?;
    let after = text(payload, "after");
    let deleted = payload.get("deleted").and_then(Value::as_bool) == Some(true);
    if deleted || is_zero(after) {
        return Err(Refusal::new(202, "WH201", "ignored: ref deleted"));
    }
    let Some(branch) = branch else {
        let message = format!("ignored: ref {name:?} not watched");
        return Err(Refusal::new(202, "WH202", message));
    };
    let before = match text(payload, "before") {
        "" => None,
        zero if is_zero(zero) => None,
        id => Some(commit("before", id)?),
    };
    Ok(Push {
        repository,
        branch,
        before,
        after: commit("after", after)?,
        pushed_at: pushed_at(payload),
        pusher: pusher(payload),
    })
}

/// GitHub sends seconds in a push and an RFC 3339 string in other events.
fn pushed_at(payload: &Value) -> Option<Timestamp> {
    let at = payload.pointer("/repository/pushed_at")?;
    let second = |at: i64| Timestamp::from_second(at).ok();
    let text = |at: &str| second(at.parse::<Timestamp>().ok()?.as_second());
    at.as_i64().and_then(second).or_else(|| text(at.as_str()?))
}

/// Returns a string of the payload; empty if it is missing.
fn text<'a>(payload: &'a Value, key: &str) -> &'a str {
    payload.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the repository that a payload names. Reads nothing else of it.
pub(super) fn claimed(body: &[u8]) -> Option<RepositoryKey> {
    #[derive(Deserialize)]
    struct Named {
        repository: Numbered,
    }
    #[derive(Deserialize)]
    struct Numbered {
        id: u64,
    }
    let named: Named = serde_json::from_slice(body).ok()?;
    (named.repository.id > 0).then(|| RepositoryKey::github(named.repository.id))
}

fn repository(payload: &Value) -> Result<EventRepository, Refusal> {
    let found = payload.get("repository").unwrap_or(&Value::Null);
    let id = found
        .get("id")
        .and_then(Value::as_i64)
        .and_then(|id| u64::try_from(id).ok())
        .filter(|id| *id > 0)
        .ok_or_else(|| Refusal::new(400, "WH122", "repository.id must be a positive integer"))?;
    let full_name = RepositoryName::parse(text(found, "full_name"))
        .map_err(|error| Refusal::new(400, "WH123", format!("repository.full_name: {error}")))?;
    Ok(EventRepository {
        key: RepositoryKey::github(id),
        full_name,
    })
}

/// Returns the branch; `None` for a tag.
fn branch(name: &str) -> Result<Option<BranchRef>, Refusal> {
    // Git has the same rules for tag and branch names.
    let tag = name.strip_prefix("refs/tags/");
    let as_branch = match tag {
        Some(tag) => BranchRef::parse(&format!("refs/heads/{tag}")),
        None => BranchRef::parse(name),
    };
    match as_branch {
        Ok(_) if tag.is_some() => Ok(None),
        Ok(branch) => Ok(Some(branch)),
        Err(error) => Err(Refusal::new(
            400,
            "WH121",
            format!("invalid ref name: {error}"),
        )),
    }
}

fn is_zero(id: &str) -> bool {
    matches!(id.len(), 40 | 64) && id.bytes().all(|b| b == b'0')
}

fn commit(key: &str, id: &str) -> Result<CommitId, Refusal> {
    CommitId::parse(id).map_err(|error| {
        let message = format!("{key:?} is not a commit id: {error}");
        Refusal::new(400, "WH120", message)
    })
}

fn pusher(payload: &Value) -> String {
    let of = |object: &str, key: &str| payload.get(object).map_or("", |object| text(object, key));
    let name = match of("pusher", "name") {
        "" => of("sender", "login"),
        name => name,
    };
    let name = text::line(name, PUSHER_LIMIT);
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use serde_json::json;

    fn payload() -> Value {
        json!({
            "ref": "refs/heads/main", "before": "0".repeat(40), "after": "1a".repeat(20),
            "created": true, "deleted": false, "forced": false,
            "repository": {"id": 42, "full_name": "acme/shop", "clone_url": "https://evil.test/"},
            "pusher": {"name": "octocat", "email": "o@example.com"}, "sender": {"login": "x"},
        })
    }

    fn with(path: &str, value: Value) -> Result<Delivery, Refusal> {
        let mut payload = payload();
        *payload.pointer_mut(path).unwrap() = value;
        read("push", payload.to_string().as_bytes())
    }

    fn code(path: &str, value: Value) -> &'static str {
        with(path, value).map_or_else(|refusal| refusal.code, |_| "good")
    }

    #[test]
    fn a_push_is_read() {
        let Ok(Delivery::Push(push)) = with("/deleted", json!(false)) else {
            panic!("no push");
        };
        assert_eq!(push.repository.key, RepositoryKey::github(42));
        assert_eq!(push.branch.as_str(), "refs/heads/main");
        assert_eq!(push.before, None);
        assert_eq!(push.after.as_str(), "1a".repeat(20));
        assert_eq!(push.pusher, "octocat");
    }

    #[test]
    fn bad_values_have_their_codes() {
        for id in [
            json!("42"),
            json!(-1),
            json!(0),
            json!(4.5),
            json!(1_u64 << 63),
            json!(null),
        ] {
            assert_eq!(code("/repository/id", id.clone()), "WH122", "{id}");
        }
        assert_eq!(code("/repository", json!([])), "WH122");
        assert_eq!(code("/repository/full_name", json!("../shop")), "WH123");
        for id in [
            "HEAD",
            "abc",
            "--help",
            "",
            &"A1".repeat(20),
            &"1".repeat(41),
        ] {
            assert_eq!(code("/after", json!(id)), "WH120", "{id}");
        }
        assert_eq!(code("/before", json!("HEAD")), "WH120");
        for name in [
            "main",
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/heads/a~1",
            "refs/heads/a^",
            "refs/heads/a:b",
            "refs/heads/a?",
            "refs/heads/a*",
            "refs/heads/a[",
            "refs/heads/a\\b",
            "refs/heads/a\u{7}",
            "refs/heads/a.lock",
            "refs/heads/-a",
            "refs/pull/1/head",
            "refs/tags/a..b",
        ] {
            assert_eq!(code("/ref", json!(name)), "WH121", "{name}");
        }
        assert_eq!(code("/ref", json!("refs/tags/v1")), "WH202");
        assert_eq!(code("/deleted", json!(true)), "WH201");
        assert_eq!(code("/after", json!("0".repeat(40))), "WH201");
    }

    #[test]
    fn a_name_is_short_and_plain() {
        let name = format!("a\u{1b}[31m{}", "b".repeat(200));
        let Ok(Delivery::Push(push)) = with("/pusher/name", json!(name)) else {
            panic!("no push");
        };
        assert_eq!(push.pusher.chars().count(), PUSHER_LIMIT);
        assert!(!push.pusher.contains('\u{1b}'));
        let Ok(Delivery::Push(push)) = with("/pusher", json!(null)) else {
            panic!("no push");
        };
        assert_eq!(push.pusher, "x");
    }

    #[test]
    fn other_events_are_ignored_and_a_ping_is_answered() {
        assert_eq!(
            read("star", b"{}").unwrap_err().to_string(),
            "WH200 ignored: event \"star\""
        );
        let ping = read("ping", br#"{"zen":"...","hook_id":7}"#).unwrap();
        assert_eq!(ping, Delivery::Ping { hook: Some(7) });
    }
}
