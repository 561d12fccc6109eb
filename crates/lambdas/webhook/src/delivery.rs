//! Delivery records: each delivery is published once.

use crate::Error;
use domain::event::Trigger;
use domain::ids::{DeliveryId, RunId, Sha256Digest};
use domain::json;
use engine::{ItemBody, ItemKey, Result, Table, Written};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a delivery record is kept. GitHub can redeliver for three days.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A delivery as stored in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveryRecord {
    /// Always 1.
    schema: u32,
    state: State,
    /// SHA-256 of the body.
    pub(crate) body: Sha256Digest,
    /// The run that the delivery starts.
    pub(crate) run: RunId,
    /// When the first copy arrived.
    pub(crate) received_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum State {
    Received,
    Dispatched,
}

/// Whether an earlier copy of a delivery is known.
pub(crate) enum Found {
    /// The first copy; it is recorded now.
    New,
    /// An earlier copy and the version of its item.
    Known(DeliveryRecord, u64),
}

impl DeliveryRecord {
    pub(crate) fn received(event: &Trigger, body: Sha256Digest) -> Self {
        Self {
            schema: 1,
            state: State::Received,
            body,
            run: event.run_id(),
            received_at: event.received_at(),
        }
    }

    pub(crate) fn dispatched(self) -> Self {
        Self {
            state: State::Dispatched,
            ..self
        }
    }

    pub(crate) fn is_dispatched(&self) -> bool {
        self.state == State::Dispatched
    }

    fn body(&self) -> Result<ItemBody> {
        Ok(ItemBody {
            doc: json::to_text("a delivery's record", self)?,
            index: None,
            expires: self.received_at.checked_add(REMEMBERED).ok(),
        })
    }
}

fn key(id: &DeliveryId) -> ItemKey {
    ItemKey {
        pk: format!("DELIVERY#{id}"),
        sk: "DELIVERY".into(),
    }
}

/// Records a delivery, or returns the record of its earlier copy.
pub(crate) async fn open(
    table: &dyn Table,
    id: &DeliveryId,
    record: &DeliveryRecord,
) -> Result<Found> {
    let key = key(id);
    if table.insert(&key, &record.body()?).await? == Written::Yes {
        return Ok(Found::New);
    }
    let Some(found) = table.get(&key).await? else {
        let delivery = id.clone();
        return Err(Error::Deleted { delivery }.into());
    };
    let known = serde_json::from_str(&found.doc).map_err(|source| Error::OtherFormat {
        delivery: id.clone(),
        source,
    })?;
    Ok(Found::Known(known, found.version))
}

/// Marks a delivery as dispatched. If another copy was faster, the record already says so.
pub(crate) async fn close(
    table: &dyn Table,
    id: &DeliveryId,
    record: &DeliveryRecord,
    version: u64,
) -> Result<Written> {
    table.replace(&key(id), &record.body()?, version).await
}
