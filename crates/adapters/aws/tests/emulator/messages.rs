use super::{make_queue, stage};
use domain::error::ErrorName;
use engine::{EventBus as _, Secrets as _, StatusQueue as _};

#[tokio::test]
async fn messages_come_in_order_and_once() {
    let stage = stage("queue").await;
    let url = make_queue(&stage).await;
    let queue = aws::SqsStatusQueue::new(&stage.clients, &url);
    for (id, body) in [("1", "a"), ("2", "b"), ("1", "again"), ("3", "c")] {
        queue.send("run-one", id, body).await.unwrap();
    }
    let reader = aws::QueueReader::new(&stage.clients, &url);
    let mut bodies = Vec::new();
    while bodies.len() < 3 {
        let messages = reader.receive(1).await.unwrap();
        assert!(!messages.is_empty(), "only {bodies:?} came");
        for message in messages {
            assert_eq!(message.group, "run-one");
            reader.delete(&message).await.unwrap();
            bodies.push(message.body);
        }
    }
    assert_eq!(bodies, ["a", "b", "c"]);
    assert_eq!(reader.receive(0).await, Ok(Vec::new()));
    let none = aws::SqsStatusQueue::new(&stage.clients, &format!("{url}-none"));
    let error = none.send("g", "1", "b").await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
}

#[tokio::test]
async fn an_event_is_taken_by_a_bus() {
    let stage = stage("bus").await;
    aws_sdk_eventbridge::Client::new(&stage.config)
        .create_event_bus()
        .name(&stage.name)
        .send()
        .await
        .unwrap();
    let bus = aws::Bus::new(&stage.clients, &stage.name);
    assert_eq!(
        bus.publish("github.com", "push", r#"{"a":1}"#).await,
        Ok(())
    );
    // An event whose detail is not JSON is refused within a call that succeeds; not every emulator
    // looks at it.
    if let Err(error) = bus.publish("github.com", "push", "{").await {
        assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
    }
}

#[tokio::test]
async fn a_secret_without_a_value_says_what_to_do() {
    let stage = stage("secret").await;
    let setup = aws_sdk_secretsmanager::Client::new(&stage.config);
    let made = setup
        .create_secret()
        .name(&stage.name)
        .send()
        .await
        .unwrap();
    let arn = made.arn.unwrap();
    let store = aws::SecretStore::new(&stage.clients);
    let error = store.get(&arn).await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
    assert!(error.message.contains("put-secret-value"), "{error}");
    for value in ["one", "two"] {
        setup
            .put_secret_value()
            .secret_id(&arn)
            .secret_string(value)
            .send()
            .await
            .unwrap();
        assert_eq!(store.get(&arn).await.as_deref(), Ok(value));
    }
}
