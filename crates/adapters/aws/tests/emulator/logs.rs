use super::stage;
use aws::LogQuery;
use domain::error::ErrorName;
use domain::ids::BuildId;
use engine::BuildLogs as _;
use std::time::SystemTime;

#[tokio::test]
async fn log_lines_are_read_in_the_order_of_time() {
    let stage = stage("logs").await;
    let setup = aws_sdk_cloudwatchlogs::Client::new(&stage.config);
    let group = format!("/aws/codebuild/{}", stage.name);
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
    write("other", &[(3, "x")]).await;
    let logs = aws::Logs::new(&stage.clients);
    let query = |since, limit| LogQuery {
        group: group.clone(),
        since,
        limit,
    };
    let read = async |query: LogQuery| -> Vec<String> {
        let lines = logs.read(&query).await.unwrap();
        lines.into_iter().map(|line| line.text).collect()
    };
    assert_eq!(read(query(None, 100)).await, ["a", "b", "c", "x"]);
    let second = jiff::Timestamp::from_millisecond(now + 2).unwrap();
    assert_eq!(read(query(Some(second), 100)).await, ["c", "x"]);
    assert_eq!(read(query(None, 2)).await.len(), 2);
    let build = BuildId::parse(&format!("{}:job-1", stage.name)).unwrap();
    let builds = aws::BuildLogGroups::new(&stage.clients);
    assert_eq!(builds.tail(&build, 1).await.unwrap(), ["c"]);
    assert_eq!(builds.tail(&build, 10).await.unwrap(), ["a", "c"]);
    let mut none = query(None, 100);
    none.group.push_str("-none");
    let error = logs.read(&none).await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
}
