//! The audit chain: S3 decides its order, and the audit branch is a copy.

use crate::{Error, Record};
use domain::audit::{Entry, Head, superseding};
use domain::event::EnrolledRepository;
use domain::ids::RepositoryKey;
use domain::json;
use domain::keys;
use domain::run::{End, Lock, Run};
use engine::documents::update_run;
use engine::environments;
use engine::{AuditFile, ItemBody, ItemKey, Result, Written};
use std::time::Duration;

/// The most entries that one call adds to the audit branch.
const PROJECTED: u64 = 200;

/// The time limit of the audit branch. A forge that does not respond must not use up the Lambda's
/// time limit (120 s), which would make a successful run look lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most entries that one call reads after the hint. Beyond it, the hint must be wrong.
const WALKED: u64 = 10_000;

impl Record {
    /// Writes the run's entry, or finds the one that an earlier call wrote.
    pub(crate) async fn write_entry(&self, run: Run) -> Result<Run> {
        let Some(end) = run.end().cloned() else {
            let run = run.id().clone();
            return Err(Error::NoEnd { run }.into());
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
        let mut previous = self
            .head_at(repository, end.audit_from.saturating_sub(1))
            .await?;
        for seq in (end.audit_from..).take(usize::try_from(WALKED).unwrap_or(usize::MAX)) {
            let key = keys::audit(repository, seq);
            let found = match self.audit.get(&key).await? {
                Some(bytes) => bytes,
                None => {
                    let entry = Entry::of(run, end, superseded_by.clone(), previous.as_ref());
                    let bytes = entry.to_bytes()?;
                    let written = self.audit.put_if_absent(&key, bytes.clone()).await?;
                    if written == Written::Yes {
                        return Ok(Head::of(seq, &bytes));
                    }
                    // The number is used by now, perhaps by an earlier call for this run.
                    self.audit.get(&key).await?.ok_or_else(|| gone(&key))?
                }
            };
            let entry = Entry::from_bytes(&found).map_err(|why| broken(&key, why))?;
            if &entry.run == run.id() {
                return Ok(Head::of(seq, &found));
            }
            previous = Some(Head::of(seq, &found));
        }
        let searched = WALKED;
        Err(Error::EndlessAudit {
            repository,
            searched,
        }
        .into())
    }

    /// Returns the head at this number, whose entry must exist; `None` for number 0.
    async fn head_at(&self, repository: RepositoryKey, seq: u64) -> Result<Option<Head>> {
        if seq == 0 {
            return Ok(None);
        }
        let key = keys::audit(repository, seq);
        let bytes = self.audit.get(&key).await?.ok_or_else(|| gone(&key))?;
        Ok(Some(Head::of(seq, &bytes)))
    }

    /// Returns the lowest number that a new entry can have: the one after the last known entry.
    pub(crate) async fn next_number(&self, repository: RepositoryKey) -> Result<u64> {
        let hint = self
            .table
            .get(&head_key(repository))
            .await?
            .and_then(|item| serde_json::from_str::<Head>(&item.doc).ok())
            .map_or(0, |head| head.seq);
        // A hint beyond the end of the chain would leave a gap, so step back to an entry that
        // exists.
        for seq in (1..=hint).rev() {
            if self
                .audit
                .get(&keys::audit(repository, seq))
                .await?
                .is_some()
            {
                return Ok(seq + 1);
            }
        }
        Ok(1)
    }

    /// Records the newest entry as a hint. It affects only the length of the next search.
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
    pub(crate) async fn project(&self, run: &Run) {
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
        let repository = EnrolledRepository::of(&self.repositories, run.trigger())?;
        let id = repository.key;
        // The run's own entry is always added: a file with its number that another person pushed
        // must not replace it. An entry that is there already is not added twice.
        let known = self.audit_branch.newest(repository, own - 1).await?;
        let known = known.unwrap_or(0);
        let mut files = Vec::new();
        for seq in known + 1..=known.saturating_add(PROJECTED) {
            let key = keys::audit(id, seq);
            let Some(bytes) = self.audit.get(&key).await? else {
                break;
            };
            let entry = Entry::from_bytes(&bytes).map_err(|why| broken(&key, why))?;
            files.push(AuditFile {
                path: entry.path(),
                message: entry.commit_message(),
                at: entry.ended_at,
                bytes,
            });
        }
        if files.is_empty() {
            return Ok(());
        }
        self.audit_branch.append(repository, &files).await
    }
}

/// Returns the key of the item that holds the newest entry.
fn head_key(repository: RepositoryKey) -> ItemKey {
    ItemKey {
        pk: format!("AUDIT#{repository}"),
        sk: "HEAD".into(),
    }
}

fn gone(key: &str) -> Error {
    Error::EntryMissing {
        key: key.to_owned(),
    }
}

fn broken(key: &str, why: String) -> Error {
    Error::EntryBroken {
        key: key.to_owned(),
        why,
    }
}
