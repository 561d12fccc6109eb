//! The tools for builds: `aws` for the emulator's registry, and `docker` using buildah.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use fakes::tools::{self, Builder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

async fn run(tools: &Path, endpoint: &str, line: &str) -> (i32, String) {
    let output = Command::new("sh")
        .args(["-c", line])
        .env_clear()
        .env("PATH", tools)
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "eu-central-1")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap().trim_end().to_owned(),
    )
}

/// Serves a registry that has the tag `known` of `shop` and issues the password `secret`.
async fn registry(headers: HeaderMap, body: String) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap();
    assert!(
        headers["authorization"]
            .to_str()
            .unwrap()
            .contains("/eu-central-1/ecr/")
    );
    if target.ends_with(".GetAuthorizationToken") {
        let token =
            r#"{"authorizationData": [{"authorizationToken": "QVdTOnNlY3JldA==", "x": 1}]}"#;
        return (StatusCode::OK, token.to_owned());
    }
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["repositoryName"], "shop");
    if body["imageIds"][0]["imageTag"] == "known" {
        return (
            StatusCode::OK,
            r#"{"imageDetails": [{"imageDigest": "sha256:1", "imageTags": ["known"]}]}"#.to_owned(),
        );
    }
    (
        StatusCode::BAD_REQUEST,
        r#"{"__type": "ImageNotFoundException"}"#.to_owned(),
    )
}

#[tokio::test]
async fn aws_asks_the_emulators_registry() {
    let dir = TempDir::new().unwrap();
    tools::install(dir.path(), Builder::Docker, &[], "").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(registry);
    let server = tokio::spawn(async { axum::serve(listener, router).await });
    let run = async |line: &str| run(dir.path(), &endpoint, line).await;
    let password = run("aws ecr get-login-password --region eu-central-1").await;
    assert_eq!(password, (0, "secret".to_owned()));
    let describe =
        "aws ecr describe-images --region r --repository-name shop --image-ids imageTag=";
    assert_eq!(run(&format!("{describe}known")).await.0, 0);
    let query = format!("{describe}known --query 'imageDetails[0].imageDigest' --output text");
    assert_eq!(run(&query).await, (0, "sha256:1".to_owned()));
    assert_eq!(run(&format!("{describe}other")).await.0, 254);
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    assert_ne!(run(&format!("{describe}known")).await.0, 0);
}

#[tokio::test]
async fn docker_is_buildah_where_no_engine_answers() {
    let dir = TempDir::new().unwrap();
    let machine = TempDir::new().unwrap();
    prints_its_arguments(&machine.path().join("buildah"));
    let path = machine.path().display().to_string();
    let options = ["--volume=/usr:/usr:ro".to_owned()];
    tools::install(dir.path(), Builder::Buildah, &options, &path).unwrap();
    for (line, expected) in [
        (
            "docker build --tag r/i:1 -f D .",
            "build --isolation chroot --layers --tls-verify=false --volume=/usr:/usr:ro --tag r/i:1 -f D .",
        ),
        ("docker push r/i:1", "push --tls-verify=false r/i:1"),
        ("docker tag a b", "tag a b"),
        (
            "docker login --username AWS --password-stdin r",
            "login --tls-verify=false --username AWS --password-stdin r",
        ),
        ("docker image inspect a", "inspect --type image a"),
    ] {
        // The machine's own store is not used.
        let expected = format!(
            "--root /tmp/buildah/root --runroot /tmp/buildah/run --storage-driver vfs {expected}"
        );
        assert_eq!(run(dir.path(), "", line).await, (0, expected), "{line}");
    }
    let (code, output) = run(dir.path(), "", "docker run a").await;
    assert_eq!(code, 64);
    assert!(output.contains("'run' is not known"), "{output}");
}

#[tokio::test]
async fn docker_is_the_engines_with_the_options_of_this_machine() {
    let dir = TempDir::new().unwrap();
    let machine = TempDir::new().unwrap();
    prints_its_arguments(&machine.path().join("docker"));
    let path = machine.path().display().to_string();
    let options = ["--build-arg=BASE=local".to_owned()];
    tools::install(dir.path(), Builder::Docker, &options, &path).unwrap();
    for (line, expected) in [
        (
            "docker build -t a 'b c'",
            "build --build-arg=BASE=local -t a b c",
        ),
        ("docker push a", "push a"),
    ] {
        assert_eq!(run(dir.path(), "", line).await, (0, expected.to_owned()));
    }
}

/// AWS's image has no Rust, and a build finds nothing beside the image's programs.
#[tokio::test]
async fn builds_have_the_programs_of_the_build_image_and_no_others() {
    let dir = TempDir::new().unwrap();
    let machine = TempDir::new().unwrap();
    for name in ["cargo", "rustup", "aws"] {
        prints_its_arguments(&machine.path().join(name));
    }
    let path = format!("{}:/usr/bin", machine.path().display());
    tools::install(dir.path(), Builder::Docker, &[], &path).unwrap();
    for name in ["bash", "cut", "find", "git", "sed", "tar"] {
        let (code, place) = run(dir.path(), "", &format!("command -v {name}")).await;
        assert_eq!(
            (code, place),
            (0, dir.path().join(name).display().to_string())
        );
    }
    for name in ["cargo", "rustc", "rustup", "apt-get", "dpkg"] {
        assert_eq!(
            run(dir.path(), "", &format!("command -v {name}")).await.0,
            127,
            "{name}"
        );
    }
    let other = run(dir.path(), "", "aws s3 ls").await;
    assert_eq!(other, (0, "s3 ls".to_owned()), "the AWS CLI");
}

fn prints_its_arguments(place: &Path) {
    std::fs::write(place, "#!/bin/sh\necho \"$*\"\n").unwrap();
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
}
