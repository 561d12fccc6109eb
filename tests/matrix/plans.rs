//! The plans of the minimal Terraform.
//!
//! Lines of a stack's code stand for Terraform's blocks: `# resource ADDRESS`, `# moved FROM TO`,
//! `# import ADDRESS OBJECT` and `# forget ADDRESS`.

use crate::terraform::{Managed, Resources};
use domain::job::JobSpec;
use domain::plan::{
    Action, Origin, ResourceChange, ShownPlan, StateObjects, UndoPlan, carried_out, undo,
};
use engine::fakes::FakeObjects;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A resource in a configuration.
pub(crate) struct Wanted {
    pub(crate) value: String,
    /// What a new value does to the object: update or replace.
    pub(crate) on_change: Action,
}

/// A change in a plan file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) address: String,
    pub(crate) origin: Option<Origin>,
    pub(crate) action: Action,
    pub(crate) value: String,
    /// The id of the object before the plan.
    pub(crate) before: Option<u64>,
}

/// The content of a plan file.
#[derive(Serialize, Deserialize)]
pub(crate) struct PlanFile {
    pub(crate) changes: Vec<Change>,
    pub(crate) secret: String,
}

impl Change {
    /// Returns the change as a plan's JSON shows it.
    pub(crate) fn brief(&self) -> ResourceChange {
        let (resource_type, _) = self.address.split_once('.').unwrap();
        ResourceChange {
            address: self.address.clone(),
            resource_type: resource_type.to_owned(),
            origin: self.origin.clone(),
            action: self.action,
        }
    }
}

/// What a plan does before it compares resources.
#[derive(Default)]
pub(crate) struct Statements {
    moves: Vec<(String, String)>,
    imports: Vec<(String, u64)>,
    forgets: BTreeSet<String>,
}

impl Statements {
    /// Returns those of a stack's code, and of a rollback.
    pub(crate) fn of(code: &str, undo: &UndoPlan) -> Self {
        let mut own = Self::default();
        let object = |id: &str| id.parse::<u64>().unwrap();
        for line in code.lines() {
            let line = line.split_once("# ").map_or("", |(_, line)| line);
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["moved", from, to] => own.moves.push(((*from).into(), (*to).into())),
                ["import", to, id] => own.imports.push(((*to).into(), object(id))),
                ["forget", from] => {
                    own.forgets.insert((*from).into());
                }
                _ => {}
            }
        }
        own.moves.extend(undo.moves.iter().cloned());
        for (from, scratch) in &undo.releases {
            own.moves.push((from.clone(), scratch.to_string()));
            own.forgets.insert(scratch.to_string());
        }
        let imports = undo.imports.iter();
        own.imports
            .extend(imports.map(|(to, id)| (to.clone(), object(id.as_str()))));
        own
    }
}

/// Returns the resources that a stack's code adds to those of every stack.
pub(crate) fn added(code: &str) -> impl Iterator<Item = (String, Wanted)> {
    let addresses = code
        .lines()
        .filter_map(|line| line.split_once("# resource "));
    addresses.map(|(_, address)| {
        let (value, on_change) = (address.to_owned(), Action::Update);
        (address.to_owned(), Wanted { value, on_change })
    })
}

/// Returns the changes that bring a stack to its configuration, in the order of the addresses.
pub(crate) fn changes(
    held: &Resources,
    wanted: &BTreeMap<String, Wanted>,
    statements: &Statements,
) -> Vec<Change> {
    let mut held = held.clone();
    let mut origins = BTreeMap::new();
    for (from, to) in &statements.moves {
        if held.contains_key(to) {
            continue;
        }
        if let Some(moved) = held.remove(from) {
            held.insert(to.clone(), moved);
            origins.insert(to, Origin::Moved { from: from.clone() });
        }
    }
    for (to, object) in &statements.imports {
        if !held.contains_key(to) {
            held.insert(to.clone(), Managed::imported(*object));
            origins.insert(to, Origin::Imported);
        }
    }
    let addresses: BTreeSet<&String> = held.keys().chain(wanted.keys()).collect();
    let change = |address: &String| {
        let (old, new) = (held.get(address), wanted.get(address));
        let origin = origins.get(address).cloned();
        let action = match (old, new) {
            (None, _) => Action::Create,
            (Some(_), None) if statements.forgets.contains(address) => Action::Forget,
            (Some(_), None) => Action::Delete,
            (Some(old), Some(_)) if old.tainted => Action::Replace,
            (Some(old), Some(new)) if old.value != new.value => new.on_change,
            _ if origin.is_some() => Action::Keep,
            _ => return None,
        };
        Some(Change {
            address: address.clone(),
            origin,
            action,
            value: new.map_or_else(String::new, |new| new.value.clone()),
            before: old.map(|old| old.object),
        })
    };
    addresses.into_iter().filter_map(change).collect()
}

/// Returns what the run did to the stack before its rollback, and what undoes it, as the runner
/// computes them.
pub(crate) fn undone(
    artifacts: &FakeObjects,
    spec: &JobSpec,
    after: &StateObjects,
) -> (Vec<ResourceChange>, UndoPlan) {
    let Some(undone) = &spec.undo else {
        return Default::default();
    };
    let bytes = artifacts.peek(&undone.applied.json.key).unwrap();
    let planned = ShownPlan::parse(&bytes).unwrap().resources;
    let made = carried_out(&planned, &undone.applied.state, after, undone.extent);
    let undo = undo(&made, &planned).unwrap();
    (made, undo)
}
