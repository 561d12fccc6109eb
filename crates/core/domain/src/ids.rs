//! Typed identifiers. Each is parsed once, at the edge, and is valid from then on.

use crate::text::clip;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The reason that a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {kind}: expected {expected}")]
pub struct IdError {
    /// The identifier's kind with its article, such as `a commit id`.
    pub kind: &'static str,
    /// The expected form, in words.
    pub expected: &'static str,
    /// The text that was found, truncated to 100 characters.
    pub found: String,
}

impl IdError {
    /// Returns the error for a text. `kind` has its article; `expected` is the form in words.
    #[must_use]
    pub fn new(kind: &'static str, expected: &'static str, found: &str) -> Self {
        Self {
            kind,
            expected,
            found: clip(found, 100),
        }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the identifier.
            ///
            /// # Errors
            /// Returns [`IdError`] when the text does not have the expected form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError::new($kind, $expected, text))
                }
            }

            /// Returns the identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

fn lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `^[a-z]([a-z0-9-]*[a-z0-9])?$`, at most `limit` characters.
fn slug(text: &str, limit: usize) -> bool {
    text.len() <= limit
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Returns whether the text is the ARN of a resource of a service, whose name begins with `resource`.
fn arn(text: &str, service: &str, resource: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let &["arn", _, found, _, _, rest] = parts.as_slice() else {
        return false;
    };
    let name = rest.strip_prefix(resource).unwrap_or_default();
    found == service && !name.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Returns whether the text is `refs/heads/` and a name that git accepts, without characters that
/// are special in a shell, a path or a refspec.
fn branch_ref(text: &str) -> bool {
    let Some(name) = text.strip_prefix("refs/heads/") else {
        return false;
    };
    !name.is_empty()
        && text.len() <= 255
        && !name.starts_with('-')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains("//")
        && !name.ends_with('/')
        && !name.ends_with('.')
        && name
            .split('/')
            .all(|part| !part.starts_with('.') && !part.ends_with(".lock"))
        && name
            .chars()
            .all(|c| !c.is_control() && !" ~^:?*[\\\u{7f}".contains(c))
}

text_id!(
    /// A full commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
    CommitId, "a commit id", "40 or 64 lower-case hexadecimal digits, not all zero",
    |text| (lower_hex(text, 40) || lower_hex(text, 64)) && text.bytes().any(|b| b != b'0')
);
text_id!(
    /// The id of a CodeBuild build: the project's name, a colon, and the name of the build's log stream.
    BuildId, "a build id", "a project, a colon and a UUID",
    |text| text.len() <= 300 && matches!(text.split_once(':'), Some((project, uuid))
        if !project.is_empty() && !uuid.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:".contains(&b)))
);
text_id!(
    /// The name of a CodeBuild project.
    ProjectName, "a project name", "2 to 150 letters, digits, hyphens and underscores",
    |text| (2..=150).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
);
text_id!(
    /// The ARN of a revision of a Batch job definition.
    JobDefinition, "a job definition", "arn:<partition>:batch:<region>:<account>:job-definition/<name>:<revision>",
    |text| arn(text, "batch", "job-definition/") && text.len() <= 300
);
text_id!(
    /// The ARN of an IAM role. The role of a task may have `*` for any characters.
    RoleArn, "a role", "arn:<partition>:iam::<account>:role/<name>",
    |text| arn(text, "iam", "role/")
);
text_id!(
    /// The ARN of an IAM policy.
    PolicyArn, "a policy", "arn:<partition>:iam::<account>:policy/<name>",
    |text| arn(text, "iam", "policy/")
);
text_id!(
    /// The id of an AWS account.
    AccountId, "an account", "12 digits",
    |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
);
text_id!(
    /// A SHA-256 digest: 64 lower-case hexadecimal digits, without the `sha256:` prefix.
    Sha256Digest, "a SHA-256 digest", "64 lower-case hexadecimal digits",
    |text| lower_hex(text, 64)
);
text_id!(
    /// The full name of a branch, `refs/heads/...`.
    BranchRef, "a branch ref", "refs/heads/ and a name that git accepts", branch_ref
);
text_id!(
    /// The id of a run.
    RunId, "a run id", "a lower-case letter, then lower-case letters, digits and hyphens, no hyphen at the end, at most 64",
    |text| slug(text, 64)
);
text_id!(
    /// The id of a job. Its last 32 digits are the first half of the SHA-256 of the job spec, and
    /// seal it.
    JobId, "a job id", "<verb>-<stack>-<n>-<32 hexadecimal digits>, at most 120",
    |text| slug_with_seal(text)
);
text_id!(
    /// A stack's name, unique in a repository.
    StackName, "a stack name", "^[a-z][a-z0-9-]{0,38}[a-z0-9]$",
    |text| slug(text, 40) && text.len() >= 2
);
text_id!(
    /// The name of a deployed service, unique in a repository.
    ServiceName, "a service name", "^[a-z][a-z0-9-]{0,38}[a-z0-9]$",
    |text| slug(text, 40) && text.len() >= 2
);
text_id!(
    /// The name of an environment, unique in a repository.
    EnvironmentName, "an environment name", "^[a-z][a-z0-9-]{0,22}[a-z0-9]$",
    |text| slug(text, 24) && text.len() >= 2
);
text_id!(
    /// A repository's full name, as the forge spells it: `owner/name`, or `group/subgroup/name`.
    RepositoryName, "a repository name", "owner/name, or 2 to 20 names separated by slashes",
    |text| {
        text.len() <= 255
            && (2..=20).contains(&text.split('/').count())
            && text.split('/').all(|part| {
                !part.is_empty()
                    && part != "."
                    && part != ".."
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            })
    }
);
text_id!(
    /// A forge's id of a webhook delivery: a hyphenated UUID.
    DeliveryId, "a delivery id", "a hyphenated UUID",
    |text| {
        text.len() == 36
            && text.char_indices().all(|(i, c)| match i {
                8 | 13 | 18 | 23 => c == '-',
                _ => c.is_ascii_hexdigit(),
            })
    }
);
text_id!(
    /// An image digest, `sha256:` and 64 lower-case hexadecimal digits.
    ImageDigest, "an image digest", "sha256: and 64 lower-case hexadecimal digits",
    |text| text.strip_prefix("sha256:").is_some_and(|hex| lower_hex(hex, 64))
);

fn slug_with_seal(text: &str) -> bool {
    text.len() <= 120
        && text.rsplit_once('-').is_some_and(|(head, seal)| {
            lower_hex(seal, 32)
                && head.starts_with(|c: char| c.is_ascii_lowercase())
                && head
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        })
}

impl From<&StackName> for ServiceName {
    /// Names a service after its stack. The configuration has no other name for it.
    fn from(stack: &StackName) -> Self {
        Self(stack.0.clone())
    }
}

impl Sha256Digest {
    /// Returns the SHA-256 of the bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }
}

impl CommitId {
    /// Returns the first eight digits, for display.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl RepositoryName {
    /// Returns the last segment, without the owner and groups.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0
            .rsplit_once('/')
            .map_or(self.0.as_str(), |(_, name)| name)
    }
}

/// A kind of forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForgeId {
    /// GitHub, or a GitHub Enterprise server.
    Github,
    /// GitLab, hosted or self-managed.
    Gitlab,
}

impl ForgeId {
    /// Every forge.
    pub const ALL: &'static [Self] = &[Self::Github, Self::Gitlab];

    /// Returns the forge as it is written in a [`RepositoryKey`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
        }
    }
}

impl fmt::Display for ForgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The identity of a repository: its forge, and its number at that forge. It survives a rename, and
/// is unique across forges. Its text form, such as `github-42`, is part of keys in the table and in
/// buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryKey {
    /// The repository's forge.
    pub forge: ForgeId,
    /// The repository's number at that forge.
    pub id: u64,
}

impl BuildId {
    /// Returns the name of the build's project.
    #[must_use]
    pub fn project(&self) -> &str {
        self.0
            .split_once(':')
            .map_or("", |(project, _uuid)| project)
    }

    /// Returns the name of the build's log stream.
    #[must_use]
    pub fn log_stream(&self) -> &str {
        self.0.split_once(':').map_or("", |(_project, uuid)| uuid)
    }
}

/// The largest id of a repository: the largest integer that JSON numbers hold exactly.
const LARGEST_ID: u64 = (1 << 53) - 1;

impl RepositoryKey {
    /// Returns the key of a repository on GitHub.
    #[must_use]
    pub const fn github(id: u64) -> Self {
        Self {
            forge: ForgeId::Github,
            id,
        }
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// Returns [`IdError`] when the text does not have the expected form. Rejects a number with
    /// leading zeros or a sign, so that each repository has exactly one text form.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let parsed = text.split_once('-').and_then(|(forge, number)| {
            let forge = ForgeId::ALL.iter().find(|known| known.as_str() == forge)?;
            let id: u64 = number.parse().ok()?;
            (id.to_string() == number && id <= LARGEST_ID).then_some(Self { forge: *forge, id })
        });
        parsed.ok_or_else(|| IdError {
            kind: "a repository key",
            expected: "the forge and the repository's number there, such as github-42",
            found: clip(text, 100),
        })
    }
}

impl fmt::Display for RepositoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.forge, self.id)
    }
}

impl std::str::FromStr for RepositoryKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RepositoryKey {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<RepositoryKey> for String {
    fn from(key: RepositoryKey) -> Self {
        key.to_string()
    }
}

impl RunId {
    /// Derives the id of a run from its repository, its commit and the identity of its trigger. All
    /// copies of one event have the same identity, so the second copy finds the record of the
    /// first.
    #[must_use]
    pub fn derive(name: &RepositoryName, commit: &CommitId, identity: &str) -> Self {
        let digest = Sha256Digest::of(identity.as_bytes());
        let mut slug: String = name
            .name()
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(40)
            .collect();
        if !slug.starts_with(|c: char| c.is_ascii_lowercase()) {
            slug.insert(0, 'r');
        }
        Self(format!(
            "{slug}-{}-{}",
            commit.short(),
            digest.0.get(..6).unwrap_or_default()
        ))
    }
}

impl JobId {
    /// Returns a job id that contains the first half of the SHA-256 of the job spec's bytes.
    #[must_use]
    pub fn seal(verb: &str, stack: &StackName, attempt: u32, spec: &[u8]) -> Self {
        let digest = Sha256Digest::of(spec);
        Self(format!(
            "{verb}-{stack}-{attempt}-{}",
            digest.0.get(..32).unwrap_or_default()
        ))
    }

    /// Returns the verb, the stack and the number of the job.
    fn parts(&self) -> Option<(&str, &str, &str)> {
        let (verb, rest) = self.0.split_once('-')?;
        let (rest, _seal) = rest.rsplit_once('-')?;
        let (stack, attempt) = rest.rsplit_once('-')?;
        Some((verb, stack, attempt))
    }

    /// Returns the verb of the job.
    #[must_use]
    pub fn verb(&self) -> Option<&str> {
        self.parts().map(|(verb, _, _)| verb)
    }

    /// Returns the stack that the job is of.
    #[must_use]
    pub fn stack(&self) -> Option<StackName> {
        StackName::parse(self.parts()?.1).ok()
    }

    /// Returns the number of the job for its run, verb and stack, from 1.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        self.parts()?.2.parse().ok()
    }

    /// Returns whether this id was made from these bytes.
    #[must_use]
    pub fn seals(&self, spec: &[u8]) -> bool {
        let digest = Sha256Digest::of(spec);
        self.0.rsplit_once('-').map(|(_, seal)| seal) == digest.0.get(..32)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_refs_are_refused() {
        for text in [
            "refs/tags/v1",
            "refs/heads/",
            "refs/heads/--upload-pack=x",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/heads/a.lock",
            "refs/heads/.a",
            "refs/heads/a\u{7}",
            "HEAD",
        ] {
            assert!(BranchRef::parse(text).is_err(), "{text}");
        }
        assert!(BranchRef::parse("refs/heads/feature/x-1").is_ok());
    }

    #[test]
    fn the_zero_commit_is_not_a_commit() {
        assert!(CommitId::parse(&"0".repeat(40)).is_err());
        assert!(CommitId::parse("HEAD").is_err());
        assert!(CommitId::parse(&"A".repeat(40)).is_err());
    }

    #[test]
    fn a_repository_key_has_one_text_form() {
        let key = RepositoryKey::parse("gitlab-7").unwrap();
        assert_eq!((key.forge, key.id), (ForgeId::Gitlab, 7));
        assert_eq!(key.to_string(), "gitlab-7");
        for text in [
            "42",
            "github",
            "github-",
            "github-042",
            "github-+4",
            "gitea-1",
            "GitHub-1",
            "github-1-2",
        ] {
            assert!(RepositoryKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_may_have_subgroups_and_its_last_segment_names_the_run() {
        let name = RepositoryName::parse("acme/platform/tools/shop").unwrap();
        assert_eq!(name.name(), "shop");
        for text in ["shop", "acme//shop", "acme/../shop", "/shop"] {
            assert!(RepositoryName::parse(text).is_err(), "{text}");
        }
        assert!(RepositoryName::parse(&["a"; 20].join("/")).is_ok());
        assert!(RepositoryName::parse(&["a"; 21].join("/")).is_err());
    }

    #[test]
    fn a_job_id_seals_its_record() {
        let id = JobId::seal("plan", &StackName::parse("data").unwrap(), 1, b"{}");
        assert_eq!(id.stack().unwrap().as_str(), "data");
        assert!(id.seals(b"{}"));
        assert!(!id.seals(b"{ }"));
        assert_eq!(JobId::parse(id.as_str()).unwrap(), id);
    }

    proptest! {
        #[test]
        fn parsers_never_panic(text in any::<String>()) {
            let _ = (BranchRef::parse(&text).is_ok(), RepositoryName::parse(&text).is_ok(),
                     RepositoryKey::parse(&text).is_ok(),
                     CommitId::parse(&text).is_ok(), JobId::parse(&text).is_ok());
        }

        #[test]
        fn a_derived_run_id_is_a_run_id(
            owner in "[a-zA-Z0-9._-]{1,20}", name in "[a-zA-Z0-9._-]{1,60}",
            commit in "[0-9a-f]{39}[1-9]", identity in any::<String>(),
        ) {
            prop_assume!(name != "." && name != ".." && owner != "." && owner != "..");
            let full = RepositoryName::parse(&format!("{owner}/{name}")).unwrap();
            let commit = CommitId::parse(&commit).unwrap();
            let first = RunId::derive(&full, &commit, &identity);
            prop_assert!(RunId::parse(first.as_str()).is_ok(), "{first}");
            prop_assert_eq!(&first, &RunId::derive(&full, &commit, &identity));
            prop_assert_ne!(&first, &RunId::derive(&full, &commit, &format!("{identity}|2")));
        }
    }
}
