//! What the plan of a rollback contains in addition to the last good source.

use super::{Action, ObjectId, Origin, PlannedResource, ResourceChange};
use std::collections::BTreeMap;
use std::fmt;

/// Statements in Terraform's language that undo moves, imports and removals from the state. The
/// rest follows from the last good source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndoPlan {
    /// The address of each moved resource, and the address from which the run moved it.
    pub moves: Vec<(String, String)>,
    /// The address of each imported resource, and the address at which it leaves the state.
    /// Terraform removes no resource from the state whose block is still there or whose address has
    /// an instance key, so it is moved first.
    pub releases: Vec<(String, Scratch)>,
    /// The address of each resource that the run removed from the state, and its import id.
    pub imports: Vec<(String, ObjectId)>,
}

impl UndoPlan {
    /// Returns whether there is nothing to add to the last good source.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty() && self.releases.is_empty() && self.imports.is_empty()
    }

    /// Replaces the destination of each move for which the last good source has a `moved` block of
    /// its own by the start of that block: Terraform allows one `moved` block for each destination,
    /// and follows a chain of them. `moved` are the addresses `from` and `to` of these blocks.
    pub fn follow(&mut self, moved: &[(String, String)]) {
        for (address, to) in &mut self.moves {
            // A cycle has no start. Terraform reports it.
            for _ in moved {
                let before = moved.iter().find(|(_, known)| known == to);
                match before {
                    // The last good source undoes this move already.
                    Some((from, _)) if from == address => break,
                    Some((from, _)) => to.clone_from(from),
                    None => break,
                }
            }
        }
    }
}

/// The address of a resource that no source has, where an imported resource leaves the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch(String);

impl fmt::Display for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The addresses of resources that a rollback cannot import into the state again, because it is not known
/// which id imports a resource of their type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoImportId(pub Vec<String>);

/// Returns what undoes `made`, the changes of `planned` that were carried out.
///
/// # Errors
/// Fails when the run removed a resource from the state that cannot be imported again.
pub fn undo(made: &[ResourceChange], planned: &[PlannedResource]) -> Result<UndoPlan, NoImportId> {
    let ids: BTreeMap<&str, &ObjectId> = planned
        .iter()
        .filter_map(|one| Some((one.change.address.as_str(), one.import_id.as_ref()?)))
        .collect();
    let mut undo = UndoPlan::default();
    let mut unknown = Vec::new();
    for change in made {
        let address = &change.address;
        match (&change.origin, change.action) {
            (_, Action::Forget) => {
                let was_at = change.was_at().to_owned();
                match ids.get(address.as_str()) {
                    Some(id) => undo.imports.push((was_at, (*id).clone())),
                    None => unknown.push(was_at),
                }
            }
            (Some(Origin::Moved { from }), Action::Keep | Action::Update | Action::Replace) => {
                undo.moves.push((address.clone(), from.clone()));
            }
            (Some(Origin::Imported), Action::Keep | Action::Update) => {
                let number = undo.releases.len() + 1;
                let scratch = format!("{}.sluicegate_undo_{number}", change.resource_type);
                undo.releases.push((address.clone(), Scratch(scratch)));
            }
            // An object that the run created, or none.
            _ => {}
        }
    }
    if unknown.is_empty() {
        Ok(undo)
    } else {
        Err(NoImportId(unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(
        address: &str,
        origin: Option<Origin>,
        action: Action,
        id: Option<&str>,
    ) -> PlannedResource {
        PlannedResource {
            change: ResourceChange {
                address: address.into(),
                resource_type: "aws_sqs_queue".into(),
                origin,
                action,
            },
            before: None,
            import_id: id.map(ObjectId::new),
        }
    }

    fn undone(planned: &[PlannedResource]) -> Result<UndoPlan, NoImportId> {
        let made: Vec<ResourceChange> = planned.iter().map(|one| one.change.clone()).collect();
        undo(&made, planned)
    }

    fn moved(from: &str) -> Option<Origin> {
        Some(Origin::Moved { from: from.into() })
    }

    #[test]
    fn moves_imports_and_removals_are_undone() {
        let plan = undone(&[
            planned("q.made", None, Action::Create, None),
            planned(
                "module.b.q.in[\"k\"]",
                moved("module.a.q.in[\"k\"]"),
                Action::Update,
                None,
            ),
            planned("q.gone", moved("q.was"), Action::Delete, None),
            planned("q.own", Some(Origin::Imported), Action::Keep, None),
            planned("q.two[0]", Some(Origin::Imported), Action::Update, None),
            planned("q.new", Some(Origin::Imported), Action::Replace, None),
            planned("q.left", None, Action::Forget, Some("url")),
        ]);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let scratch = |n: usize| Scratch(format!("aws_sqs_queue.sluicegate_undo_{n}"));
        let expected = UndoPlan {
            moves: vec![pair("module.b.q.in[\"k\"]", "module.a.q.in[\"k\"]")],
            releases: vec![
                ("q.own".to_owned(), scratch(1)),
                ("q.two[0]".to_owned(), scratch(2)),
            ],
            imports: vec![("q.left".to_owned(), ObjectId::new("url"))],
        };
        assert_eq!(plan, Ok(expected));
    }

    #[test]
    fn every_removed_resource_without_an_import_id_is_named() {
        let plan = undone(&[
            planned("q.a", None, Action::Forget, None),
            planned("q.b", None, Action::Forget, Some("b")),
            planned("q.c", moved("q.was"), Action::Forget, None),
        ]);
        assert_eq!(plan, Err(NoImportId(vec!["q.a".into(), "q.was".into()])));
    }

    #[test]
    fn a_move_follows_the_moves_of_the_last_good_source() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let moved = [pair("q.b", "q.c"), pair("q.a", "q.b")];
        let mut undo = UndoPlan {
            moves: vec![pair("q.d", "q.c"), pair("q.x", "q.y"), pair("q.a", "q.b")],
            ..UndoPlan::default()
        };
        undo.follow(&moved);
        let expected = [pair("q.d", "q.a"), pair("q.x", "q.y"), pair("q.a", "q.b")];
        assert_eq!(undo.moves, expected);

        let mut cyclic = UndoPlan {
            moves: vec![pair("q.d", "q.c")],
            ..UndoPlan::default()
        };
        cyclic.follow(&[pair("q.b", "q.c"), pair("q.c", "q.b")]);
        assert_eq!(cyclic.moves.len(), 1);
    }
}
