use super::stage;
use aws::{LogQuery, Streams};
use domain::error::ErrorName;
use std::time::SystemTime;

#[tokio::test]
async fn log_lines_are_read_and_followed() {
    let stage = stage("logs").await;
    let setup = aws_sdk_cloudwatchlogs::Client::new(&stage.config);
    let group = format!("/{}", stage.name);
    setup
        .create_log_group()
        .log_group_name(&group)
        .send()
        .await
        .unwrap();
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    for stream in ["job-1", "job-2", "other"] {
        setup
            .create_log_stream()
            .log_group_name(&group)
            .log_stream_name(stream)
            .send()
            .await
            .unwrap();
    }
    let write = async |stream: &str, lines: &[(i64, &str)]| {
        let events = lines.iter().map(|(at, text)| {
            aws_sdk_cloudwatchlogs::types::InputLogEvent::builder()
                .timestamp(now + at)
                .message(*text)
                .build()
                .unwrap()
        });
        setup
            .put_log_events()
            .log_group_name(&group)
            .log_stream_name(stream)
            .set_log_events(Some(events.collect()))
            .send()
            .await
            .unwrap();
    };
    write("job-1", &[(0, "a"), (2, "c\n")]).await;
    write("job-2", &[(1, "b")]).await;
    write("other", &[(1, "x")]).await;
    let logs = aws::Logs::new(&stage.clients);
    let query = |streams| LogQuery {
        group: group.clone(),
        streams,
        since: None,
        limit: 100,
    };
    let texts = |lines: Vec<aws::LogLine>| -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    };
    let read = async |streams| texts(logs.read(&query(streams)).await.unwrap());
    assert_eq!(read(Streams::Prefix("job-".into())).await, ["a", "b", "c"]);
    assert_eq!(read(Streams::Named("job-2".into())).await, ["b"]);
    assert_eq!(read(Streams::All).await.len(), 4);
    assert!(read(Streams::Named("not-yet".into())).await.is_empty());
    let mut tail = logs.tail(query(Streams::Named("job-1".into())));
    assert_eq!(texts(tail.next().await.unwrap()), ["a", "c"]);
    assert!(tail.next().await.unwrap().is_empty());
    write("job-1", &[(2, "d"), (3, "e")]).await;
    assert_eq!(texts(tail.next().await.unwrap()), ["d", "e"]);
    let mut none = query(Streams::All);
    none.group.push_str("-none");
    let error = logs.read(&none).await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
}
