//! What a rollback adds to the last good source: moves, imports and removals from the state that
//! undo those of the run, and the lock entries of providers that the state uses.

use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

use domain::api_failure::{ApiFailure, is_denied};
use domain::error::{ErrorName, StepError};
use domain::job::{JobSpec, Undo};
use domain::plan::{
    Action, Extent, NoImportId, ObjectId, PlanKind, PlanSummary, PlannedResource, ResourceChange,
    ShownPlan, StateVersion, UndoPlan, carried_out, found_deleted, undo, unrecorded,
};
use domain::source_rules::{LOCK_FILE, ROLLBACK_FILE};
use hcl_edit::structure::{Block, Body, Structure};
use serde_json::{Value, json};
use terraform_cli::{Diagnostic, Error, Terraform};

use crate::job::JobContext;
use crate::outcome::Stop;
use crate::work::{fetch, internal};

/// Terraform's errors for a rollback that its language cannot express. The rollback changes nothing,
/// so the environment's state is known.
const NOT_EXPRESSIBLE: [&str; 4] = [
    "Ambiguous move statements",
    "Configuration for import target does not exist",
    "Moved object still exists",
    "Provider configuration not present",
];

/// What the run did to the stack, and the state in which a rollback found it.
pub(crate) struct Found {
    pub(crate) state: StateVersion,
    planned: Vec<PlannedResource>,
    made: Vec<ResourceChange>,
    unrecorded: Vec<ResourceChange>,
    extent: Extent,
}

impl Found {
    /// Returns what the run did, and what it may have made that is in no state. `back` is the plan of the
    /// rollback, for which Terraform looked for each object of the state.
    pub(crate) fn known(
        mut self,
        back: &PlanSummary,
    ) -> (Vec<ResourceChange>, Vec<ResourceChange>) {
        let deleted = found_deleted(&self.planned, &self.made, back, self.extent);
        self.made.extend(deleted);
        (self.made, self.unrecorded)
    }
}

/// Compares the plan that the run applied with the state, and writes what undoes it beside the
/// stack's files. Needs an initialized directory.
///
/// # Errors
/// `PlanRefused` if a resource that the run removed from the state cannot be imported again.
pub(crate) async fn prepare(
    context: &JobContext,
    spec: &JobSpec,
    undone: &Undo,
    terraform: &Terraform,
    dir: &Path,
) -> Result<Found, Stop> {
    let sealed = &undone.applied;
    let json = fetch(context, &sealed.json, "the plan that the run applied").await?;
    let planning = |error: Error| Stop::of(&error, ErrorName::PlanFailed);
    let planned = ShownPlan::parse(&json)
        .map_err(|error| planning(error.into()))?
        .resources;
    context.log.step("state pull");
    let after = terraform.state().await.map_err(planning)?.objects;
    let extent = undone.extent;
    let found = Found {
        made: carried_out(&planned, &sealed.state, &after, extent),
        unrecorded: unrecorded(&planned, &after, extent),
        state: after.version,
        planned,
        extent,
    };
    // A plan that destroys everything keeps nothing. The verdict refuses it if it must.
    if spec.plan_kind == PlanKind::Destroy {
        return Ok(found);
    }
    let (made, planned) = (&found.made, &found.planned);
    let mut plan = undo(made, planned).map_err(|NoImportId(addresses)| {
        let message = format!(
            "stack {}: the run removed {} from the state, and the id that imports a resource of this \
             type is not known; import each by hand, or restore the state from before the run: serial \
             {}, lineage {}",
            spec.stack,
            addresses.join(", "),
            sealed.state.serial,
            sealed.state.lineage
        );
        Stop::from(StepError::new(ErrorName::PlanRefused, message))
    })?;
    let own = Own::read(dir).map_err(|error| internal("read the source", &error))?;
    plan.follow(&own.moved);
    // A block of the last good source that imports the same object stays.
    plan.imports.retain(|(to, id)| {
        !own.imports
            .contains(&(to.clone(), Some(id.as_str().to_owned())))
    });
    let deleted = made.iter().filter(|change| change.action == Action::Delete);
    let deleted = deleted.map(ResourceChange::was_at);
    let replaced = plan.imports.iter().map(|(to, _)| to.as_str());
    let outdated: Vec<&str> = own.imported(deleted.chain(replaced));
    if !outdated.is_empty() {
        context.log.step(&format!(
            "without the import blocks of {}: the run deleted the object there, or removed another one from \
             the state",
            outdated.join(", ")
        ));
        drop_imports(dir, &outdated).map_err(|error| internal("write the source", &error))?;
    }
    if !plan.is_empty() {
        let (moves, imports) = (plan.moves.len(), plan.imports.len());
        let releases = plan.releases.len();
        context.log.step(&format!(
            "undo {moves} moves, {releases} imports and {imports} removals from the state"
        ));
        std::fs::write(dir.join(ROLLBACK_FILE), file(&plan).to_string())
            .map_err(|error| internal("write the rollback's file", &error))?;
    }
    Ok(found)
}

/// Whether a lock file is as it was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Same,
    Completed,
}

/// Adds the entries that the last good lock file lacks for providers that the state uses. They come
/// from the lock file of the failed commit. `error` is the one of an `init` that has initialized the
/// backend: before that, the state is not known.
///
/// # Errors
/// The errors of reading the state and the failed commit's source.
pub(crate) async fn complete_lock(
    context: &JobContext,
    undone: &Undo,
    error: &Error,
    terraform: &Terraform,
    dir: &Path,
) -> Result<Lock, Stop> {
    if !has_other_providers(error) {
        return Ok(Lock::Same);
    }
    let planning = |error: Error| Stop::of(&error, ErrorName::PlanFailed);
    let used = terraform.state().await.map_err(planning)?.providers;
    let file = dir.join(LOCK_FILE);
    // The last good commit may have none.
    let own = std::fs::read_to_string(&file).unwrap_or_default();
    let failed = match &undone.applied.dependencies {
        Some(sealed) => {
            let sealed = fetch(context, sealed, "the failed commit's sealed modules").await?;
            member(&sealed, LOCK_FILE)
        }
        None => {
            let source = fetch(context, &undone.source, "the failed commit's source").await?;
            member(&source, &format!("{}/{LOCK_FILE}", undone.dir))
        }
    };
    let added = missing_entries(&own, &failed.unwrap_or_default(), |one| used.contains(one));
    if added.is_empty() {
        return Ok(Lock::Same);
    }
    context
        .log
        .step("the lock file lacks providers that the state uses: taken from the failed commit");
    std::fs::write(&file, format!("{own}\n{}", added.concat()))
        .map_err(|error| internal("write the lock", &error))?;
    Ok(Lock::Completed)
}

/// Returns whether `init` failed because the lock file lacks a provider, or has one that is not required:
/// Terraform says the same about both.
pub(crate) fn has_other_providers(error: &Error) -> bool {
    let is_lock = |found: &Diagnostic| found.summary == "Provider dependency changes detected";
    error.diagnostics().iter().any(is_lock)
}

/// Returns the entries of the lock file `failed` that `own` lacks, for the providers that are used.
fn missing_entries(own: &str, failed: &str, is_used: impl Fn(&str) -> bool) -> Vec<String> {
    let (Ok(own), Ok(failed)) = (own.parse::<Body>(), failed.parse::<Body>()) else {
        return Vec::new();
    };
    let label = |block: &Block| block.labels.first().map(|label| label.as_str().to_owned());
    let known: Vec<String> = own.get_blocks("provider").filter_map(label).collect();
    let missing = failed.get_blocks("provider").filter(|block| {
        label(block).is_some_and(|source| is_used(&source) && !known.contains(&source))
    });
    missing
        .map(|block| Body::builder().block(block.clone()).build().to_string())
        .collect()
}

/// Returns the text of a file in an archive.
fn member(archive: &[u8], path: &str) -> Option<String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).ok()?;
    let mut text = String::new();
    archive.by_name(path).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Returns the name of an error of a rollback's `plan`.
///
/// An import that an API throttled, or that the role of the job must not make, can succeed: it does not
/// refuse the rollback.
pub(crate) fn plan_error(error: &Error) -> ErrorName {
    let is_refusal = |found: &Diagnostic| {
        let place = found.position.as_ref();
        let is_own = NOT_EXPRESSIBLE.contains(&found.summary.as_str())
            || place.is_some_and(|place| place.file.ends_with(ROLLBACK_FILE));
        let text = found.to_string();
        found.is_error() && is_own && ApiFailure::of(&text).is_none() && !is_denied(&text)
    };
    if error.diagnostics().iter().any(is_refusal) {
        ErrorName::PlanRefused
    } else {
        ErrorName::PlanFailed
    }
}

/// Returns the content of the rollback's file.
fn file(plan: &UndoPlan) -> Value {
    let moves = plan.moves.iter();
    let moves = moves.map(|(from, to)| json!({"from": from, "to": to}));
    let releases = plan.releases.iter();
    let releases = releases.map(|(from, to)| json!({"from": from, "to": to.to_string()}));
    let removed = plan
        .releases
        .iter()
        .map(|(_, scratch)| json!({"from": scratch.to_string(), "lifecycle": {"destroy": false}}));
    let imports = plan.imports.iter();
    let imports = imports.map(|(to, id)| json!({"to": to, "id": literal(id)}));
    let mut content = serde_json::Map::new();
    for (name, blocks) in [
        ("moved", moves.chain(releases).collect::<Vec<_>>()),
        ("removed", removed.collect()),
        ("import", imports.collect()),
    ] {
        if !blocks.is_empty() {
            content.insert(name.to_owned(), blocks.into());
        }
    }
    content.into()
}

/// Returns an id as an expression in JSON, where `${` and `%{` begin a template.
fn literal(id: &ObjectId) -> String {
    id.as_str().replace("${", "$${").replace("%{", "%%{")
}

/// The blocks of the last good source that a rollback's file must not repeat.
#[derive(Debug, Default, PartialEq, Eq)]
struct Own {
    /// The addresses `from` and `to` of its `moved` blocks.
    moved: Vec<(String, String)>,
    /// The address and the id of its `import` blocks; no id if it is an expression. They import a
    /// resource again that is not in the state.
    imports: Vec<(String, Option<String>)>,
}

impl Own {
    /// Reads the `.tf` files of a directory. Terraform reports a file that cannot be parsed.
    fn read(dir: &Path) -> std::io::Result<Self> {
        let mut own = Self::default();
        for (_, body) in bodies(dir)? {
            for block in body.get_blocks("moved") {
                own.moved
                    .extend(address(block, "from").zip(address(block, "to")));
            }
            let imports = body.get_blocks("import");
            own.imports.extend(imports.filter_map(|block| {
                let id = block.body.get_attribute("id");
                let id = id.and_then(|id| id.value.as_str()).map(str::to_owned);
                Some((address(block, "to")?, id))
            }));
        }
        Ok(own)
    }

    /// Returns those of these addresses that have an `import` block.
    fn imported<'a>(&self, addresses: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        addresses
            .filter(|address| self.imports.iter().any(|(to, _)| to == address))
            .collect()
    }
}

/// Returns the `.tf` files of a directory that can be parsed. Terraform reports the others.
fn bodies(dir: &Path) -> std::io::Result<Vec<(PathBuf, Body)>> {
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|kind| kind != "tf") || !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path)?;
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(body) = text.trim_start_matches('\u{feff}').parse() {
            bodies.push((path, body));
        }
    }
    Ok(bodies)
}

/// Removes the `import` blocks of these addresses from the `.tf` files of a directory.
fn drop_imports(dir: &Path, addresses: &[&str]) -> std::io::Result<()> {
    let is_outdated = |block: &Block| {
        let to = address(block, "to");
        let is_listed = to.is_some_and(|to| addresses.contains(&to.as_str()));
        block.ident.as_str() == "import" && is_listed
    };
    for (path, mut body) in bodies(dir)? {
        let before = body.len();
        for at in (0..before).rev() {
            let block = body.get(at).and_then(Structure::as_block);
            if block.is_some_and(is_outdated) {
                body.remove(at);
            }
        }
        if body.len() < before {
            std::fs::write(path, body.to_string())?;
        }
    }
    Ok(())
}

/// Returns an argument that is an address.
fn address(block: &Block, name: &str) -> Option<String> {
    let attribute = block.body.get_attribute(name)?;
    Some(attribute.value.to_string().trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn an_id_is_not_a_template() {
        let plan = UndoPlan {
            imports: vec![("q.a".into(), ObjectId::new("x-${y}-%{z}-$"))],
            ..UndoPlan::default()
        };
        let expected = json!({"import": [{"to": "q.a", "id": "x-$${y}-%%{z}-$"}]});
        assert_eq!(file(&plan), expected);
    }

    #[test]
    fn entries_that_the_lock_file_lacks_are_taken_for_used_providers() {
        let entry = |source: &str| {
            format!(
                "# kept\nprovider \"{source}\" {{\n  version = \"1.0.0\"\n  hashes = [\n    \"h1:x=\",\n  ]\n}}\n"
            )
        };
        let failed = entry("a/b/own") + &entry("a/b/new") + &entry("a/b/unused");
        let added = missing_entries(&entry("a/b/own"), &failed, |one| one != "a/b/unused");
        assert_eq!(added.len(), 1);
        let whole = entry("a/b/own") + &added.concat();
        let pinned = crate::lock_file::pinned(&whole, "a/b/new").unwrap();
        assert_eq!((pinned.version.as_str(), pinned.hashes.len()), ("1.0.0", 1));
        assert!(missing_entries("", "provider {", |_| true).is_empty());
    }

    #[test]
    fn blocks_are_read_as_addresses() {
        let dir = tempfile::tempdir().unwrap();
        let text = "# moved\nmoved {\n  from = module.a[\"x y\"].t.b  # was\n  to   = t.c[0]\n}\n\
                    import {\n  to = t.d[\"k\"]\n  id = \"x\"\n}\n\
                    import {\n  to = t.e\n  id = var.e\n}\n";
        std::fs::write(dir.path().join("moves.tf"), text).unwrap();
        std::fs::write(dir.path().join("broken.tf"), "moved {").unwrap();
        std::fs::write(dir.path().join("notes.txt"), text).unwrap();
        let own = Own {
            moved: vec![("module.a[\"x y\"].t.b".into(), "t.c[0]".into())],
            imports: vec![
                ("t.d[\"k\"]".into(), Some("x".into())),
                ("t.e".into(), None),
            ],
        };
        assert_eq!(Own::read(dir.path()).unwrap(), own);
        assert_eq!(own.imported(["t.e", "t.f"].into_iter()), ["t.e"]);

        drop_imports(dir.path(), &["t.d[\"k\"]", "t.f"]).unwrap();
        let left = std::fs::read_to_string(dir.path().join("moves.tf")).unwrap();
        let kept = text.replace("import {\n  to = t.d[\"k\"]\n  id = \"x\"\n}\n", "");
        assert_eq!(left, kept);
        assert!(left.len() < text.len());
    }

    #[test]
    fn an_import_that_can_succeed_later_does_not_refuse_the_rollback() {
        let error = |summary: &str| {
            let place = terraform_cli::Position {
                file: ROLLBACK_FILE.to_owned(),
                line: 1,
                column: 1,
            };
            let found = Diagnostic {
                position: Some(place),
                ..Diagnostic::from_text(summary)
            };
            Error::Failed(terraform_cli::Failure {
                command: "plan",
                code: 1,
                diagnostics: vec![found],
            })
        };
        let aws = |code: &str| {
            format!(
                "reading SQS Queue: operation error SQS: GetQueueAttributes, https response error \
                 StatusCode: 400, RequestID: 1b, api error {code}: no"
            )
        };
        for (text, name) in [
            (
                "Cannot import non-existent remote object",
                ErrorName::PlanRefused,
            ),
            (
                "Import block for a resource in a module with no configuration",
                ErrorName::PlanRefused,
            ),
            (&aws("ThrottlingException"), ErrorName::ApiUnavailable),
            (&aws("AccessDenied"), ErrorName::PlanFailed),
        ] {
            let error = error(text);
            let stop = Stop::of(&error, plan_error(&error));
            assert_eq!(stop.error.name, name, "{text}");
        }
    }
}
