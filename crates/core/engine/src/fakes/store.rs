use super::{Faults, Shared, can_fail};
use crate::{
    Cursor, IndexKey, Item, ItemBody, ItemKey, Limited, Objects, Order, Page, Result, Table,
    Written,
};
use async_trait::async_trait;
use domain::error::StepError;
use jiff::Timestamp;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone)]
struct Stored {
    item: Item,
    index: Option<IndexKey>,
    expires: Option<Timestamp>,
}

type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Contents {
    items: BTreeMap<ItemKey, Stored>,
    before_write: Vec<Hook>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.items.fmt(f)
    }
}

/// A fake of the table.
#[derive(Debug, Clone, Default)]
pub struct FakeTable {
    table: Shared<Contents>,
    faults: Faults,
}

can_fail!(FakeTable: "get", "insert", "replace", "list", "page");

/// The most items on a page.
const PAGE: usize = 3;

impl FakeTable {
    /// Returns an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns every key, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<ItemKey> {
        self.table.lock().items.keys().cloned().collect()
    }

    /// Returns an item without calling the port.
    #[must_use]
    pub fn peek(&self, key: &ItemKey) -> Option<Item> {
        self.table
            .lock()
            .items
            .get(key)
            .map(|stored| stored.item.clone())
    }

    /// Returns when an item expires.
    #[must_use]
    pub fn expires(&self, key: &ItemKey) -> Option<Timestamp> {
        self.table
            .lock()
            .items
            .get(key)
            .and_then(|stored| stored.expires)
    }

    /// Writes an item as another process would, whether or not it exists. Increments its version.
    pub fn overwrite(&self, key: &ItemKey, body: &ItemBody) {
        let mut table = self.table.lock();
        let version = table.items.get(key).map_or(0, |stored| stored.item.version);
        put(&mut table, key, body, version + 1);
    }

    /// Removes an item.
    pub fn remove(&self, key: &ItemKey) {
        self.table.lock().items.remove(key);
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

fn put(table: &mut Contents, key: &ItemKey, body: &ItemBody, version: u64) {
    let stored = Stored {
        item: Item {
            doc: body.doc.clone(),
            version,
        },
        index: body.index.clone(),
        expires: body.expires,
    };
    table.items.insert(key.clone(), stored);
}

#[async_trait]
impl Table for FakeTable {
    async fn get(&self, key: &ItemKey) -> Result<Option<Item>> {
        self.faults.before("get")?;
        let found = self.peek(key);
        self.faults.after("get")?;
        Ok(found)
    }

    async fn insert(&self, key: &ItemKey, body: &ItemBody) -> Result<Written> {
        self.race();
        self.faults.before("insert")?;
        let written = {
            let mut table = self.table.lock();
            if table.items.contains_key(key) {
                Written::No
            } else {
                put(&mut table, key, body, 1);
                Written::Yes
            }
        };
        self.faults.after("insert")?;
        Ok(written)
    }

    async fn replace(&self, key: &ItemKey, body: &ItemBody, version: u64) -> Result<Written> {
        self.race();
        self.faults.before("replace")?;
        let written = {
            let mut table = self.table.lock();
            let stands = table.items.get(key).map(|stored| stored.item.version);
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

    async fn list(&self, index_pk: &str, limit: u32) -> Result<Vec<Item>> {
        self.faults.before("list")?;
        let mut found: Vec<(String, Item)> = self
            .table
            .lock()
            .items
            .values()
            .filter_map(|stored| match &stored.index {
                Some(index) if index.pk == index_pk => {
                    Some((index.sk.clone(), stored.item.clone()))
                }
                _ => None,
            })
            .collect();
        found.sort_by(|(a, _), (b, _)| b.cmp(a));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        self.faults.after("list")?;
        Ok(found.into_iter().map(|(_, item)| item).collect())
    }

    async fn page(&self, index_pk: &str, order: Order, after: Option<&Cursor>) -> Result<Page> {
        self.faults.before("page")?;
        let mut found: Vec<(Cursor, Item)> = Vec::new();
        for (key, stored) in &self.table.lock().items {
            let Some(index) = stored.index.clone().filter(|index| index.pk == index_pk) else {
                continue;
            };
            let key = key.clone();
            found.push((Cursor { key, index }, stored.item.clone()));
        }
        let place = |cursor: &Cursor| (cursor.index.sk.clone(), cursor.key.clone());
        found.sort_by_key(|(cursor, _)| place(cursor));
        if order == Order::Descending {
            found.reverse();
        }
        if let Some(after) = after {
            let rest = match order {
                Order::Ascending => Ordering::Greater,
                Order::Descending => Ordering::Less,
            };
            found.retain(|(cursor, _)| place(cursor).cmp(&place(after)) == rest);
        }
        let more = found.len() > PAGE;
        found.truncate(PAGE);
        let next = found.last().filter(|_| more).map(|(last, _)| last.clone());
        self.faults.after("page")?;
        let items = found.into_iter().map(|(_, item)| item).collect();
        Ok(Page { items, next })
    }
}

/// A fake of a bucket.
#[derive(Debug, Clone)]
pub struct FakeObjects {
    bucket: String,
    objects: Shared<BTreeMap<String, Vec<u8>>>,
    faults: Faults,
}

can_fail!(FakeObjects: "get", "get_limited", "put", "put_if_absent", "list");

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

    async fn get_limited(&self, key: &str, limit: usize) -> Result<Option<Limited>> {
        self.faults.before("get_limited")?;
        let found = self.peek(key).map(|bytes| {
            if bytes.len() <= limit {
                Limited::Whole(bytes)
            } else {
                Limited::TooLarge
            }
        });
        self.faults.after("get_limited")?;
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
