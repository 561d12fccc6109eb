//! Typed documents in the table: load, decide and save, with retries when another process writes
//! first.

use crate::{Cursor, IndexKey, Item, ItemBody, ItemKey, Order, Result, Table, Written};
use domain::branch::WatchedBranch;
use domain::build::PassedTest;
use domain::environment::Environment;
use domain::error::{ErrorName, NamedError};
use domain::ids::{BranchRef, EnvironmentName, RepositoryKey, RunId, Sha256Digest};
use domain::json;
use domain::run::Run;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The maximum number of attempts to write before `RecordConflict`. Ten stacks that end at the same
/// instant need ten attempts.
const TRIES: u32 = 20;

/// Why a document was not read or changed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum DocumentError {
    #[error("run not found: {run}")]
    RunNotFound { run: RunId },
    #[error("item {key} is not what this version writes: {source}")]
    OtherFormat {
        key: ItemKey,
        source: serde_json::Error,
    },
    #[error("item {key} changed at each of {tries} tries")]
    Conflict { key: ItemKey, tries: u32 },
}

impl NamedError for DocumentError {
    fn name(&self) -> ErrorName {
        match self {
            Self::RunNotFound { .. } => ErrorName::RunNotFound,
            Self::OtherFormat { .. } => ErrorName::ContractViolation,
            Self::Conflict { .. } => ErrorName::RecordConflict,
        }
    }
}

/// A document that is stored in the table.
pub trait Document: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync {
    /// Returns the document's key.
    fn key(&self) -> ItemKey;
    /// Returns the document's place in the index, if it is listed.
    fn index(&self) -> Option<IndexKey>;
}

/// Returns the key of a run.
#[must_use]
pub fn run_key(run: &RunId) -> ItemKey {
    ItemKey {
        pk: format!("RUN#{run}"),
        sk: "RUN".into(),
    }
}

/// Returns the key of an environment.
#[must_use]
pub fn environment_key(repository: RepositoryKey, name: &EnvironmentName) -> ItemKey {
    ItemKey {
        pk: format!("ENV#{repository}#{name}"),
        sk: "ENV".into(),
    }
}

/// Returns the key of a watched branch.
#[must_use]
pub fn branch_key(repository: RepositoryKey, branch: &BranchRef) -> ItemKey {
    ItemKey {
        pk: format!("BRANCH#{repository}"),
        sk: branch.to_string(),
    }
}

/// Returns the key of a test that passed.
#[must_use]
pub fn passed_test_key(repository: RepositoryKey, inputs: &Sha256Digest) -> ItemKey {
    ItemKey {
        pk: format!("TEST#{repository}"),
        sk: inputs.to_string(),
    }
}

/// The index partition that lists runs for which nothing is left to do.
pub const RUNS: &str = "RUNS";

/// The index partition that lists runs that have not ended, or have no audit entry.
pub const OPEN_RUNS: &str = "OPEN-RUNS";

/// The index partition that lists environments.
pub const ENVIRONMENTS: &str = "ENVIRONMENTS";

impl Document for Run {
    fn key(&self) -> ItemKey {
        run_key(self.id())
    }
    fn index(&self) -> Option<IndexKey> {
        // Fixed width, so that the lexical order is the order of times.
        let sk = format!("{:020}#{}", self.started_at().as_millisecond(), self.id());
        let pk = if self.is_recorded() { RUNS } else { OPEN_RUNS };
        Some(IndexKey { pk: pk.into(), sk })
    }
}

impl Document for Environment {
    fn key(&self) -> ItemKey {
        environment_key(self.repository(), self.name())
    }
    fn index(&self) -> Option<IndexKey> {
        Some(IndexKey {
            pk: ENVIRONMENTS.into(),
            sk: format!("{}#{}", self.repository(), self.name()),
        })
    }
}

impl Document for WatchedBranch {
    fn key(&self) -> ItemKey {
        branch_key(self.repository(), self.branch())
    }
    fn index(&self) -> Option<IndexKey> {
        None
    }
}

impl Document for PassedTest {
    fn key(&self) -> ItemKey {
        passed_test_key(self.repository(), self.inputs())
    }
    fn index(&self) -> Option<IndexKey> {
        None
    }
}

fn body<D: Document>(doc: &D) -> Result<ItemBody> {
    Ok(ItemBody {
        doc: json::to_text("an item", doc)?,
        index: doc.index(),
        expires: None,
    })
}

fn read<D: Document>(key: &ItemKey, item: &Item) -> Result<D> {
    Ok(
        serde_json::from_str(&item.doc).map_err(|source| DocumentError::OtherFormat {
            key: key.clone(),
            source,
        })?,
    )
}

/// Writes a document that must not exist yet.
///
/// # Errors
/// Fails when the table cannot be written.
pub async fn insert<D: Document>(table: &dyn Table, doc: &D) -> Result<Written> {
    table.insert(&doc.key(), &body(doc)?).await
}

/// Reads a document. Returns none if it does not exist.
///
/// # Errors
/// Fails with `ContractViolation` when the document has another version, and when the table cannot
/// be read.
pub async fn load<D: Document>(table: &dyn Table, key: &ItemKey) -> Result<Option<D>> {
    match table.get(key).await? {
        Some(item) => read(key, &item).map(Some),
        None => Ok(None),
    }
}

/// Reads a run.
///
/// # Errors
/// Fails with `RunNotFound` when the run does not exist, with `ContractViolation` when it has
/// another version, and when the table cannot be read.
pub async fn load_run(table: &dyn Table, run: &RunId) -> Result<Run> {
    let found = load(table, &run_key(run)).await?;
    Ok(found.ok_or_else(|| no_run(run))?)
}

fn no_run(run: &RunId) -> DocumentError {
    DocumentError::RunNotFound { run: run.clone() }
}

/// Changes a document: loads it, lets `decide` change it, and saves it. Starts again if another
/// process saved it in between. Writes nothing if `decide` fails or changes nothing.
///
/// # Errors
/// Fails with the error of `decide`, with `RecordConflict` when every attempt conflicted, and when
/// the table cannot be read or written.
async fn update<D: Document, T>(
    table: &dyn Table,
    key: &ItemKey,
    missing: impl Fn() -> Result<D>,
    mut decide: impl FnMut(&mut D) -> Result<T>,
) -> Result<T> {
    for _ in 0..TRIES {
        let found = table.get(key).await?;
        let before: D = match &found {
            Some(item) => read(key, item)?,
            None => missing()?,
        };
        let mut after = before.clone();
        let answer = decide(&mut after)?;
        let written = match &found {
            Some(_) if after == before => Written::Yes,
            Some(item) => table.replace(key, &body(&after)?, item.version).await?,
            None => table.insert(key, &body(&after)?).await?,
        };
        if written == Written::Yes {
            return Ok(answer);
        }
    }
    let (key, tries) = (key.clone(), TRIES);
    Err(DocumentError::Conflict { key, tries }.into())
}

/// Changes a run. `decide` may run several times.
///
/// # Errors
/// Fails with `RunNotFound` when the run does not exist, with the error of `decide`, with
/// `RecordConflict` when every attempt conflicted, and when the table cannot be read or written.
pub async fn update_run<T>(
    table: &dyn Table,
    run: &RunId,
    decide: impl FnMut(&mut Run) -> Result<T>,
) -> Result<T> {
    update(table, &run_key(run), || Err(no_run(run).into()), decide).await
}

/// Changes an environment. Creates it if it does not exist. `decide` may run several times.
///
/// # Errors
/// Fails with the error of `decide`, with `RecordConflict` when every attempt conflicted, and when
/// the table cannot be read or written.
pub(crate) async fn update_environment<T>(
    table: &dyn Table,
    repository: RepositoryKey,
    name: &EnvironmentName,
    decide: impl FnMut(&mut Environment) -> Result<T>,
) -> Result<T> {
    let fresh = || Ok(Environment::new(repository, name.clone()));
    update(table, &environment_key(repository, name), fresh, decide).await
}

/// Changes a watched branch. Creates it if it does not exist. `decide` may run several times.
///
/// # Errors
/// Fails with the error of `decide`, with `RecordConflict` when every attempt conflicted, and when
/// the table cannot be read or written.
pub async fn update_branch<T>(
    table: &dyn Table,
    repository: RepositoryKey,
    branch: &BranchRef,
    decide: impl FnMut(&mut WatchedBranch) -> Result<T>,
) -> Result<T> {
    let fresh = || Ok(WatchedBranch::new(repository, branch.clone()));
    update(table, &branch_key(repository, branch), fresh, decide).await
}

/// The documents of an index partition, page by page. The index may lag behind the items.
pub struct Pages<'a> {
    table: &'a dyn Table,
    index: &'static str,
    order: Order,
    position: Position,
}

/// Where the next page begins.
enum Position {
    Start,
    After(Cursor),
    End,
}

impl<'a> Pages<'a> {
    /// Returns the pages of an index partition. Reads nothing.
    #[must_use]
    pub fn of(table: &'a dyn Table, index: &'static str, order: Order) -> Self {
        Self {
            table,
            index,
            order,
            position: Position::Start,
        }
    }

    /// Reads the next page. Returns none after the last one. A page may have no documents.
    ///
    /// # Errors
    /// Fails when the table cannot be read.
    pub async fn next<D: Document>(&mut self) -> Result<Option<Vec<D>>> {
        let after = match &self.position {
            Position::Start => None,
            Position::After(last) => Some(last),
            Position::End => return Ok(None),
        };
        let page = self.table.page(self.index, self.order, after).await?;
        self.position = page.next.map_or(Position::End, Position::After);
        let mut documents = Vec::with_capacity(page.items.len());
        for item in page.items {
            match serde_json::from_str(&item.doc) {
                Ok(document) => documents.push(document),
                // An item of another version must not hide all the others.
                Err(error) => {
                    tracing::error!(index = self.index, %error, "an item cannot be read");
                }
            }
        }
        Ok(Some(documents))
    }
}
