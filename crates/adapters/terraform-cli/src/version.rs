//! The version of Terraform, and the oldest supported one.

use std::fmt;

/// The first release with `use_lockfile` on the S3 backend.
pub const MINIMUM: Version = Version {
    major: 1,
    minor: 10,
    patch: 0,
    pre: String::new(),
};

/// A version such as `1.11.4` or `1.12.0-rc1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The major version.
    pub major: u64,
    /// The minor version.
    pub minor: u64,
    /// The patch version.
    pub patch: u64,
    /// The pre-release after the `-`; empty for a release.
    pub pre: String,
}

impl Version {
    /// Parses `major.minor.patch` with an optional `-pre`. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (numbers, pre) = text.trim().split_once('-').unwrap_or((text.trim(), ""));
        let mut parts = numbers.split('.').map(str::parse::<u64>);
        let version = Self {
            major: parts.next()?.ok()?,
            minor: parts.next()?.ok()?,
            patch: parts.next()?.ok()?,
            pre: pre.to_owned(),
        };
        parts.next().is_none().then_some(version)
    }

    /// Returns whether this is [`MINIMUM`] or later. A pre-release of the minimum is not.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        match numbers(self).cmp(&numbers(&MINIMUM)) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => self.pre.is_empty(),
            std::cmp::Ordering::Less => false,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_10_and_newer_will_do() {
        for (text, enough) in [
            ("1.9.8", false),
            ("1.10.0-rc1", false),
            ("1.10.0", true),
            ("1.11.4", true),
            ("2.0.0-beta1", true),
        ] {
            assert_eq!(
                Version::parse(text).map(|found| found.is_enough()),
                Some(enough),
                "{text}"
            );
        }
        assert_eq!(Version::parse("1.10"), None);
        assert_eq!(Version::parse("v1.10.0"), None);
        assert_eq!(Version::parse("1.10.0.1"), None);
    }
}
