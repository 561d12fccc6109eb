//! What an apply did, computed from its plan and the states before and after it.
//!
//! The log of an apply ends with the process: after a SIGKILL it does not say what was done. The
//! plan and the two states do, except for what a killed apply did after the state was last written:
//! see `unrecorded`.

use super::{Action, Origin, ResourceChange, StateVersion};
use std::collections::BTreeMap;
use std::fmt;

/// The id of an object in its provider, as a state holds it. It reaches no record, message or log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId(String);

impl ObjectId {
    /// Returns the id that a state holds.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the id as Terraform imports it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectId(..)")
    }
}

/// A change of a plan, with what the plan knows of the object before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedResource {
    /// The change.
    pub change: ResourceChange,
    /// The object before the plan. None for a resource that is created, and for one without an id.
    pub before: Option<ObjectId>,
    /// The id with which Terraform imports the object before the plan, if it is known for its type.
    pub import_id: Option<ObjectId>,
}

/// The objects in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateObjects {
    /// The state's version.
    pub version: StateVersion,
    /// Each resource's current object, by address. None for an object without an id.
    pub objects: BTreeMap<String, Option<ObjectId>>,
}

/// How far an apply got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// It carried out its whole plan.
    Whole,
    /// It ended early by itself. The state has what it did.
    Part,
    /// It was killed, or its end is not known. It may have done more than the state has.
    Unknown,
}

/// Returns the changes that an apply carried out. A replacement that only deleted is a deletion. An
/// update that may have been carried out counts as carried out.
///
/// An object is the same as before if it has the same id. An object without an id, and a new object
/// with the former id, count as the same: then a rollback does not delete them.
#[must_use]
pub fn carried_out(
    planned: &[PlannedResource],
    before: &StateVersion,
    after: &StateObjects,
    extent: Extent,
) -> Vec<ResourceChange> {
    if extent == Extent::Whole {
        return planned.iter().map(|one| one.change.clone()).collect();
    }
    if after.version.is_version(before) {
        return Vec::new();
    }
    let moves = Moves::of(planned, after);
    planned
        .iter()
        .filter_map(|one| moves.carried_out(one))
        .collect()
}

/// A change that no apply of a plan carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPlanned {
    /// The address of the resource.
    pub address: String,
}

/// Returns the changes that an apply carried out, of those that a job says it computed with
/// [`carried_out`]. Without the state, only the plan of the apply bounds them: an apply does what its
/// plan says, or less.
///
/// # Errors
/// Fails with the first change that no apply of this plan carries out.
pub fn confirmed(
    planned: &[ResourceChange],
    said: Vec<ResourceChange>,
    extent: Extent,
) -> Result<Vec<ResourceChange>, NotPlanned> {
    if extent == Extent::Whole {
        return Ok(planned.to_vec());
    }
    let is_planned = |one: &ResourceChange| planned.iter().any(|plan| is_part(one, plan));
    match said.iter().find(|one| !is_planned(one)) {
        None => Ok(said),
        Some(other) => Err(NotPlanned {
            address: other.address.clone(),
        }),
    }
}

/// Returns whether an apply of the change `plan` may have ended with `made`.
fn is_part(made: &ResourceChange, plan: &ResourceChange) -> bool {
    let ended = match made.action {
        action if action == plan.action => true,
        Action::Delete => plan.action == Action::Replace,
        // Moved or imported, but not changed yet.
        Action::Keep => {
            let changes = [Action::Delete, Action::Forget, Action::Replace];
            plan.origin.is_some() && changes.contains(&plan.action)
        }
        _ => false,
    };
    ended
        && made.address == plan.address
        && made.resource_type == plan.resource_type
        && made.origin == plan.origin
}

pub(super) struct Moves<'a> {
    planned: &'a [PlannedResource],
    after: &'a StateObjects,
}

impl<'a> Moves<'a> {
    pub(super) fn of(planned: &'a [PlannedResource], after: &'a StateObjects) -> Self {
        Self { planned, after }
    }

    /// Returns the object at an address after the apply: none if there is none.
    fn object(&self, address: &str) -> Option<&Option<ObjectId>> {
        self.after.objects.get(address)
    }

    /// Returns whether the state has an object at this address that the plan does not move away.
    pub(super) fn is_held(&self, address: &str) -> bool {
        self.object(address).is_some() && !self.is_unmoved(address)
    }

    /// Returns whether the state has an object for this change that is not the one from before it.
    pub(super) fn has_new(&self, one: &PlannedResource) -> bool {
        let address = &one.change.address;
        let is_other = |found: &ObjectId| one.before.as_ref().is_some_and(|old| old != found);
        self.is_held(address)
            && self
                .object(address)
                .is_some_and(|found| found.as_ref().is_some_and(is_other))
    }

    /// Returns whether the object at this address is one that the plan moves away from there.
    fn is_unmoved(&self, address: &str) -> bool {
        let found = self.object(address).cloned().flatten();
        self.planned.iter().any(|one| {
            let leaves =
                matches!(&one.change.origin, Some(Origin::Moved { from }) if from == address);
            leaves && found.is_some() && one.before == found
        })
    }

    fn carried_out(&self, one: &PlannedResource) -> Option<ResourceChange> {
        let change = &one.change;
        let is_held = self.is_held(&change.address);
        let is_moved = match &change.origin {
            Some(Origin::Moved { from }) => is_held || !self.is_unmoved(from),
            Some(Origin::Imported) => is_held,
            None => true,
        };
        // Moved or imported, but not changed yet.
        let kept = change.origin.as_ref().map(|_| Action::Keep);
        let action = match change.action {
            Action::Create => is_held.then_some(Action::Create),
            Action::Delete | Action::Forget if is_held => kept,
            Action::Delete | Action::Forget => is_moved.then_some(change.action),
            Action::Replace if !is_held => is_moved.then_some(Action::Delete),
            Action::Replace if self.has_new(one) => Some(Action::Replace),
            Action::Replace => kept,
            Action::Update => is_held.then_some(Action::Update),
            Action::Keep => is_held.then_some(Action::Keep),
            Action::DeleteDeposed => None,
        };
        let mut carried_out = change.clone();
        carried_out.action = action?;
        Some(carried_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Resources;

    fn planned(address: &str, origin: Option<Origin>, action: Action, id: &str) -> PlannedResource {
        let change = ResourceChange {
            address: address.into(),
            resource_type: "terraform_data".into(),
            origin,
            action,
        };
        let before = (!id.is_empty()).then(|| ObjectId::new(id));
        PlannedResource {
            change,
            import_id: before.clone(),
            before,
        }
    }

    fn version(serial: u64) -> StateVersion {
        StateVersion {
            lineage: "one".into(),
            serial,
            resources: Resources::Some,
        }
    }

    fn after(serial: u64, objects: &[(&str, &str)]) -> StateObjects {
        let object = |(address, id): &(&str, &str)| ((*address).into(), Some(ObjectId::new(*id)));
        StateObjects {
            version: version(serial),
            objects: objects.iter().map(object).collect(),
        }
    }

    fn moved(from: &str) -> Option<Origin> {
        Some(Origin::Moved { from: from.into() })
    }

    /// A plan of every kind of change.
    fn plan() -> Vec<PlannedResource> {
        vec![
            planned("t.created", None, Action::Create, ""),
            planned("t.updated", None, Action::Update, "u"),
            planned("t.replaced", None, Action::Replace, "r"),
            planned("t.deleted", None, Action::Delete, "d"),
            planned("t.released", None, Action::Forget, "f"),
            planned("t.imported", Some(Origin::Imported), Action::Keep, "i"),
            planned("t.adopted", Some(Origin::Imported), Action::Update, "a"),
            planned("t.new", moved("t.old"), Action::Keep, "m"),
            planned("t.old", None, Action::Create, ""),
        ]
    }

    const BEFORE: [(&str, &str); 5] = [
        ("t.updated", "u"),
        ("t.replaced", "r"),
        ("t.deleted", "d"),
        ("t.released", "f"),
        ("t.old", "m"),
    ];

    fn actions(after: &StateObjects, extent: Extent) -> Vec<(String, Action)> {
        let made = carried_out(&plan(), &version(3), after, extent);
        made.into_iter()
            .map(|change| (change.address, change.action))
            .collect()
    }

    fn named(expected: &[(&str, Action)]) -> Vec<(String, Action)> {
        let own = |(address, action): &(&str, Action)| ((*address).to_owned(), *action);
        expected.iter().map(own).collect()
    }

    #[test]
    fn an_apply_that_wrote_no_state_did_nothing() {
        assert_eq!(actions(&after(3, &BEFORE), Extent::Unknown), []);
    }

    /// Terraform moves and imports before it changes the first resource.
    #[test]
    fn an_apply_that_was_killed_at_its_first_resource_moved_and_imported() {
        let state = [
            ("t.updated", "u"),
            ("t.replaced", "r"),
            ("t.deleted", "d"),
            ("t.released", "f"),
            ("t.imported", "i"),
            ("t.adopted", "a"),
            ("t.new", "m"),
        ];
        assert_eq!(
            actions(&after(4, &state), Extent::Unknown),
            named(&[
                ("t.updated", Action::Update),
                ("t.imported", Action::Keep),
                ("t.adopted", Action::Update),
                ("t.new", Action::Keep),
            ])
        );
    }

    #[test]
    fn an_apply_that_did_all_but_say_so_did_all() {
        let state = [
            ("t.created", "c"),
            ("t.updated", "u"),
            ("t.replaced", "r2"),
            ("t.imported", "i"),
            ("t.adopted", "a"),
            ("t.new", "m"),
            ("t.old", "o2"),
        ];
        let whole = actions(&after(9, &state), Extent::Whole);
        assert_eq!(actions(&after(9, &state), Extent::Unknown), whole);
        assert_eq!(whole.len(), plan().len());
    }

    #[test]
    fn a_replacement_that_only_deleted_is_a_deletion() {
        let made = actions(&after(4, &[("t.updated", "u")]), Extent::Unknown);
        assert!(made.contains(&("t.replaced".into(), Action::Delete)));
    }

    #[test]
    fn a_resource_that_was_not_moved_yet_was_not_created_at_its_former_address() {
        let made = actions(&after(4, &BEFORE), Extent::Unknown);
        assert_eq!(made, named(&[("t.updated", Action::Update)]));
    }

    fn changes(planned: &[PlannedResource]) -> Vec<ResourceChange> {
        planned.iter().map(|one| one.change.clone()).collect()
    }

    /// Whatever the state holds afterwards.
    #[test]
    fn what_is_computed_from_the_state_is_confirmed_by_the_plan() {
        let state = [
            ("t.created", "c"),
            ("t.updated", "u"),
            ("t.replaced", "r2"),
            ("t.deleted", "d"),
            ("t.released", "f"),
            ("t.imported", "i"),
            ("t.adopted", "a"),
            ("t.new", "m"),
            ("t.old", "m"),
        ];
        let mut plan = plan();
        plan.push(planned("t.gone", moved("t.was"), Action::Delete, "g"));
        plan.push(planned("t.fresh", moved("t.stale"), Action::Replace, "s"));
        plan.push(planned(
            "t.left",
            Some(Origin::Imported),
            Action::Forget,
            "l",
        ));
        let state = state
            .into_iter()
            .chain([("t.gone", "g"), ("t.fresh", "s"), ("t.left", "l")]);
        let state: Vec<_> = state.collect();
        for set in 0..1_u32 << state.len() {
            let held = state
                .iter()
                .enumerate()
                .filter(|(at, _)| (set >> at) & 1 == 1);
            let held: Vec<_> = held.map(|(_, object)| *object).collect();
            let made = carried_out(&plan, &version(3), &after(4, &held), Extent::Unknown);
            let confirmed = confirmed(&changes(&plan), made.clone(), Extent::Unknown);
            assert_eq!(confirmed, Ok(made));
        }
    }

    #[test]
    fn what_the_plan_does_not_have_is_not_confirmed() {
        let plan = changes(&plan());
        let said = |address: &str, kind: &str, origin, action| {
            let mut change = planned(address, origin, action, "").change;
            kind.clone_into(&mut change.resource_type);
            let address = change.address.clone();
            let found = confirmed(&plan, vec![change], Extent::Unknown);
            assert_eq!(found, Err(NotPlanned { address }));
        };
        let own = "terraform_data";
        said("t.other", own, None, Action::Create);
        said("t.updated", own, None, Action::Create);
        said("t.updated", own, None, Action::Delete);
        said("t.updated", own, None, Action::Keep);
        said("t.created", "aws_sqs_queue", None, Action::Create);
        said("t.created", own, moved("t.x"), Action::Create);
        said("t.imported", own, None, Action::Keep);
    }

    #[test]
    fn of_a_whole_apply_only_the_plan_says_what_it_did() {
        let plan = changes(&plan());
        let said = vec![planned("t.other", None, Action::Create, "").change];
        assert_eq!(confirmed(&plan, said, Extent::Whole), Ok(plan.clone()));
    }

    #[test]
    fn an_id_is_not_printed() {
        assert!(!format!("{:?}", plan()).contains("\"u\""));
    }
}
