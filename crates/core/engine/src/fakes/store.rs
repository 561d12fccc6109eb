use super::{Faults, Shared, can_fail};
use crate::{IndexKey, Objects, Record, RecordBody, RecordKey, Records, Result, Written};
use async_trait::async_trait;
use domain::error::StepError;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone)]
struct Stored {
    record: Record,
    index: Option<IndexKey>,
    expires: Option<Timestamp>,
}

type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Table {
    records: BTreeMap<RecordKey, Stored>,
    before_write: Vec<Hook>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.records.fmt(f)
    }
}

/// A fake of the table.
#[derive(Debug, Clone, Default)]
pub struct FakeRecords {
    table: Shared<Table>,
    faults: Faults,
}

can_fail!(FakeRecords: "get", "insert", "replace", "list");

impl FakeRecords {
    /// Returns an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns every key, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<RecordKey> {
        self.table.lock().records.keys().cloned().collect()
    }

    /// Returns an item without calling the port.
    #[must_use]
    pub fn peek(&self, key: &RecordKey) -> Option<Record> {
        self.table
            .lock()
            .records
            .get(key)
            .map(|stored| stored.record.clone())
    }

    /// Returns when an item expires.
    #[must_use]
    pub fn expires(&self, key: &RecordKey) -> Option<Timestamp> {
        self.table
            .lock()
            .records
            .get(key)
            .and_then(|stored| stored.expires)
    }

    /// Writes an item as another process would, whether or not it exists. Increments its version.
    pub fn overwrite(&self, key: &RecordKey, body: &RecordBody) {
        let mut table = self.table.lock();
        let version = table
            .records
            .get(key)
            .map_or(0, |stored| stored.record.version);
        put(&mut table, key, body, version + 1);
    }

    /// Removes an item.
    pub fn remove(&self, key: &RecordKey) {
        self.table.lock().records.remove(key);
    }

    /// Runs `race` once, just before the next conditional write, as another process that writes
    /// first. Several races run before one write each, in order.
    pub fn race_next_write(&self, race: impl FnOnce() + Send + 'static) {
        self.table.lock().before_write.push(Box::new(race));
    }

    fn race(&self) {
        let hook = {
            let mut table = self.table.lock();
            (!table.before_write.is_empty()).then(|| table.before_write.remove(0))
        };
        // The lock is released, because the race writes to this table.
        if let Some(hook) = hook {
            hook();
        }
    }
}

fn put(table: &mut Table, key: &RecordKey, body: &RecordBody, version: u64) {
    let stored = Stored {
        record: Record {
            doc: body.doc.clone(),
            version,
        },
        index: body.index.clone(),
        expires: body.expires,
    };
    table.records.insert(key.clone(), stored);
}

#[async_trait]
impl Records for FakeRecords {
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>> {
        self.faults.before("get")?;
        let found = self.peek(key);
        self.faults.after("get")?;
        Ok(found)
    }

    async fn insert(&self, key: &RecordKey, body: &RecordBody) -> Result<Written> {
        self.race();
        self.faults.before("insert")?;
        let written = {
            let mut table = self.table.lock();
            if table.records.contains_key(key) {
                Written::No
            } else {
                put(&mut table, key, body, 1);
                Written::Yes
            }
        };
        self.faults.after("insert")?;
        Ok(written)
    }

    async fn replace(&self, key: &RecordKey, body: &RecordBody, version: u64) -> Result<Written> {
        self.race();
        self.faults.before("replace")?;
        let written = {
            let mut table = self.table.lock();
            let stands = table.records.get(key).map(|stored| stored.record.version);
            if stands == Some(version) {
                put(&mut table, key, body, version + 1);
                Written::Yes
            } else {
                Written::No
            }
        };
        self.faults.after("replace")?;
        Ok(written)
    }

    async fn list(&self, index_pk: &str, limit: u32) -> Result<Vec<Record>> {
        self.faults.before("list")?;
        let mut found: Vec<(String, Record)> = self
            .table
            .lock()
            .records
            .values()
            .filter_map(|stored| match &stored.index {
                Some(index) if index.pk == index_pk => {
                    Some((index.sk.clone(), stored.record.clone()))
                }
                _ => None,
            })
            .collect();
        found.sort_by(|(a, _), (b, _)| b.cmp(a));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        self.faults.after("list")?;
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }
}

/// A fake of a bucket.
#[derive(Debug, Clone)]
pub struct FakeObjects {
    bucket: String,
    objects: Shared<BTreeMap<String, Vec<u8>>>,
    faults: Faults,
}

can_fail!(FakeObjects: "get", "put", "put_if_absent", "list");

impl FakeObjects {
    /// Returns an empty bucket.
    #[must_use]
    pub fn new(bucket: &str) -> Self {
        Self {
            bucket: bucket.to_owned(),
            objects: Shared::default(),
            faults: Faults::default(),
        }
    }

    /// Returns every key, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.objects.lock().keys().cloned().collect()
    }

    /// Returns an object without calling the port.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<Vec<u8>> {
        self.objects.lock().get(key).cloned()
    }

    /// Writes an object, as another process would.
    pub fn set(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.objects.lock().insert(key.to_owned(), bytes.into());
    }

    /// Removes an object.
    pub fn remove(&self, key: &str) {
        self.objects.lock().remove(key);
    }
}

#[async_trait]
impl Objects for FakeObjects {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.faults.before("get")?;
        let found = self.peek(key);
        self.faults.after("get")?;
        Ok(found)
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        self.faults.before("put")?;
        self.set(key, bytes);
        self.faults.after("put")
    }

    async fn put_if_absent(&self, key: &str, bytes: Vec<u8>) -> Result<Written> {
        self.faults.before("put_if_absent")?;
        let written = {
            let mut objects = self.objects.lock();
            if objects.contains_key(key) {
                Written::No
            } else {
                objects.insert(key.to_owned(), bytes);
                Written::Yes
            }
        };
        self.faults.after("put_if_absent")?;
        Ok(written)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.faults.before("list")?;
        let mut keys = self.keys();
        keys.retain(|key| key.starts_with(prefix));
        self.faults.after("list")?;
        Ok(keys)
    }

    fn bucket(&self) -> &str {
        &self.bucket
    }
}
