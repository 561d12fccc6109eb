//! People and programs that decide for a repository, as AWS knows them.

use crate::ids::{AccountId, IdError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Someone who may decide for an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The IAM role or user.
    pub principal: Principal,
    /// The session name of the role, where the role's trust policy fixes it for each person. None
    /// for every session of the role.
    pub session: Option<String>,
    /// The login at the forge. A person without one is not mapped.
    pub login: Option<String>,
}

/// Whether the person who pushed a commit, and approvers without a login at the forge, may approve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelfApproval {
    /// Neither may.
    #[default]
    Refused,
    /// Both may.
    Allowed,
}

/// An IAM role or user: `arn:aws:iam::111122223333:role/deployers`. Paths are ignored, because the
/// ARN of a role's session does not have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Principal {
    partition: String,
    account: AccountId,
    kind: PrincipalKind,
    name: String,
}

/// The kind of a [`Principal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A role, which a person assumes.
    Role,
    /// A user.
    User,
}

impl PrincipalKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::User => "user",
        }
    }
}

/// Who calls, as AWS verified it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The role or user.
    pub principal: Principal,
    /// The session's name, which the caller may have chosen. None for a user.
    pub session: Option<String>,
}

impl Principal {
    /// Parses the ARN of a role or user.
    ///
    /// # Errors
    /// Returns [`IdError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Self::of_arn(text).ok_or_else(|| error(text))
    }

    fn of_arn(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let ("arn", partition, "iam", "") = (next()?, next()?, next()?, next()?) else {
            return None;
        };
        let (account, resource) = (next()?, next()?);
        let (kind, path) = resource.split_once('/')?;
        let kind = match kind {
            "role" => PrincipalKind::Role,
            "user" => PrincipalKind::User,
            _ => return None,
        };
        let name = path.rsplit('/').next()?;
        named(name).then_some(())?;
        Some(Self {
            partition: partition.to_owned(),
            account: AccountId::parse(account).ok()?,
            kind,
            name: name.to_owned(),
        })
    }
}

fn named(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    !name.is_empty() && name.len() <= 128 && name.chars().all(known)
}

fn error(text: &str) -> IdError {
    IdError::new(
        "an IAM role or user",
        "arn:<partition>:iam::<account>:role/<name> or user/<name>",
        text,
    )
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            account,
            kind,
            name,
        } = self;
        write!(f, "arn:{partition}:iam::{account}:{}/{name}", kind.as_str())
    }
}

impl TryFrom<String> for Principal {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.to_string()
    }
}

impl Caller {
    /// Parses the ARN that AWS gives for a verified caller: of a user, or of a role's session,
    /// `arn:aws:sts::111122223333:assumed-role/deployers/mona`.
    ///
    /// # Errors
    /// Returns [`IdError`] for any other ARN, such as that of an account's root user.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if let Some(found) = Self::of_session(text) {
            return Ok(found);
        }
        match Principal::parse(text) {
            Ok(principal) if principal.kind == PrincipalKind::User => Ok(Self {
                principal,
                session: None,
            }),
            _ => Err(error(text)),
        }
    }

    fn of_session(text: &str) -> Option<Self> {
        let (arn, session) = text.rsplit_once('/')?;
        let (start, role) = arn.split_once(":assumed-role/")?;
        let (service, account) = start.rsplit_once("::")?;
        let partition = service.strip_prefix("arn:")?.strip_suffix(":sts")?;
        (named(role) && named(session)).then_some(())?;
        Some(Self {
            principal: Principal {
                partition: partition.to_owned(),
                account: AccountId::parse(account).ok()?,
                kind: PrincipalKind::Role,
                name: role.to_owned(),
            },
            session: Some(session.to_owned()),
        })
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.session {
            None => self.principal.fmt(f),
            Some(session) => write!(f, "{} (session {session})", self.principal),
        }
    }
}

impl Person {
    /// Returns whether a verified caller is this person. The session's name counts only where the
    /// enrolment names one.
    #[must_use]
    pub fn is(&self, caller: &Caller) -> bool {
        let fixed = self.session.as_ref();
        self.principal == caller.principal
            && fixed.is_none_or(|fixed| caller.session.as_ref() == Some(fixed))
    }
}
