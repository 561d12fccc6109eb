//! `sluicegate audit list` and `sluicegate audit verify`

use crate::args::AuditSource;
use crate::failure::{Failure, Kind, Outcome};
use crate::output::Output;
use crate::pipeline::Pipeline;
use crate::text;
use domain::audit::{Entry, Found, Head, Problem, verify as verify_chain};
use domain::ids::RepositoryKey;
use domain::keys;
use engine::audit::head_key;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The audit chain of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Where it was read from.
    pub place: String,
    /// The entries, the oldest first.
    pub entries: Vec<Found>,
    /// The newest entry, as the table has it.
    pub anchor: Option<Head>,
    /// The problems of the source itself, such as edited files.
    pub problems: Vec<Problem>,
}

/// Reads the chain from a clone.
///
/// # Errors
/// Fails if the directory is not a clone, or has no audit branch.
pub fn of_clone(path: &std::path::Path) -> Outcome<Vec<Chain>> {
    let branch = forge::git::audit_branch::read(path).map_err(|error| {
        Failure::new(
            Kind::CloneUnreadable,
            error.message,
            "Clone the repository, or fetch its branch sluicegate/audit.",
        )
    })?;
    Ok(vec![Chain {
        place: format!("{} at {}", branch.reference, branch.tip),
        entries: branch.entries,
        anchor: None,
        problems: branch.edits,
    }])
}

/// Reads the chains from the audit bucket, one for each repository.
///
/// # Errors
/// Fails if the repository has no entry and never had one, and with the errors of the bucket and the table.
pub async fn of_bucket(
    pipeline: &Pipeline,
    repository: Option<RepositoryKey>,
) -> Outcome<Vec<Chain>> {
    let prefix = keys::audit_entries(repository);
    let mut folders: BTreeMap<RepositoryKey, Vec<Found>> = BTreeMap::new();
    for name in pipeline.audit.list(&prefix).await? {
        let Some(repository) = keys::repository_of_audit(&name) else {
            continue;
        };
        let Some(bytes) = pipeline.audit.get(&name).await? else {
            continue;
        };
        let entries = folders.entry(repository).or_default();
        entries.push(Found { name, bytes });
    }
    let mut chains = Vec::new();
    // A repository without any entry is listed if it had one.
    folders.extend(
        repository
            .filter(|it| !folders.contains_key(it))
            .map(|it| (it, Vec::new())),
    );
    for (repository, entries) in folders {
        let noted = pipeline.table.get(&head_key(repository)).await?;
        if entries.is_empty() && noted.is_none() {
            continue;
        }
        let folder = keys::audit_entries(Some(repository));
        chains.push(Chain {
            place: format!(
                "s3://{}/{}",
                pipeline.audit.bucket(),
                folder.trim_end_matches('/')
            ),
            entries,
            anchor: noted.and_then(|item| serde_json::from_str(&item.doc).ok()),
            problems: Vec::new(),
        });
    }
    if let (Some(asked), true) = (repository, chains.is_empty()) {
        let names = pipeline.audit.list(&keys::audit_entries(None)).await?;
        let known: BTreeSet<String> = names
            .iter()
            .filter_map(|name| Some(keys::repository_of_audit(name)?.to_string()))
            .collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        let next = if known.is_empty() {
            "No repository has an entry yet: the first run that ends writes one.".to_owned()
        } else {
            format!("Repositories with entries: {known}.")
        };
        let what = format!("repository {asked} has no audit entry");
        return Err(Failure::new(Kind::AuditNotFound, what, next));
    }
    Ok(chains)
}

/// Reads the chains that the arguments select. Calls `pipeline` only if AWS is needed.
///
/// # Errors
/// The errors of the source.
pub async fn chains(
    args: &AuditSource,
    pipeline: impl AsyncFnOnce() -> Outcome<Pipeline>,
) -> Outcome<Vec<Chain>> {
    match &args.repo {
        Some(path) => of_clone(path),
        None => of_bucket(&pipeline().await?, args.repository).await,
    }
}

/// Lists the entries, the oldest first.
///
/// # Errors
/// Fails if an entry cannot be read, and with the errors of the output.
pub fn list(chains: &[Chain], out: &mut Output<'_>) -> Outcome {
    let mut entries = Vec::new();
    let mut unreadable = Vec::new();
    for found in chains.iter().flat_map(|chain| &chain.entries) {
        match Entry::from_bytes(&found.bytes) {
            Ok(entry) => entries.push(entry),
            Err(why) => unreadable.push(format!("{} {why}", found.name)),
        }
    }
    if out.json {
        out.value(&entries)?;
    } else if entries.is_empty() {
        out.text("no entries yet\n")?;
    } else {
        let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
        let header = ["SEQ", "ENDED", "OUTCOME", "RUN", "ENVIRONMENT", "SUBJECT"];
        out.text(&text::table(&header, &rows))?;
    }
    if unreadable.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::AuditUnreadable,
        unreadable.join("\n       "),
        "Run `sluicegate audit verify`.",
    ))
}

fn row(entry: &Entry) -> Vec<String> {
    vec![
        entry.seq.to_string(),
        text::time(entry.ended_at),
        entry.outcome.as_str().to_owned(),
        entry.run.to_string(),
        entry
            .environment
            .as_ref()
            .map_or_else(|| "-".to_owned(), ToString::to_string),
        entry
            .subject
            .as_deref()
            .map(domain::text::inert)
            .unwrap_or_default(),
    ]
}

/// Verifies chains.
///
/// # Errors
/// Fails if a chain has a problem, and with the errors of the output.
pub fn verify(chains: &[Chain], out: &mut Output<'_>) -> Outcome {
    let mut good = true;
    let mut values = Vec::new();
    for chain in chains {
        let mut problems = chain.problems.clone();
        let summary = match verify_chain(&chain.entries, chain.anchor.as_ref()) {
            Ok(summary) => Some(summary),
            Err(found) => {
                problems.extend(found);
                None
            }
        };
        good &= problems.is_empty();
        if out.json {
            values.push(json!({
                "place": chain.place,
                "entries": chain.entries.len(),
                "valid": problems.is_empty(),
                "head": summary.as_ref().and_then(|summary| summary.head.as_ref()),
                "outcomes": summary.as_ref().map(|summary| &summary.outcomes),
                "problems": problems,
            }));
            continue;
        }
        for problem in &problems {
            out.text(&format!("{problem}\n"))?;
        }
        match summary.filter(|_| problems.is_empty()) {
            Some(summary) => {
                let outcomes: Vec<String> = summary
                    .outcomes
                    .iter()
                    .map(|(outcome, count)| format!("{count} {outcome}"))
                    .collect();
                let entries = chain.entries.len();
                let place = &chain.place;
                out.text(&format!("{place}: {entries} entries, the chain is whole"))?;
                if let Some(head) = &summary.head {
                    out.text(&format!(
                        "\n  {}\n  head {} sha256 {}",
                        outcomes.join(", "),
                        head.seq,
                        head.sha256
                    ))?;
                }
                out.text("\n")?;
            }
            None => out.text(&format!("{}: the chain is broken\n", chain.place))?,
        }
    }
    if out.json {
        out.value(&values)?;
    } else if chains.is_empty() {
        out.text("no entries yet\n")?;
    }
    if good {
        return Ok(());
    }
    Err(Failure::new(
        Kind::AuditChanged,
        "the audit was changed after it was written",
        "Compare it with the versions in the audit bucket, and find out who can write there.",
    ))
}
