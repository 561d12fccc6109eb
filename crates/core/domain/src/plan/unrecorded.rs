//! What an apply that was killed may have done without a trace in the state.
//!
//! Terraform writes a state in S3 at the end of an apply, at a SIGTERM, and when 20 seconds have passed
//! since the last time. A shorter interval is not possible: Terraform 1.11 takes values of
//! `TF_STATE_PERSIST_INTERVAL` below 20 as 20.

use super::carried_out::Moves;
use super::{
    Action, Extent, PlanSummary, PlannedResource, ResourceChange, StateObjects, brief_address,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The maximum number of addresses that a record keeps of each stack.
const ADDRESSES: usize = 3;

/// Returns the creations and replacements of a plan that its apply may have made and that the state
/// does not show. An apply that ended by itself has none.
#[must_use]
pub fn unrecorded(
    planned: &[PlannedResource],
    after: &StateObjects,
    extent: Extent,
) -> Vec<ResourceChange> {
    if extent != Extent::Unknown {
        return Vec::new();
    }
    let moves = Moves::of(planned, after);
    let is_missing = |one: &&PlannedResource| match one.change.action {
        Action::Create => !moves.is_held(&one.change.address),
        Action::Replace => !moves.has_new(one),
        _ => false,
    };
    let missing = planned.iter().filter(is_missing);
    missing.map(|one| one.change.clone()).collect()
}

/// Returns the deletions of an apply that the state does not show, but that the plan of its rollback
/// does: Terraform did not find the object, and would create it again. `made` is what the state
/// shows.
#[must_use]
pub fn found_deleted(
    planned: &[PlannedResource],
    made: &[ResourceChange],
    back: &PlanSummary,
    extent: Extent,
) -> Vec<ResourceChange> {
    if extent != Extent::Unknown {
        return Vec::new();
    }
    let is_lost = |change: &&ResourceChange| {
        let is_known = |one: &ResourceChange| one.address == change.address && one.action.deletes();
        let is_created = |one: &ResourceChange| {
            let is_there = one.address == change.was_at() || one.address == change.address;
            is_there && one.action == Action::Create
        };
        matches!(change.action, Action::Delete | Action::Replace)
            && !made.iter().any(is_known)
            && back.changes.iter().any(is_created)
    };
    let lost = planned.iter().map(|one| &one.change).filter(is_lost);
    lost.map(|change| ResourceChange {
        action: Action::Delete,
        ..change.clone()
    })
    .collect()
}

/// The objects that an apply of a stack may have made and that are in no state, as a record keeps
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unrecorded {
    /// The number of objects.
    pub count: usize,
    /// The first addresses, at most three.
    pub first: Vec<String>,
}

impl Unrecorded {
    /// Returns these objects in brief.
    #[must_use]
    pub fn of(changes: &[ResourceChange]) -> Self {
        let first = changes.iter().take(ADDRESSES);
        Self {
            count: changes.len(),
            first: first.map(|change| brief_address(&change.address)).collect(),
        }
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Unrecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.count.saturating_sub(self.first.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ObjectId, Origin, Resources, StateVersion};

    fn planned(address: &str, origin: Option<Origin>, action: Action, id: &str) -> PlannedResource {
        PlannedResource {
            change: ResourceChange {
                address: address.into(),
                resource_type: "t".into(),
                origin,
                action,
            },
            before: (!id.is_empty()).then(|| ObjectId::new(id)),
            import_id: None,
        }
    }

    fn plan() -> Vec<PlannedResource> {
        let moved = Some(Origin::Moved {
            from: "t.old".into(),
        });
        vec![
            planned("t.created", None, Action::Create, ""),
            planned("t.replaced", None, Action::Replace, "r"),
            planned("t.deleted", None, Action::Delete, "d"),
            planned("t.updated", None, Action::Update, "u"),
            planned("t.new", moved, Action::Replace, "m"),
        ]
    }

    fn state(objects: &[(&str, &str)]) -> StateObjects {
        let object = |(address, id): &(&str, &str)| ((*address).into(), Some(ObjectId::new(*id)));
        StateObjects {
            version: StateVersion {
                lineage: "one".into(),
                serial: 4,
                resources: Resources::Some,
            },
            objects: objects.iter().map(object).collect(),
        }
    }

    const BEFORE: [(&str, &str); 4] = [
        ("t.replaced", "r"),
        ("t.deleted", "d"),
        ("t.updated", "u"),
        ("t.old", "m"),
    ];

    fn addresses(after: &[(&str, &str)], extent: Extent) -> Vec<String> {
        let found = unrecorded(&plan(), &state(after), extent);
        found.into_iter().map(|one| one.address).collect()
    }

    #[test]
    fn an_apply_that_was_killed_may_have_made_what_no_state_shows() {
        let all = ["t.created", "t.replaced", "t.new"];
        assert_eq!(addresses(&BEFORE, Extent::Unknown), all);
        let some = [("t.created", "c"), ("t.replaced", "r2"), ("t.new", "m")];
        assert_eq!(addresses(&some, Extent::Unknown), ["t.new"]);
        let only_deleted = [("t.created", "c"), ("t.new", "m2")];
        assert_eq!(addresses(&only_deleted, Extent::Unknown), ["t.replaced"]);
        for extent in [Extent::Whole, Extent::Part] {
            assert_eq!(addresses(&BEFORE, extent), [""; 0]);
        }
    }

    #[test]
    fn what_a_rollback_creates_again_was_deleted_if_the_run_planned_that() {
        let create = |address: &str| planned(address, None, Action::Create, "").change;
        let back = PlanSummary {
            changes: ["t.deleted", "t.old", "t.updated"].map(create).into(),
            ..PlanSummary::default()
        };
        let found = |made: &[ResourceChange], extent| {
            let found = found_deleted(&plan(), made, &back, extent);
            let found = found.into_iter().map(|one| (one.address, one.action));
            found.collect::<Vec<_>>()
        };
        let (deleted, moved) = (
            ("t.deleted".to_owned(), Action::Delete),
            ("t.new".to_owned(), Action::Delete),
        );
        assert_eq!(found(&[], Extent::Unknown), [deleted, moved.clone()]);
        let known = planned("t.deleted", None, Action::Delete, "").change;
        assert_eq!(found(&[known], Extent::Unknown), [moved]);
        assert_eq!(found(&[], Extent::Part), []);
    }

    #[test]
    fn a_record_keeps_the_first_addresses_and_the_number() {
        let change = |n: usize| planned(&format!("t.a[{n}]"), None, Action::Create, "").change;
        let changes: Vec<_> = (0..6).map(change).collect();
        let brief = Unrecorded::of(&changes);
        assert_eq!(brief.to_string(), "t.a[0], t.a[1], t.a[2] and 3 more");
        assert!(Unrecorded::of(&[]).is_empty());
    }
}
