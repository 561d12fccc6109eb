//! The comparison with the last good commit: no stack disappears without a decision about its resources.

use super::problem::{Code, Problem};
use crate::config::{CONFIG_FILE, Config, MAX_WAVES, Removed, Stack, waves};
use crate::environment::LastGood;
use crate::ids::StackName;

pub(super) fn check(config: &Config, good: &LastGood, problems: &mut Vec<Problem>) {
    for old in &good.config.stacks {
        let has_state = |stack: &&Stack| stack.state() == old.state();
        if !config.stacks.iter().any(|stack| has_state(&stack))
            && !config.removed.contains_key(&old.name)
        {
            problems.push(missing(config, good, old));
        }
    }
    for old in &good.config.stacks {
        let user = config.stacks.iter().find(|one| one.state() == old.state());
        if let Some(user) = user.filter(|_| config.removed.contains_key(&old.name)) {
            problems.push(problem(
                format!(
                    "`removed` names stack {}, but stack {} has its state {:?}",
                    old.name,
                    user.name,
                    old.state().as_str()
                ),
                format!("remove the line `{}` from `removed`", old.name),
            ));
        }
    }
    problems.extend(destroyed_after_kept(config, good));
    problems.extend(too_many_waves(config, good));
}

/// Only a stack of the last good commit can be destroyed: another commit says nothing about the providers
/// and inputs that its resources need.
fn destroyed_after_kept(config: &Config, good: &LastGood) -> Vec<Problem> {
    let was_kept = |name: &StackName| good.config.removed.get(name) == Some(&Removed::Keep);
    let destroyed = config.removed.iter();
    destroyed
        .filter(|(name, what)| **what == Removed::Destroy && was_kept(name))
        .map(|(name, _)| {
            problem(
                format!(
                    "`removed` says `{name}: destroy`, but stack {name} was removed with `keep`: the last \
                     good commit {} does not have it, so nothing would be destroyed",
                    good.commit.short()
                ),
                format!(
                    "put stack {name} back into `stacks`, deliver that, and remove it with `{name}: destroy` \
                     in a later commit; or leave `{name}: keep`"
                ),
            )
        })
        .collect()
}

/// Returns the problem of a stack whose state no stack of the file has.
fn missing(config: &Config, good: &LastGood, old: &Stack) -> Problem {
    let (name, state, commit) = (&old.name, old.state(), good.commit.short());
    let known = |stack: &&Stack| {
        let mut all = good.config.stacks.iter();
        all.any(|other| other.state() == stack.state())
    };
    let new: Vec<&Stack> = config.stacks.iter().filter(|one| !known(one)).collect();
    if let Some(same) = new.iter().find(|stack| stack.name == *name) {
        return problem(
            format!(
                "stack {} has the state {:?}, but in the last good commit {commit} it has {:?}",
                same.name,
                same.state().as_str(),
                state.as_str()
            ),
            format!("add `renamed_from: {state}` to stack {name}"),
        );
    }
    if let Some(same) = config.stacks.iter().find(|stack| stack.name == *name) {
        return problem(
            format!(
                "stack {name} has the state {:?}, and no stack has the state {:?}, which stack {name} has in \
                 the last good commit {commit}; its resources still exist",
                same.state().as_str(),
                state.as_str()
            ),
            format!(
                "add `renamed_from: {state}` to the stack that has its resources now; to remove them, first \
                 deliver a commit in which `removed` has the line `{name}: destroy` or `{name}: keep` and no \
                 stack is called {name}, and give the name to another stack after that"
            ),
        );
    }
    let choice = format!(
        "add to the top level `removed:` with the line `{name}: destroy` (a plan destroys its \
         resources, after an approval) or `{name}: keep` (they stay, and no run changes them)"
    );
    match new.iter().find(|stack| stack.dir == old.dir) {
        Some(renamed) => problem(
            format!(
                "stack {name} of the last good commit {commit} is missing, and stack {} has its \
                 directory {:?}: probably it was renamed, and its state goes by the name",
                renamed.name, old.dir
            ),
            format!(
                "add `renamed_from: {state}` to stack {}; if it is another stack, {choice}",
                renamed.name
            ),
        ),
        None => problem(
            format!(
                "stack {name} ({:?}) of the last good commit {commit} is missing; its resources \
                 still exist",
                old.dir
            ),
            format!("{choice}; if it was renamed, add `renamed_from: {state}` to it instead"),
        ),
    }
}

fn problem(found: String, fix: String) -> Problem {
    let mut problem = Problem::of(Code::LastGood("CF038"), CONFIG_FILE, found);
    problem.fix = fix;
    problem
}

/// The stacks that are destroyed come after all others, so both chains count.
fn too_many_waves(config: &Config, good: &LastGood) -> Option<Problem> {
    let destroyed = good
        .config
        .stacks
        .iter()
        .filter(|stack| config.removed.get(&stack.name) == Some(&Removed::Destroy));
    let (kept, removed) = (waves(&config.stacks), waves(destroyed));
    (kept + removed > MAX_WAVES && removed > 0).then(|| {
        problem(
            format!(
                "{removed} stacks in a row are destroyed after {kept} in a row; expected \
                 {MAX_WAVES} in a row at most"
            ),
            "leave some of them in `stacks`, and remove them with a later commit".to_owned(),
        )
    })
}
