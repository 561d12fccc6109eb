//! The webhook of a push, as GitHub sends it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::DEFAULT_BRANCH;

/// The time of every push, in seconds since 1970. It is constant, so that a commit determines its run.
pub const PUSHED_AT: i64 = 1_767_225_600;

const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// A push event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Push {
    /// The repository's numeric id.
    pub repository_id: u64,
    /// `owner/name`.
    pub full_name: String,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The previous commit of the branch, or none for a new branch.
    pub before: Option<String>,
    /// The new commit of the branch.
    pub after: String,
    /// The user who pushed.
    pub pusher: String,
}

/// A request to a webhook endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The exact bytes that are signed.
    pub body: Vec<u8>,
}

impl Push {
    /// Returns the signed request. `delivery` is the delivery id, which a redelivery keeps.
    #[must_use]
    pub fn webhook(&self, secret: &str, delivery: &str) -> Webhook {
        let body = self.payload().to_string().into_bytes();
        let signature = sign(secret, &body);
        let headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", "GitHub-Hookshot/044aadd"),
            ("Accept", "*/*"),
            ("X-GitHub-Delivery", delivery),
            ("X-GitHub-Event", "push"),
            ("X-GitHub-Hook-ID", "1"),
            (
                "X-GitHub-Hook-Installation-Target-ID",
                &self.repository_id.to_string(),
            ),
            ("X-GitHub-Hook-Installation-Target-Type", "repository"),
            ("X-Hub-Signature-256", &signature),
        ];
        let owned = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Webhook {
            headers: owned.to_vec(),
            body,
        }
    }

    fn payload(&self) -> Value {
        let (owner, name) = self.full_name.split_once('/').unwrap_or_default();
        let before = self.before.as_deref().unwrap_or(NO_COMMIT);
        let page = format!("https://github.com/{}", self.full_name);
        let api = format!("https://api.github.com/repos/{}", self.full_name);
        let email = format!("{}@example.com", self.pusher);
        let person = json!({ "name": self.pusher, "email": email, "username": self.pusher });
        let commit = json!({
            "id": self.after,
            "tree_id": NO_COMMIT,
            "distinct": true,
            "message": "A commit",
            "timestamp": "2026-01-01T00:00:00Z",
            "url": format!("{page}/commit/{}", self.after),
            "author": person,
            "committer": person,
            "added": [],
            "removed": [],
            "modified": [],
        });
        json!({
            "ref": format!("refs/heads/{}", self.branch),
            "before": before,
            "after": self.after,
            "repository": {
                "id": self.repository_id,
                "node_id": format!("R_{}", self.repository_id),
                "name": name,
                "full_name": self.full_name,
                "private": true,
                "owner": {
                    "name": owner,
                    "login": owner,
                    "id": 1,
                    "type": "Organization",
                    "site_admin": false,
                },
                "html_url": page,
                "url": api,
                "clone_url": format!("{page}.git"),
                "ssh_url": format!("git@github.com:{}.git", self.full_name),
                "fork": false,
                "archived": false,
                "visibility": "private",
                "pushed_at": PUSHED_AT,
                "default_branch": DEFAULT_BRANCH,
                "master_branch": DEFAULT_BRANCH,
            },
            "pusher": { "name": self.pusher, "email": email },
            "organization": { "login": owner, "id": 1 },
            "sender": { "login": self.pusher, "id": 2, "type": "User", "site_admin": false },
            "created": self.before.is_none(),
            "deleted": false,
            "forced": false,
            "base_ref": null,
            "compare": format!("{page}/compare/{before}...{}", self.after),
            "commits": [commit],
            "head_commit": commit,
        })
    }
}

/// Returns `sha256=` and the HMAC of the body in hex.
fn sign(secret: &str, body: &[u8]) -> String {
    // HMAC accepts keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test stops at the first surprise"
    )]
    use super::*;

    #[test]
    fn the_signature_is_githubs() {
        // The example from GitHub's documentation on validating webhook deliveries.
        assert_eq!(
            sign("It's a Secret to Everybody", b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn a_push_says_where_the_branch_was_and_is() {
        let push = Push {
            repository_id: 7,
            full_name: "acme/shop".to_owned(),
            branch: "main".to_owned(),
            before: None,
            after: "a".repeat(40),
            pusher: "octocat".to_owned(),
        };
        let webhook = push.webhook("s", "d-1");
        let body: Value = serde_json::from_slice(&webhook.body).unwrap();
        assert_eq!(body["ref"], "refs/heads/main");
        assert_eq!(
            (&body["created"], &body["before"]),
            (&json!(true), &json!(NO_COMMIT))
        );
        assert_eq!(body["repository"]["full_name"], "acme/shop");
        let header = |name: &str| {
            let found = webhook.headers.iter().find(|(key, _)| key == name);
            found.unwrap().1.clone()
        };
        assert_eq!(header("X-GitHub-Delivery"), "d-1");
        assert_eq!(header("X-Hub-Signature-256"), sign("s", &webhook.body));
    }
}
