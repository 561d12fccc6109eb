use crate::Clients;
use crate::errors::{incomplete, named};
use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use engine::{Cursor, IndexKey, Item, ItemBody, ItemKey, Order, Page, Result, Table, Written};
use std::collections::HashMap;

const PK: &str = "pk";
const SK: &str = "sk";
const DOC: &str = "doc";
const VERSION: &str = "version";
const GSI_PK: &str = "gsi_pk";
const GSI_SK: &str = "gsi_sk";
const EXPIRES: &str = "expires";
const INDEX: &str = "by-kind";

/// The most items on a page.
const PAGE: i32 = 100;

/// The DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoTable {
    client: aws_sdk_dynamodb::Client,
    name: String,
}

type Attributes = HashMap<String, AttributeValue>;

impl DynamoTable {
    /// The table of this name.
    #[must_use]
    pub fn new(clients: &Clients, name: &str) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(clients.config()),
            name: name.to_owned(),
        }
    }

    fn call(&self, operation: &str, key: &ItemKey) -> String {
        format!("{operation} {}/{} in table {}", key.pk, key.sk, self.name)
    }

    fn put(&self, key: &ItemKey, body: &ItemBody, version: u64) -> PutItemFluentBuilder {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut put = self
            .client
            .put_item()
            .table_name(&self.name)
            .item(PK, text(&key.pk))
            .item(SK, text(&key.sk))
            .item(DOC, text(&body.doc))
            .item(VERSION, AttributeValue::N(version.to_string()));
        if let Some(index) = &body.index {
            put = put
                .item(GSI_PK, text(&index.pk))
                .item(GSI_SK, text(&index.sk));
        }
        if let Some(expires) = body.expires {
            put = put.item(EXPIRES, AttributeValue::N(expires.as_second().to_string()));
        }
        put
    }

    fn query_call(&self, index_pk: &str) -> String {
        format!("Query {INDEX} {index_pk} in table {}", self.name)
    }

    /// Returns a query of a partition of the index.
    fn query(&self, index_pk: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .index_name(INDEX)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", GSI_PK)
            .expression_attribute_values(":pk", AttributeValue::S(index_pk.to_owned()))
    }

    async fn written(&self, put: PutItemFluentBuilder, key: &ItemKey) -> Result<Written> {
        match put.send().await {
            Ok(_) => Ok(Written::Yes),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_conditional_check_failed_exception() => Ok(Written::No),
                _ => Err(named(&self.call("PutItem", key), &error)),
            },
        }
    }
}

fn item(call: &str, attributes: &Attributes) -> Result<Item> {
    let doc = attributes.get(DOC).and_then(|value| value.as_s().ok());
    let version = attributes
        .get(VERSION)
        .and_then(|value| value.as_n().ok()?.parse().ok());
    match (doc, version) {
        (Some(doc), Some(version)) => Ok(Item {
            doc: doc.clone(),
            version,
        }),
        (None, _) => Err(incomplete(call, DOC)),
        (_, None) => Err(incomplete(call, VERSION)),
    }
}

/// Returns the key after which a query goes on.
fn start_key(after: &Cursor) -> Attributes {
    let Cursor { key, index } = after;
    let parts = [
        (PK, &key.pk),
        (SK, &key.sk),
        (GSI_PK, &index.pk),
        (GSI_SK, &index.sk),
    ];
    let text = |(name, value): (&str, &String)| (name.to_owned(), AttributeValue::S(value.clone()));
    parts.into_iter().map(text).collect()
}

fn cursor(call: &str, last: &Attributes) -> Result<Cursor> {
    let text = |name: &'static str| {
        let found = last.get(name).and_then(|value| value.as_s().ok());
        found.cloned().ok_or_else(|| incomplete(call, name))
    };
    let (pk, sk) = (text(PK)?, text(SK)?);
    let index = IndexKey {
        pk: text(GSI_PK)?,
        sk: text(GSI_SK)?,
    };
    Ok(Cursor {
        key: ItemKey { pk, sk },
        index,
    })
}

#[async_trait]
impl Table for DynamoTable {
    async fn get(&self, key: &ItemKey) -> Result<Option<Item>> {
        let call = self.call("GetItem", key);
        let get = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(PK, AttributeValue::S(key.pk.clone()))
            .key(SK, AttributeValue::S(key.sk.clone()))
            .consistent_read(true);
        let answer = get.send().await.map_err(|error| named(&call, &error))?;
        answer.item().map(|found| item(&call, found)).transpose()
    }

    async fn insert(&self, key: &ItemKey, body: &ItemBody) -> Result<Written> {
        let put = self
            .put(key, body, 1)
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PK);
        self.written(put, key).await
    }

    async fn replace(&self, key: &ItemKey, body: &ItemBody, version: u64) -> Result<Written> {
        let put = self
            .put(key, body, version + 1)
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()));
        self.written(put, key).await
    }

    async fn list(&self, index_pk: &str, limit: u32) -> Result<Vec<Item>> {
        let call = self.query_call(index_pk);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut from: Option<Attributes> = None;
        while found.len() < limit {
            let left = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            let query = self
                .query(index_pk)
                .scan_index_forward(false)
                .limit(left)
                .set_exclusive_start_key(from.take());
            let answer = query.send().await.map_err(|error| named(&call, &error))?;
            for attributes in answer.items() {
                found.push(item(&call, attributes)?);
            }
            match answer.last_evaluated_key {
                Some(last) => from = Some(last),
                None => break,
            }
        }
        Ok(found)
    }

    async fn page(&self, index_pk: &str, order: Order, after: Option<&Cursor>) -> Result<Page> {
        let call = self.query_call(index_pk);
        let query = self
            .query(index_pk)
            .scan_index_forward(order == Order::Ascending)
            .limit(PAGE)
            .set_exclusive_start_key(after.map(start_key));
        let answer = query.send().await.map_err(|error| named(&call, &error))?;
        let items = answer.items().iter().map(|found| item(&call, found));
        Ok(Page {
            items: items.collect::<Result<_>>()?,
            next: answer
                .last_evaluated_key()
                .map(|last| cursor(&call, last))
                .transpose()?,
        })
    }
}
