//! The audit chain: S3 decides its order, and the audit branch is a copy.
//!
//! The entry of a run is written after the run has ended and released its environment. A run whose
//! entry could not be written is listed in [`crate::documents::OPEN_RUNS`] until it is.

use crate::documents::update_run;
use crate::enrolment::{Enrolments, enrolled};
use crate::{
    AuditBranch, AuditFile, ItemBody, ItemKey, Objects, Result, Table, Written, environments,
};
use domain::audit::{Entry, Head, superseding};
use domain::error::{ErrorName, NamedError};
use domain::ids::{RepositoryKey, RunId};
use domain::json;
use domain::keys;
use domain::run::{End, Lock, Run};
use std::sync::Arc;
use std::time::Duration;

/// The most entries that one call adds to the audit branch.
const PROJECTED: u64 = 200;

/// The time limit of the audit branch. A forge that does not respond must not use up the Lambda's
/// time limit (120 s), which would make a successful run look lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most entries that one call reads after the hint. Beyond it, the hint must be wrong.
const WALKED: u64 = 10_000;

/// The highest number that the name of an entry can have.
const LAST: u64 = 99_999_999;

/// Why an entry was not written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum AuditError {
    #[error("run {run} has no end to record")]
    NoEnd { run: RunId },
    #[error("audit entry {key} is missing, although it was written: find out who deleted it")]
    EntryMissing { key: String },
    #[error("audit entry {key} {why}")]
    EntryBroken { key: String, why: String },
    #[error("the audit of repository {repository} has no end within {searched} entries")]
    EndlessAudit {
        repository: RepositoryKey,
        searched: u64,
    },
}

impl NamedError for AuditError {
    fn name(&self) -> ErrorName {
        ErrorName::Internal
    }
}

/// Writes audit entries.
#[derive(Clone)]
pub struct AuditLog {
    /// The table, which holds the number and the digest of the newest entry.
    pub table: Arc<dyn Table>,
    /// The audit bucket, which holds the chain.
    pub bucket: Arc<dyn Objects>,
    /// The audit branch at the forge.
    pub branch: Arc<dyn AuditBranch>,
    /// The enrolled repositories.
    pub enrolments: Arc<dyn Enrolments>,
}

impl AuditLog {
    /// Writes the entry of a run that has ended, and adds it to the audit branch.
    ///
    /// # Errors
    /// Fails with `Internal` when the run has not ended or the chain is broken, and when the table
    /// or the bucket cannot be read or written. A forge that does not respond is logged.
    pub async fn record(&self, run: Run) -> Result<Run> {
        let run = self.write_entry(run).await?;
        self.project(&run).await;
        Ok(run)
    }

    /// Writes the run's entry, or finds the one that an earlier call wrote.
    async fn write_entry(&self, run: Run) -> Result<Run> {
        let Some(end) = run.end().cloned() else {
            let run = run.id().clone();
            return Err(AuditError::NoEnd { run }.into());
        };
        if end.audit_seq.is_some() {
            return Ok(run);
        }
        let head = self.append(&run, &end).await?;
        self.note_head(run.trigger().repository_key(), &head).await;
        update_run(&*self.table, run.id(), |run| {
            run.audited(head.seq)?;
            Ok(run.clone())
        })
        .await
    }

    /// Searches for the end of the chain, from the number that the run recorded, and writes the
    /// entry there.
    async fn append(&self, run: &Run, end: &End) -> Result<Head> {
        let repository = run.trigger().repository_key();
        let superseded_by = match (run.lock(), environments::of_run(&*self.table, run).await?) {
            (Lock::Superseded { .. }, Some(environment)) => superseding(run, &environment),
            _ => None,
        };
        let noted = noted_head(&*self.table, repository).await?;
        let (from, mut previous) = self.search_from(run, end, noted.as_ref()).await?;
        for seq in (from..).take(usize::try_from(WALKED).unwrap_or(usize::MAX)) {
            let key = keys::audit(repository, seq);
            let found = match self.bucket.get(&key).await? {
                Some(bytes) => bytes,
                None if noted.as_ref().is_some_and(|noted| noted.seq >= seq) => {
                    report_deleted(&key);
                    previous = noted.clone().filter(|noted| noted.seq == seq);
                    continue;
                }
                None => {
                    let entry = Entry::of(run, end, superseded_by.clone(), previous.as_ref());
                    let bytes = entry.to_bytes()?;
                    let written = self.bucket.put_if_absent(&key, bytes.clone()).await?;
                    if written == Written::Yes {
                        return Ok(Head::of(seq, &bytes));
                    }
                    // The number is used by now, perhaps by an earlier call for this run.
                    self.bucket.get(&key).await?.ok_or_else(|| gone(&key))?
                }
            };
            let entry = Entry::from_bytes(&found).map_err(|why| broken(&key, why))?;
            if &entry.run == run.id() {
                return Ok(Head::of(seq, &found));
            }
            previous = Some(Head::of(seq, &found));
        }
        let searched = WALKED;
        Err(AuditError::EndlessAudit {
            repository,
            searched,
        }
        .into())
    }

    /// Returns the number at which the search for the end of the chain starts, and the entry before it. The number that
    /// the run recorded follows an entry that was written, so an entry that is missing there was deleted. Its number is not
    /// used again: the gap in the chain shows the deletion.
    async fn search_from(
        &self,
        run: &Run,
        end: &End,
        noted: Option<&Head>,
    ) -> Result<(u64, Option<Head>)> {
        let repository = run.trigger().repository_key();
        let from = end.audit_from.max(1);
        let before = from - 1;
        if before == 0 {
            return Ok((from, None));
        }
        let key = keys::audit(repository, before);
        if let Some(bytes) = self.bucket.get(&key).await? {
            return Ok((from, Some(Head::of(before, &bytes))));
        }
        report_deleted(&key);
        match noted {
            Some(noted) if noted.seq >= before => {
                Ok((from, Some(noted.clone()).filter(|it| it.seq == before)))
            }
            // The digest of the deleted entry is not known any more.
            _ => self.search_end(run, before).await,
        }
    }

    /// Finds the end of a chain without a gap whose entry `missing` does not exist.
    async fn search_end(&self, run: &Run, missing: u64) -> Result<(u64, Option<Head>)> {
        let repository = run.trigger().repository_key();
        // Entry `low` exists.
        let (mut low, mut high) = (0, missing);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.exists(repository, middle).await? {
                low = middle;
            } else {
                high = middle;
            }
        }
        let from = low + 1;
        update_run(&*self.table, run.id(), |run| {
            Ok(run.audit_searched_from(from)?)
        })
        .await?;
        Ok((from, self.head_at(repository, low).await?))
    }

    /// Checks that the newest entry of a chain is in the bucket as it was written. The other entries are
    /// checked by their successors.
    ///
    /// # Errors
    /// Fails with `Internal` when the entry was deleted or changed, and when the table or the bucket cannot be
    /// read.
    pub async fn check_newest(&self, repository: RepositoryKey) -> Result<()> {
        let Some(noted) = noted_head(&*self.table, repository).await? else {
            return Ok(());
        };
        let key = keys::audit(repository, noted.seq);
        let bytes = self.bucket.get(&key).await?.ok_or_else(|| gone(&key))?;
        if Head::of(noted.seq, &bytes) == noted {
            return Ok(());
        }
        let why = format!(
            "was changed after it was written: its digest was {}",
            noted.sha256
        );
        Err(broken(&key, why).into())
    }

    /// Returns the head at this number, whose entry must exist; `None` for number 0.
    async fn head_at(&self, repository: RepositoryKey, seq: u64) -> Result<Option<Head>> {
        if seq == 0 {
            return Ok(None);
        }
        let key = keys::audit(repository, seq);
        let bytes = self.bucket.get(&key).await?.ok_or_else(|| gone(&key))?;
        Ok(Some(Head::of(seq, &bytes)))
    }

    async fn exists(&self, repository: RepositoryKey, seq: u64) -> Result<bool> {
        let key = keys::audit(repository, seq);
        Ok(self.bucket.get(&key).await?.is_some())
    }

    /// Records the newest entry, after it was written. The next search starts there, and it shows whether the entry was
    /// deleted.
    async fn note_head(&self, repository: RepositoryKey, head: &Head) {
        let key = head_key(repository);
        let noted = async {
            let doc = json::to_text("the audit's head", head)?;
            let body = ItemBody {
                doc,
                index: None,
                expires: None,
            };
            match self.table.get(&key).await? {
                None => self.table.insert(&key, &body).await,
                Some(item) => {
                    let known = serde_json::from_str::<Head>(&item.doc).ok();
                    if known.is_some_and(|known| known.seq >= head.seq) {
                        return Ok(Written::No);
                    }
                    self.table.replace(&key, &body, item.version).await
                }
            }
        };
        if let Err(error) = noted.await {
            tracing::warn!(%repository, %error, "the audit's head was not noted");
        }
    }

    /// Adds every entry that the audit branch lacks. A later run pushes what cannot be pushed now.
    async fn project(&self, run: &Run) {
        match tokio::time::timeout(PATIENCE, self.try_project(run)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(run = %run.id(), %error, "the audit branch lags behind");
            }
            Err(_) => tracing::error!(
                run = %run.id(),
                "the audit branch lags behind: the forge did not answer within {} s",
                PATIENCE.as_secs()
            ),
        }
    }

    async fn try_project(&self, run: &Run) -> Result<()> {
        let Some(own) = run.end().and_then(|end| end.audit_seq) else {
            return Ok(());
        };
        let repository = &enrolled(&*self.enrolments, run.trigger()).await?;
        let id = repository.key;
        // The run's own entry is always added: a file with its number that another person pushed
        // must not replace it. An entry that is there already is not added twice.
        let known = self.branch.newest(repository, own - 1).await?;
        let known = known.unwrap_or(0);
        let mut files = Vec::new();
        let last = known.saturating_add(PROJECTED);
        for seq in known + 1..=last {
            match self.file(id, seq).await? {
                Some(file) => files.push(file),
                // A deleted entry.
                None if seq < own => {}
                None => break,
            }
        }
        // Where so many entries in a row were deleted, the branch goes on with the run's own. Otherwise the
        // next run adds those that follow: none is left out.
        if files.is_empty() && own > last {
            files.extend(self.file(id, own).await?);
        }
        if files.is_empty() {
            return Ok(());
        }
        self.branch.append(repository, &files).await
    }

    /// Returns an entry as a file of the audit branch; `None` if it does not exist.
    async fn file(&self, repository: RepositoryKey, seq: u64) -> Result<Option<AuditFile>> {
        let key = keys::audit(repository, seq);
        let Some(bytes) = self.bucket.get(&key).await? else {
            return Ok(None);
        };
        let entry = Entry::from_bytes(&bytes).map_err(|why| broken(&key, why))?;
        Ok(Some(AuditFile {
            path: entry.path(),
            message: entry.commit_message(),
            at: entry.ended_at,
            bytes,
        }))
    }
}

/// Returns the lowest number that a new entry can have: the one after the newest known
/// entry. Reads only the table, because the end of a run waits for it.
pub(crate) async fn next_number(table: &dyn Table, repository: RepositoryKey) -> Result<u64> {
    let noted = noted_head(table, repository).await?;
    Ok(noted.map_or(1, |head| head.seq + 1))
}

/// Returns the newest known entry, as the table has it.
async fn noted_head(table: &dyn Table, repository: RepositoryKey) -> Result<Option<Head>> {
    let found = table.get(&head_key(repository)).await?;
    let head = found.and_then(|item| serde_json::from_str::<Head>(&item.doc).ok());
    Ok(head.filter(|head| head.seq <= LAST))
}

/// Logs that an entry was deleted. The chain goes on after it.
fn report_deleted(key: &str) {
    tracing::error!(error = %gone(key), "the audit chain has a gap from now on");
}

/// Returns the key of the item that holds the newest entry.
#[must_use]
pub fn head_key(repository: RepositoryKey) -> ItemKey {
    ItemKey {
        pk: format!("AUDIT#{repository}"),
        sk: "HEAD".into(),
    }
}

fn gone(key: &str) -> AuditError {
    AuditError::EntryMissing {
        key: key.to_owned(),
    }
}

fn broken(key: &str, why: String) -> AuditError {
    AuditError::EntryBroken {
        key: key.to_owned(),
        why,
    }
}
