//! The verdict on the plan of a rollback.

use super::{Action, Origin, PlanSummary, ResourceChange, STATELESS_TYPES, Verdict};
use std::fmt;

/// The changes for which a plan of a rollback is not applied. An operator decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Vec<RefusedChange>);

/// A change that a rollback must not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedChange {
    /// The resource's address in the plan.
    pub address: String,
    /// Why the change is refused.
    pub cause: Cause,
}

/// Why a rollback must not make a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It would delete an object that the run did not create.
    DeletesOlder,
    /// It would replace an object that the run did not create.
    ReplacesOlder,
    /// It would delete or replace an object that the run created, but that is protected.
    Protected,
    /// It would create a resource that the run did not delete.
    CreatesMore,
    /// It would remove a resource from the state that the run did not import.
    ForgetsMore,
    /// It would leave deleted what the run imported and deleted.
    ImportedAndDeleted,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, change) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RefusedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        match self.cause {
            Cause::DeletesOlder => write!(f, "delete {address}, which existed before the run"),
            Cause::ReplacesOlder => write!(f, "replace {address}, which existed before the run"),
            Cause::Protected => write!(
                f,
                "delete {address}, which the run created and is protected"
            ),
            Cause::CreatesMore => write!(f, "create {address}, which the run did not delete"),
            Cause::ImportedAndDeleted => {
                write!(f, "leave {address} deleted, which the run imported")
            }
            Cause::ForgetsMore => write!(f, "forget {address}, which the run did not import"),
        }
    }
}

/// Returns the verdict on a plan of a rollback. `made` is what the run did to the stack. A rollback
/// asks no one.
///
/// What the run created may be deleted, unless it is protected. What the run deleted may be created
/// again. What existed before the run is never deleted or replaced.
///
/// # Errors
/// Fails with every other change that deletes, creates or forgets something.
pub fn judge_rollback(
    summary: &PlanSummary,
    made: &[ResourceChange],
    is_protected: impl Fn(&ResourceChange) -> bool,
) -> Result<Verdict, Refused> {
    let mut refused: Vec<RefusedChange> = summary
        .changes
        .iter()
        .filter_map(|change| {
            let cause = refusal(change, made, &is_protected)?;
            let address = change.address.clone();
            Some(RefusedChange { address, cause })
        })
        .collect();
    // Nothing brings back what existed before the run in no state, and was deleted.
    let lost = made
        .iter()
        .filter(|one| one.origin == Some(Origin::Imported) && one.action == Action::Delete);
    refused.extend(lost.map(|one| RefusedChange {
        address: one.address.clone(),
        cause: Cause::ImportedAndDeleted,
    }));
    if !refused.is_empty() {
        return Err(Refused(refused));
    }
    Ok(if summary.is_empty() {
        Verdict::NoChanges
    } else {
        Verdict::Auto
    })
}

fn refusal(
    change: &ResourceChange,
    made: &[ResourceChange],
    is_protected: impl Fn(&ResourceChange) -> bool,
) -> Option<Cause> {
    // The address of the object before the rollback.
    let held_at = change.was_at();
    let known = |is: &dyn Fn(&ResourceChange) -> bool| made.iter().any(is);
    let created = || {
        known(&|one| {
            // What replaced an imported object stands for one that existed before the run.
            let is_own = match one.action {
                Action::Create => true,
                Action::Replace => one.origin != Some(Origin::Imported),
                _ => false,
            };
            one.address == held_at && is_own
        })
    };
    let deletion = |older| match () {
        () if !created() => Some(older),
        () if is_protected(change) => Some(Cause::Protected),
        () => None,
    };
    match change.action {
        Action::Update | Action::Keep => None,
        Action::Delete => deletion(Cause::DeletesOlder),
        Action::Replace => deletion(Cause::ReplacesOlder),
        // The object from before a replacement that did not get as far as its deletion.
        Action::DeleteDeposed => {
            let replaced = known(&|one| {
                one.address == held_at && one.action == Action::Replace && !is_protected(one)
            });
            let holds_nothing = STATELESS_TYPES.contains(&change.resource_type.as_str());
            (!replaced || !holds_nothing).then_some(Cause::DeletesOlder)
        }
        Action::Create => {
            let deleted = known(&|one| {
                let is_there = one.was_at() == change.address || one.address == change.address;
                is_there && one.action == Action::Delete
            });
            (!deleted).then_some(Cause::CreatesMore)
        }
        Action::Forget => {
            let imported = known(&|one| {
                let is_whole = matches!(one.action, Action::Keep | Action::Update);
                one.address == held_at && one.origin == Some(Origin::Imported) && is_whole
            });
            (!imported).then_some(Cause::ForgetsMore)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change(address: &str, origin: Option<Origin>, action: Action) -> ResourceChange {
        let resource_type = address.split('.').next().unwrap_or_default().to_owned();
        ResourceChange {
            address: address.into(),
            resource_type,
            origin,
            action,
        }
    }

    fn moved(from: &str) -> Option<Origin> {
        Some(Origin::Moved { from: from.into() })
    }

    fn judged(plan: Vec<ResourceChange>, made: &[ResourceChange]) -> Result<Verdict, String> {
        let summary = PlanSummary {
            changes: plan,
            ..PlanSummary::default()
        };
        let is_protected = |change: &ResourceChange| change.resource_type == "table";
        judge_rollback(&summary, made, is_protected).map_err(|refused| refused.to_string())
    }

    /// What a run did to one resource, what its rollback would do, and the refusal of it.
    #[test]
    fn a_rollback_undoes_what_the_run_did_and_nothing_else() {
        use Action::{Create, Delete, DeleteDeposed, Forget, Keep, Replace, Update};
        let none = || None;
        let cases = [
            // Nothing was done.
            (vec![], change("t.a", none(), Update), ""),
            (vec![], change("t.a", moved("t.b"), Keep), ""),
            (vec![], change("t.a", Some(Origin::Imported), Keep), ""),
            (
                vec![],
                change("t.a", none(), Delete),
                "delete t.a, which existed before the run",
            ),
            (
                vec![],
                change("t.a", none(), Replace),
                "replace t.a, which existed before the run",
            ),
            (
                vec![],
                change("t.a", none(), Create),
                "create t.a, which the run did not delete",
            ),
            (
                vec![],
                change("t.a", none(), Forget),
                "forget t.a, which the run did not import",
            ),
            (
                vec![],
                change("t.a", none(), DeleteDeposed),
                "delete t.a, which existed before the run",
            ),
            // Created.
            (
                vec![change("t.a", none(), Create)],
                change("t.a", none(), Delete),
                "",
            ),
            (
                vec![change("t.a", none(), Create)],
                change("t.z", moved("t.a"), Replace),
                "",
            ),
            (
                vec![change("table.a", none(), Create)],
                change("table.a", none(), Delete),
                "delete table.a, which the run created and is protected",
            ),
            // Updated: it is the same object.
            (
                vec![change("t.a", none(), Update)],
                change("t.a", none(), Replace),
                "replace t.a, which existed before the run",
            ),
            // Replaced.
            (
                vec![change("t.a", none(), Replace)],
                change("t.a", none(), Replace),
                "",
            ),
            (
                vec![change("t.a", none(), Replace)],
                change("t.a", none(), DeleteDeposed),
                "delete t.a, which existed before the run",
            ),
            (
                vec![change("terraform_data.a", none(), Replace)],
                change("terraform_data.a", none(), DeleteDeposed),
                "",
            ),
            // Imported and replaced: what replaced it stands for it.
            (
                vec![change("t.a", Some(Origin::Imported), Replace)],
                change("t.a", none(), Delete),
                "delete t.a, which existed before the run",
            ),
            (
                vec![change("t.b", Some(Origin::Imported), Delete)],
                change("t.a", none(), Update),
                "leave t.b deleted, which the run imported",
            ),
            // Deleted, also after a move.
            (
                vec![change("t.a", none(), Delete)],
                change("t.a", none(), Create),
                "",
            ),
            (
                vec![change("t.b", moved("t.a"), Delete)],
                change("t.a", none(), Create),
                "",
            ),
            // Imported.
            (
                vec![change("t.a", Some(Origin::Imported), Update)],
                change("t.scratch", moved("t.a"), Forget),
                "",
            ),
            (
                vec![change("t.a", Some(Origin::Imported), Keep)],
                change("t.a", none(), Delete),
                "delete t.a, which existed before the run",
            ),
            // Moved.
            (
                vec![change("t.b", moved("t.a"), Keep)],
                change("t.b", none(), Delete),
                "delete t.b, which existed before the run",
            ),
            (
                vec![change("t.b", moved("t.a"), Keep)],
                change("t.a", none(), Create),
                "create t.a, which the run did not delete",
            ),
            (
                vec![change("t.b", moved("t.a"), Update)],
                change("t.a", moved("t.b"), Update),
                "",
            ),
            // Removed from the state.
            (
                vec![change("t.a", none(), Forget)],
                change("t.a", none(), Create),
                "create t.a, which the run did not delete",
            ),
        ];
        for (made, back, expected) in cases {
            let found = judged(vec![back.clone()], &made);
            let expected = match expected {
                "" => Ok(Verdict::Auto),
                text => Err(text.to_owned()),
            };
            assert_eq!(found, expected, "{made:?} then {back:?}");
        }
        assert_eq!(judged(Vec::new(), &[]), Ok(Verdict::NoChanges));
    }

    #[test]
    fn every_refused_change_is_named() {
        let plan = [
            Action::Delete,
            Action::Create,
            Action::Update,
            Action::Replace,
        ];
        let plan = plan.iter().enumerate();
        let plan = plan.map(|(at, action)| change(&format!("t.a[{at}]"), None, *action));
        let refused = judged(plan.collect(), &[]);
        let expected = "delete t.a[0], which existed before the run; create t.a[1], which the run \
                        did not delete; replace t.a[3], which existed before the run";
        assert_eq!(refused, Err(expected.to_owned()));
    }

    fn any_action() -> impl Strategy<Value = Action> {
        proptest::sample::select(vec![
            Action::Create,
            Action::Update,
            Action::Delete,
            Action::Replace,
            Action::Forget,
            Action::Keep,
            Action::DeleteDeposed,
        ])
    }

    fn any_changes() -> impl Strategy<Value = Vec<ResourceChange>> {
        let address = proptest::sample::select(vec!["t.a", "t.b", "table.c"]);
        let origin = proptest::sample::select(vec![None, Some(Origin::Imported), moved("t.b")]);
        let one = (address, origin, any_action());
        let one = one.prop_map(|(address, origin, action)| change(address, origin, action));
        proptest::collection::vec(one, 0..4)
    }

    proptest! {
        /// Whatever a run did, a plan that is applied deletes only objects that the run created.
        #[test]
        fn an_object_that_existed_before_is_never_deleted(made in any_changes(), plan in any_changes()) {
            if judged(plan.clone(), &made).is_ok() {
                for gone in plan.iter().filter(|change| change.action.deletes()) {
                    let from = match &gone.origin {
                        Some(Origin::Moved { from }) => from,
                        _ => &gone.address,
                    };
                    let own = |one: &&ResourceChange| &one.address == from
                        && (one.action == Action::Create
                            || one.action == Action::Replace && one.origin != Some(Origin::Imported));
                    prop_assert!(made.iter().any(|one| own(&one)));
                }
            }
        }
    }
}
