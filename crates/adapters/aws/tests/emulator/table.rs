use super::{Stage, stage};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use domain::error::ErrorName;
use engine::{IndexKey, ItemBody, ItemKey, Order, Table as _, Written};

async fn make(stage: &Stage) -> aws::DynamoTable {
    let part = |name: &str, kind: KeyType| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .unwrap()
    };
    let mut create = aws_sdk_dynamodb::Client::new(&stage.config)
        .create_table()
        .table_name(&stage.name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(part("pk", KeyType::Hash))
        .key_schema(part("sk", KeyType::Range))
        .global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name("by-kind")
                .key_schema(part("gsi_pk", KeyType::Hash))
                .key_schema(part("gsi_sk", KeyType::Range))
                .projection(
                    Projection::builder()
                        .projection_type(ProjectionType::All)
                        .build(),
                )
                .build()
                .unwrap(),
        );
    for name in ["pk", "sk", "gsi_pk", "gsi_sk"] {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        create = create.attribute_definitions(attribute.build().unwrap());
    }
    create.send().await.unwrap();
    aws::DynamoTable::new(&stage.clients, &stage.name)
}

fn key(sk: &str) -> ItemKey {
    ItemKey {
        pk: "RUN#one".into(),
        sk: sk.into(),
    }
}

fn body(doc: &str, place: &str) -> ItemBody {
    ItemBody {
        doc: doc.into(),
        index: Some(IndexKey {
            pk: "RUNS".into(),
            sk: place.into(),
        }),
        expires: Some(jiff::Timestamp::UNIX_EPOCH),
    }
}

#[tokio::test]
async fn items_are_written_only_under_their_conditions() {
    let stage = stage("table").await;
    let table = make(&stage).await;
    let (a, b) = (key("a"), key("b"));
    assert_eq!(table.get(&a).await, Ok(None));
    assert_eq!(table.insert(&a, &body("1", "1")).await, Ok(Written::Yes));
    assert_eq!(table.insert(&a, &body("2", "1")).await, Ok(Written::No));
    assert_eq!(table.replace(&a, &body("3", "1"), 2).await, Ok(Written::No));
    assert_eq!(
        table.replace(&a, &body("4", "1"), 1).await,
        Ok(Written::Yes)
    );
    assert_eq!(table.replace(&b, &body("5", "1"), 1).await, Ok(Written::No));
    let found = table.get(&a).await.unwrap().unwrap();
    assert_eq!((found.doc.as_str(), found.version), ("4", 2));
    // What has no expiry must not carry the attribute that DynamoDB deletes by.
    let kept = ItemBody {
        expires: None,
        index: None,
        ..body("6", "")
    };
    assert_eq!(table.replace(&a, &kept, 2).await, Ok(Written::Yes));
    let raw = aws_sdk_dynamodb::Client::new(&stage.config)
        .scan()
        .table_name(&stage.name)
        .send()
        .await
        .unwrap();
    let mut names: Vec<_> = raw.items()[0].keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["doc", "pk", "sk", "version"]);
}

#[tokio::test]
async fn of_ten_writers_one_wins() {
    let stage = stage("race").await;
    let table = make(&stage).await;
    table.insert(&key("a"), &body("0", "1")).await.unwrap();
    let writers = (1..=10).map(|n| {
        let table = table.clone();
        tokio::spawn(async move {
            let body = body(&n.to_string(), "1");
            table.replace(&key("a"), &body, 1).await.unwrap()
        })
    });
    let mut won = 0;
    for writer in writers.collect::<Vec<_>>() {
        won += u32::from(writer.await.unwrap() == Written::Yes);
    }
    assert_eq!(won, 1);
    let found = table.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(found.version, 2);
}

#[tokio::test]
async fn the_index_lists_the_greatest_first() {
    let stage = stage("index").await;
    let table = make(&stage).await;
    for n in ["1", "3", "2"] {
        table.insert(&key(n), &body(n, n)).await.unwrap();
    }
    let found = table.list("RUNS", 2).await.unwrap();
    let docs: Vec<_> = found.iter().map(|record| record.doc.as_str()).collect();
    assert_eq!(docs, ["3", "2"]);
    assert_eq!(table.list("RUNS", 9).await.unwrap().len(), 3);
    assert_eq!(table.list("OTHER", 9).await, Ok(Vec::new()));
}

#[tokio::test]
async fn the_pages_of_the_index_hold_every_item_once() {
    let stage = stage("pages").await;
    let table = make(&stage).await;
    let expected: Vec<String> = (0..205).map(|n| format!("{n:03}")).collect();
    for n in expected.iter().rev() {
        table.insert(&key(n), &body(n, n)).await.unwrap();
    }
    let newest = table.page("RUNS", Order::Descending, None).await.unwrap();
    assert_eq!(newest.items[0].doc, "204");
    let (mut docs, mut pages) = (Vec::new(), 0);
    let mut after = None;
    loop {
        let page = table
            .page("RUNS", Order::Ascending, after.as_ref())
            .await
            .unwrap();
        docs.extend(page.items.into_iter().map(|item| item.doc));
        pages += 1;
        // An item that leaves the partition meanwhile does not move the others.
        if pages == 1 {
            let moved = ItemBody {
                index: None,
                ..body("moved", "")
            };
            table.replace(&key("000"), &moved, 1).await.unwrap();
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(pages > 2);
    assert_eq!(docs, expected);
    let none = table.page("OTHER", Order::Ascending, None).await.unwrap();
    assert_eq!((none.items, none.next), (Vec::new(), None));
}

#[tokio::test]
async fn a_table_that_does_not_exist_is_refused_with_its_name() {
    let stage = stage("none").await;
    let table = aws::DynamoTable::new(&stage.clients, &stage.name);
    let error = table.get(&key("a")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused);
    for part in [
        "GetItem RUN#one/a",
        &stage.name,
        "ResourceNotFoundException",
    ] {
        assert!(error.message.contains(part), "{part} in {error}");
    }
}
