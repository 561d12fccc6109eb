//! When a stack is planned.

use super::Checker;
use glob::{MatchOptions, Pattern};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_saphyr::Spanned;
use std::fmt;

/// The maximum number of globs of a stack.
pub(super) const MAX_GLOBS: usize = 20;

/// When a stack is planned on the forward leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenChanged {
    /// In every run.
    Always,
    /// If something that decides its plan differs from the last good commit. The files that match a
    /// glob count too. Usually there are none: the stack's own files and modules are known.
    Files(Vec<PathGlob>),
}

impl Default for WhenChanged {
    fn default() -> Self {
        Self::Files(Vec::new())
    }
}

/// A pattern for paths in the repository: `*` and `?` within a part, `**` for any number of parts,
/// `[...]` for one of several characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathGlob(Pattern);

impl PathGlob {
    /// Parses a glob.
    ///
    /// # Errors
    /// Returns what is wrong, phrased to follow the glob in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        super::check_path(text)?;
        let pattern = Pattern::new(text.trim_end_matches('/')).map_err(|error| {
            format!("is not a glob: {} (character {})", error.msg, error.pos + 1)
        })?;
        Ok(Self(pattern))
    }

    /// Returns whether a path from the repository's root matches, or a directory that it is in.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let options = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        let ends = path.match_indices('/').map(|(end, _)| end);
        ends.chain([path.len()])
            .filter_map(|end| path.get(..end))
            .any(|path| self.0.matches_with(path, options))
    }
}

impl fmt::Display for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl TryFrom<String> for PathGlob {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<PathGlob> for String {
    fn from(glob: PathGlob) -> Self {
        glob.0.as_str().to_owned()
    }
}

/// The key as written: a text or a list of globs.
pub(super) enum RawWhenChanged {
    Text(String),
    Globs(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for RawWhenChanged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = RawWhenChanged;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`always` or a list of globs")
            }

            fn visit_str<E>(self, text: &str) -> Result<RawWhenChanged, E> {
                Ok(RawWhenChanged::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawWhenChanged, A::Error> {
                let mut globs = Vec::new();
                while let Some(glob) = list.next_element()? {
                    globs.push(glob);
                }
                Ok(RawWhenChanged::Globs(globs))
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

impl Checker {
    /// Parses the key of the stack with this index.
    pub(super) fn when_changed(
        &mut self,
        i: usize,
        raw: Option<&Spanned<RawWhenChanged>>,
    ) -> WhenChanged {
        let key = format!("stacks[{i}].when_changed");
        let globs = match raw.map(|raw| (raw.referenced, &raw.value)) {
            None => return WhenChanged::default(),
            Some((_, RawWhenChanged::Text(text))) if text == "always" => {
                return WhenChanged::Always;
            }
            Some((at, RawWhenChanged::Text(text))) => {
                let message = format!("found {text:?}, expected `always` or a list of globs");
                self.error("CF034", at, &key, message);
                return WhenChanged::default();
            }
            Some((at, RawWhenChanged::Globs(globs))) => {
                if globs.len() > MAX_GLOBS {
                    let message =
                        format!("found {} globs, expected at most {MAX_GLOBS}", globs.len());
                    self.error("CF034", at, &key, message);
                }
                globs
            }
        };
        let mut parsed = Vec::new();
        for (n, glob) in globs.iter().enumerate() {
            match PathGlob::parse(&glob.value) {
                Ok(glob) => parsed.push(glob),
                Err(why) => {
                    let message = format!(
                        "{:?} {why}; expected a path inside the repository, with `*` and `**`",
                        glob.value
                    );
                    self.error("CF035", glob.referenced, &format!("{key}[{n}]"), message);
                }
            }
        }
        WhenChanged::Files(parsed)
    }
}
