//! What a rule found, and how a person fixes it.

use crate::config::{CONFIG_FILE, ConfigError};
use crate::error::{ErrorName, StepError};
use crate::text;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The longest error text, in bytes. Statuses and the audit keep it whole.
const TEXT_LIMIT: usize = 1800;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A rule. Its code does not change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $($(#[$doc])* $name,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the code: `CF` and three digits.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

rules! {
    /// The configuration exists.
    NoConfig = "CF001",
    /// No symbolic link is on the way to a stack, to the build context or to the Dockerfile. Links to Terraform code are read as code.
    LinkInStack = "CF021",
    /// The configured directories exist.
    NoDirectory = "CF022",
    /// A stack has Terraform files.
    NoTerraform = "CF023",
    /// The configured directories are not files.
    NotADirectory = "CF024",
    /// The Dockerfile exists.
    NoDockerfile = "CF029",
    /// No file is one that Terraform would use as its own, or a state or plan.
    Forbidden = "CF060",
    /// The content of stacks and of the build context is in the commit: no submodules and no Git LFS pointers.
    ContentMissing = "CF066",
    /// Every system interprets the paths in the same way.
    Path = "CF067",
    /// Symbolic links lead to files of the repository.
    Link = "CF068",
    /// No file has a name of the runner's own files.
    ReservedName = "CF070",
    /// A backend block is empty and of type `s3`.
    Backend = "CF072",
    /// The number and the sizes of the files are within the limits.
    Size = "CF073",
}

/// The code of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// An error in `sluicegate.yaml`.
    Config(&'static str),
    /// A violated rule.
    Rule(Rule),
    /// A difference from the last good commit that needs a decision.
    LastGood(&'static str),
}

impl Code {
    /// Returns `CF` and three digits.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config(code) | Self::LastGood(code) => code,
            Self::Rule(rule) => rule.code(),
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A problem of a source tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The path, relative to the root.
    pub path: String,
    /// The line, from 1, where there is one.
    pub line: Option<u64>,
    /// The column, from 1, where it is known.
    pub column: Option<u64>,
    /// The code.
    pub code: Code,
    /// What was found, phrased to follow the path. For an error in the configuration, also what was expected.
    pub found: String,
    /// What was expected.
    pub expected: Option<String>,
    /// The command or edit that fixes the problem.
    pub fix: String,
}

impl Problem {
    pub(super) fn new(rule: Rule, path: impl Into<String>, found: impl Into<String>) -> Self {
        Self::of(Code::Rule(rule), path, found)
    }

    pub(super) fn of(code: Code, path: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: None,
            column: None,
            code,
            found: found.into(),
            expected: None,
            fix: String::new(),
        }
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        // Paths in it may have line breaks.
        self.fix = text::inert(&fix.into());
        self
    }

    pub(super) fn line(mut self, line: Option<u64>) -> Self {
        self.line = line;
        self
    }

    /// Returns the path; quoted and escaped if it has characters that are not plain.
    #[must_use]
    pub fn shown_path(&self) -> Cow<'_, str> {
        shown(&self.path)
    }

    /// Returns what was found and expected, in one line.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.expected {
            Some(expected) => format!("{}; expected {expected}", self.found),
            None => self.found.clone(),
        }
    }

    fn order(&self) -> impl Ord + use<'_> {
        (
            &self.path,
            self.line.unwrap_or(u64::MAX),
            self.column.unwrap_or(u64::MAX),
            self.code.as_str(),
            &self.found,
        )
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        let (line, column) = error.at.unzip();
        let (found, fix) = if error.key.is_empty() {
            (error.message, format!("edit {CONFIG_FILE}"))
        } else {
            let fix = format!("edit `{}` in {CONFIG_FILE}", error.key);
            (format!("{}: {}", error.key, error.message), fix)
        };
        Self {
            path: CONFIG_FILE.to_owned(),
            line,
            column,
            code: Code::Config(error.code),
            found,
            expected: None,
            fix,
        }
    }
}

/// Writes `path:line:column: code found; expected expected; fix: fix`, in one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown_path())?;
        for place in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{place}")?;
        }
        write!(
            f,
            ": {} {}; fix: {}",
            self.code.as_str(),
            self.message(),
            self.fix
        )
    }
}

/// At least one problem, ordered by path, line and code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Returns the problems in order and without repetitions, or none if there are none.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by(|a, b| a.order().cmp(&b.order()));
        problems.dedup();
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// Returns the problems.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// Returns the error of a run: the problems that fit, one line each, the number of the others and the next step.
    #[must_use]
    pub fn to_error(&self) -> StepError {
        let in_config = |problem: &Problem| {
            matches!(problem.code, Code::Config(_) | Code::Rule(Rule::NoConfig))
        };
        let in_commit = |problem: &Problem| !matches!(problem.code, Code::LastGood(_));
        let name = if self.0.iter().any(in_config) {
            ErrorName::ConfigInvalid
        } else if self.0.iter().any(in_commit) {
            ErrorName::SourceRefused
        } else {
            ErrorName::StackMissing
        };
        let mut text = String::new();
        let mut shown = 0;
        for problem in &self.0 {
            let line = problem.to_string();
            // One problem is shown even if it is long; the places that keep the text cut it.
            if shown > 0 && text.len() + line.len() > TEXT_LIMIT {
                break;
            }
            text.push_str(&line);
            text.push('\n');
            shown += 1;
        }
        let left = self.0.len() - shown;
        if left > 0 {
            text.push_str(&format!("and {left} more\n"));
        }
        text.push_str(if name == ErrorName::StackMissing {
            "next: add the lines to sluicegate.yaml, and push a new commit"
        } else if self.0.iter().all(in_commit) {
            "next: run `sluicegate config check` in the repository; it shows every problem"
        } else {
            "next: run `sluicegate config check` in the repository; it shows every problem of the \
             commit itself, but does not know the last good one"
        });
        StepError::new(name, text)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "/._-+@=,~".contains(c)
}

fn shown(path: &str) -> Cow<'_, str> {
    if path.chars().all(|c| is_plain(c) || c == ' ') && !path.is_empty() {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(format!("{path:?}"))
    }
}
