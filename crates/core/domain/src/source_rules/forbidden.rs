//! Files that no stack and no build may read: what Terraform would use as its own, and states and plans, which hold secrets.

use super::problem::{Problem, Rule};
use super::reach::Reach;
use super::tree::Tree;
use crate::plan_file;
use crate::text::argument;
use std::collections::BTreeSet;

#[derive(Clone, Copy)]
enum Forbidden {
    WorkingDirectory,
    Plugins,
    State,
    Plan,
}

impl Forbidden {
    /// Recognizes a file or directory by its name, in any case.
    fn by_name(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            ".terraform" => Self::WorkingDirectory,
            "terraform.d" => Self::Plugins,
            name if name.contains(".tfstate") => Self::State,
            _ => return None,
        })
    }

    fn found(self) -> &'static str {
        match self {
            Self::WorkingDirectory => {
                "is Terraform's working directory: Terraform would run the providers in it"
            }
            Self::Plugins => "is a plugin directory: Terraform can run the programs in it",
            Self::State => {
                "is a Terraform state, or a file beside one: states hold secrets in clear text"
            }
            Self::Plan => "is a Terraform plan: plans hold secrets in clear text",
        }
    }

    fn holds_secrets(self) -> bool {
        matches!(self, Self::State | Self::Plan)
    }
}

/// Returns whether a file or directory of this name is Terraform's own.
pub(crate) fn is_forbidden_name(name: &str) -> bool {
    Forbidden::by_name(name).is_some()
}

/// Finds forbidden files that something reads. A directory is one problem, however many files it holds.
pub(super) fn check(tree: &Tree<'_>, reach: &Reach<'_>, problems: &mut Vec<Problem>) {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for file in tree.files().filter(|file| reach.contains(&file.path)) {
        let path = file.path.as_str();
        let name = path.rsplit('/').next().unwrap_or(path);
        let found = by_part(path).or_else(|| {
            let is_plan = file.is_plan() || plan_file::is_name(name);
            is_plan.then_some((path, Forbidden::Plan))
        });
        if let Some((place, what)) = found
            && known.insert(place)
        {
            problems.push(problem(place, what));
        }
    }
}

/// Returns the first part of the path that has a forbidden name, with everything before it.
fn by_part(path: &str) -> Option<(&str, Forbidden)> {
    let ends = path.match_indices('/').map(|(end, _)| end);
    ends.chain([path.len()]).find_map(|end| {
        let head = path.get(..end)?;
        let name = head.rsplit('/').next()?;
        Some((head, Forbidden::by_name(name)?))
    })
}

fn problem(path: &str, what: Forbidden) -> Problem {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut fix = format!(
        "add {name:?} to .gitignore; if it is committed, run `git rm -r --cached {}`",
        argument(path)
    );
    if what.holds_secrets() {
        fix.push_str(", and rotate the secrets in it, which git's history keeps");
    }
    Problem::new(Rule::Forbidden, path, what.found())
        .expected("a stack or build context without it")
        .fix(fix)
}
