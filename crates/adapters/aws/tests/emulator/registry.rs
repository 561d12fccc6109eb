use super::{REGION, stage};
use domain::error::ErrorName;
use domain::ids::ImageDigest;
use engine::Registry as _;

#[tokio::test]
async fn an_image_gets_another_tag() {
    let stage = stage("registry").await;
    let setup = aws_sdk_ecr::Client::new(&stage.config);
    setup
        .create_repository()
        .repository_name(&stage.name)
        .send()
        .await
        .unwrap();
    let mut digests = Vec::new();
    for n in [1, 2] {
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
                "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,
                "digest":"sha256:{}"}},"layers":[]}}"#,
            n.to_string().repeat(64)
        );
        let put = setup
            .put_image()
            .repository_name(&stage.name)
            .image_manifest(manifest)
            .image_manifest_media_type("application/vnd.oci.image.manifest.v1+json")
            .image_tag(format!("commit-{n}"))
            .send()
            .await
            .unwrap();
        let id = put.image.unwrap().image_id.unwrap();
        digests.push(ImageDigest::parse(id.image_digest().unwrap()).unwrap());
    }
    let registry = aws::Ecr::new(&stage.clients);
    let image = format!("000000000000.dkr.ecr.{REGION}.amazonaws.com/{}", stage.name);
    let found = registry.find(&image, "commit-1").await.unwrap();
    assert_eq!(found.as_ref(), Some(&digests[0]));
    assert_eq!(registry.find(&image, "tree-1").await, Ok(None));
    assert_eq!(registry.tag(&image, &digests[0], "tree-1").await, Ok(()));
    assert_eq!(registry.tag(&image, &digests[0], "tree-1").await, Ok(()));
    let found = registry.find(&image, "tree-1").await.unwrap();
    assert_eq!(found.as_ref(), Some(&digests[0]));
    let unknown = ImageDigest::parse(&format!("sha256:{}", "f".repeat(64))).unwrap();
    let error = registry.tag(&image, &unknown, "x").await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
    let error = registry.find("r/none", "x").await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
}
