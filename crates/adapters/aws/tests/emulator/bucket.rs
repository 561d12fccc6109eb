use super::{REGION, stage};
use domain::error::ErrorName;
use engine::{Limited, Objects as _, Written};

#[tokio::test]
async fn an_object_is_written_once_when_it_must_be() {
    let stage = stage("bucket").await;
    let setup = aws_sdk_s3::config::Builder::from(&stage.config)
        .force_path_style(true)
        .build();
    let constraint = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(REGION.into())
        .build();
    aws_sdk_s3::Client::from_conf(setup)
        .create_bucket()
        .bucket(&stage.name)
        .create_bucket_configuration(constraint)
        .send()
        .await
        .unwrap();
    let bucket = aws::Bucket::new(&stage.clients, &stage.name);
    assert_eq!(bucket.bucket(), stage.name);
    let key = "runs/one/jobs/plan-a/job.json";
    assert_eq!(bucket.get(key).await, Ok(None));
    assert_eq!(
        bucket.put_if_absent(key, b"1".to_vec()).await,
        Ok(Written::Yes)
    );
    assert_eq!(
        bucket.put_if_absent(key, b"2".to_vec()).await,
        Ok(Written::No)
    );
    assert_eq!(bucket.get(key).await, Ok(Some(b"1".to_vec())));
    let large = vec![7; 1024 * 1024];
    assert_eq!(bucket.put(key, large.clone()).await, Ok(()));
    assert_eq!(bucket.get(key).await, Ok(Some(large.clone())));
    let limited = async |limit| bucket.get_limited(key, limit).await;
    assert_eq!(limited(large.len() - 1).await, Ok(Some(Limited::TooLarge)));
    let whole = Limited::Whole(large.clone());
    assert_eq!(limited(large.len()).await, Ok(Some(whole)));
    assert_eq!(bucket.get_limited("runs/none", 1).await, Ok(None));
    bucket.put("runs/two", Vec::new()).await.unwrap();
    assert_eq!(bucket.get("runs/two").await, Ok(Some(Vec::new())));
    assert_eq!(bucket.list("runs/one/").await.unwrap(), [key]);
    let none = aws::Bucket::new(&stage.clients, &format!("{}-none", stage.name));
    let error = none.get(key).await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
}
