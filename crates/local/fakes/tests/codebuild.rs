//! The behavior of the fake CodeBuild server, and the state that it leaves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::sync::Arc;
use std::time::Duration;

use fakes::codebuild::{self, Config, Handle, Timing};
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use support::{MemoryCloud, call, eventually, host, is_empty, lives};

struct Setup {
    codebuild: Handle,
    cloud: Arc<MemoryCloud>,
    scratch: TempDir,
}

impl Setup {
    async fn new() -> Self {
        let scratch = TempDir::new().unwrap();
        let cloud = Arc::new(MemoryCloud::default());
        let config = Config {
            host: host(scratch.path()),
            tools: None,
            images: Vec::new(),
            env: BTreeMap::from([("CACHE".to_owned(), "/cache".to_owned())]),
            timing: Timing {
                grace: Duration::from_millis(300),
                minute: Duration::from_millis(200),
            },
        };
        let started = codebuild::start(0, config, Arc::clone(&cloud) as _).await;
        Self {
            codebuild: started.unwrap(),
            cloud,
            scratch,
        }
    }

    async fn call(&self, operation: &str, body: Value) -> (u16, Value) {
        let target = format!("CodeBuild_20161006.{operation}");
        let headers = vec![("x-amz-target".to_owned(), target)];
        call("POST", self.codebuild.url(), headers, Some(body)).await
    }

    async fn ok(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    async fn refused(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 400, "{operation}: {answer}");
        answer["__type"].clone()
    }

    async fn project(&self, buildspec: &str) {
        let project = json!({
            "name": "images",
            "serviceRole": "arn:aws:iam::123456789012:role/x",
            "artifacts": { "type": "NO_ARTIFACTS" },
            "source": { "type": "NO_SOURCE", "buildspec": buildspec },
            "environment": {
                "type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": [
                    { "name": "FROM_PROJECT", "value": "project", "type": "PLAINTEXT" },
                    { "name": "FROM_CALLER", "value": "project", "type": "PLAINTEXT" },
                ],
            },
        });
        self.ok("CreateProject", project).await;
    }

    async fn start(&self, more: Value) -> String {
        let mut request = json!({ "projectName": "images" });
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.ok("StartBuild", request).await["build"]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn build(&self, id: &str) -> Value {
        self.ok("BatchGetBuilds", json!({ "ids": [id] })).await["builds"][0].clone()
    }

    async fn end(&self, id: &str) -> Value {
        eventually("the build's end", async || {
            Some(self.build(id).await).filter(|build| build["buildComplete"] == true)
        })
        .await
    }

    /// Runs a buildspec without a source.
    async fn run(&self, buildspec: &str) -> Value {
        self.project(buildspec).await;
        let id = self.start(json!({})).await;
        self.end(&id).await
    }

    /// Returns the output of the commands, without CodeBuild's own lines.
    fn output(&self, build: &Value) -> Vec<String> {
        let log = self.log(build);
        log.into_iter()
            .filter(|line| line.starts_with("> "))
            .collect()
    }

    fn log(&self, build: &Value) -> Vec<String> {
        let logs = &build["logs"];
        let (group, stream) = (&logs["groupName"], &logs["streamName"]);
        self.cloud
            .log(group.as_str().unwrap(), stream.as_str().unwrap())
    }
}

fn phases(build: &Value) -> Vec<String> {
    let phases = build["phases"].as_array().unwrap().iter();
    let own = phases.filter(|phase| {
        let kind = phase["phaseType"].as_str().unwrap();
        [
            "DOWNLOAD_SOURCE",
            "INSTALL",
            "PRE_BUILD",
            "BUILD",
            "POST_BUILD",
        ]
        .contains(&kind)
    });
    own.map(|phase| {
        let status = phase["phaseStatus"].as_str().unwrap_or("?");
        format!("{} {status}", phase["phaseType"].as_str().unwrap())
    })
    .collect()
}

fn archive(files: &[(&str, &str, u32)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text, mode) in files {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        zip.start_file(*name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn a_build_runs_its_phases_over_the_archive_and_leaves_its_log_and_no_file() {
    let setup = Setup::new().await;
    setup
        .project(
            r#"
version: 0.2
env:
  shell: bash
  variables: { FROM_SPEC: spec, FROM_PROJECT: spec, FROM_CALLER: spec }
  exported-variables: [DIGEST]
phases:
  install:
    commands:
      - echo "> $FROM_SPEC $FROM_PROJECT $FROM_CALLER $CACHE"
      - export DIGEST=sha256:1
  pre_build:
    commands:
      - cd app
  build:
    commands:
      - |
        ./test.sh
        [[ $PWD == $CODEBUILD_SRC_DIR/app ]] && echo "> in app"
      - echo "> $DIGEST $CODEBUILD_BUILD_NUMBER $CODEBUILD_BUILD_SUCCEEDING $CODEBUILD_RESOLVED_SOURCE_VERSION"
      - (exit 0); touch "$HOME/file" "$TMPDIR/file" "$DOCKER_CONFIG/config.json"
      - for name in $(compgen -e); do echo "env $name"; done
    finally:
      - echo "> finally"
  post_build:
    commands:
      - echo "> pushed $CODEBUILD_BUILD_SUCCEEDING"
"#,
        )
        .await;
    let files = [("app/test.sh", "#!/bin/sh\necho '> tested'\n", 0o755)];
    setup
        .cloud
        .put("artifacts", "sources/1.zip", archive(&files));
    let id = setup
        .start(json!({
            "sourceTypeOverride": "S3",
            "sourceLocationOverride": "artifacts/sources/1.zip",
            "sourceVersion": "v7",
            "environmentVariablesOverride": [
                { "name": "FROM_CALLER", "value": "caller", "type": "PLAINTEXT" },
            ],
        }))
        .await;
    let build = setup.end(&id).await;
    assert_eq!(
        build["buildStatus"],
        "SUCCEEDED",
        "{:#?}",
        setup.log(&build)
    );
    assert_eq!(build["currentPhase"], "COMPLETED");
    assert_eq!(
        phases(&build),
        [
            "DOWNLOAD_SOURCE SUCCEEDED",
            "INSTALL SUCCEEDED",
            "PRE_BUILD SUCCEEDED",
            "BUILD SUCCEEDED",
            "POST_BUILD SUCCEEDED",
        ]
    );
    assert_eq!(
        setup.output(&build),
        [
            "> spec project caller /cache",
            "> tested",
            "> in app",
            "> sha256:1 1 1 v7",
            "> finally",
            "> pushed 1",
        ]
    );
    assert_eq!(
        build["exportedEnvironmentVariables"],
        json!([{ "name": "DIGEST", "value": "sha256:1" }])
    );
    let log = setup.log(&build);
    assert!(
        log.iter()
            .any(|line| line.contains("Running command cd app")),
        "{log:#?}"
    );
    assert!(
        !log.contains(&"env CARGO_MANIFEST_DIR".to_owned()),
        "the environment is clean"
    );
    assert!(is_empty(setup.scratch.path()));
    let states = eventually("both events", async || {
        let events = setup.cloud.events();
        let states = events
            .iter()
            .map(|event| event.detail["build-status"].clone());
        Some(states.collect::<Vec<_>>()).filter(|states| states.len() == 2)
    })
    .await;
    assert_eq!(states, ["IN_PROGRESS", "SUCCEEDED"]);
    let list = json!({ "projectName": "images" });
    assert_eq!(
        setup.ok("ListBuildsForProject", list).await["ids"],
        json!([id])
    );
}

#[tokio::test]
async fn a_failed_test_stops_the_phase_and_post_build_sees_it() {
    let setup = Setup::new().await;
    let build = setup
        .run(
            "version: 0.2\nphases:\n  build:\n    commands: ['echo \"> one\"', 'sh -c \"exit 3\"', \
             'echo \"> two\"']\n    finally: ['echo \"> finally\"']\n  post_build:\n    commands:\n      \
             - echo \"> $CODEBUILD_BUILD_SUCCEEDING\"\n",
        )
        .await;
    assert_eq!(build["buildStatus"], "FAILED");
    assert_eq!(setup.output(&build), ["> one", "> finally", "> 0"]);
    assert_eq!(
        phases(&build)[3..],
        ["BUILD FAILED", "POST_BUILD SUCCEEDED"]
    );
    let context = &build["phases"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["phaseType"] == "BUILD")
        .unwrap()["contexts"][0];
    assert_eq!(context["statusCode"], "COMMAND_EXECUTION_ERROR");
    assert_eq!(
        context["message"],
        "Error while executing command: sh -c \"exit 3\". Reason: exit status 3"
    );
}

#[tokio::test]
async fn where_a_build_goes_on_after_a_failure() {
    for (buildspec, expected) in [
        (
            "pre_build: {commands: [exit 1]}\n  build: {commands: ['true']}",
            vec!["INSTALL SUCCEEDED", "PRE_BUILD FAILED"],
        ),
        (
            "pre_build: {on-failure: CONTINUE, commands: ['false']}\n  build: {commands: ['true']}",
            vec![
                "INSTALL SUCCEEDED",
                "PRE_BUILD FAILED",
                "BUILD SUCCEEDED",
                "POST_BUILD SUCCEEDED",
            ],
        ),
        (
            "build: {on-failure: ABORT, commands: ['false']}\n  post_build: {commands: ['true']}",
            vec!["INSTALL SUCCEEDED", "PRE_BUILD SUCCEEDED", "BUILD FAILED"],
        ),
        (
            "post_build: {commands: ['false']}",
            vec![
                "INSTALL SUCCEEDED",
                "PRE_BUILD SUCCEEDED",
                "BUILD SUCCEEDED",
                "POST_BUILD FAILED",
            ],
        ),
    ] {
        let setup = Setup::new().await;
        let build = setup
            .run(&format!("version: 0.2\nphases:\n  {buildspec}\n"))
            .await;
        assert_eq!(phases(&build)[1..], expected, "{buildspec}");
        assert_eq!(build["buildStatus"], "FAILED", "{buildspec}");
    }
}

const DEAF: &str = "version: 0.2\nphases:\n  build:\n    commands:\n      - trap '' TERM; \
                    (trap '' TERM; while :; do sleep 1; done) & echo \"> $! $$\"; wait; sleep 60\n";

#[tokio::test]
async fn a_stopped_build_is_gone_with_all_its_processes() {
    let setup = Setup::new().await;
    setup.project(DEAF).await;
    let id = setup
        .start(json!({ "timeoutInMinutesOverride": 2000 }))
        .await;
    let running = setup.build(&id).await;
    let line = eventually("the process ids", async || {
        setup.output(&running).first().cloned()
    })
    .await;
    setup.ok("StopBuild", json!({ "id": id })).await;
    let build = setup.end(&id).await;
    assert_eq!(build["buildStatus"], "STOPPED");
    for pid in line.trim_start_matches("> ").split(' ') {
        assert!(!lives(pid), "{pid}");
    }
    assert!(is_empty(setup.scratch.path()));
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_ended_and_so_is_one_at_shutdown() {
    let setup = Setup::new().await;
    setup.project(DEAF).await;
    let id = setup.start(json!({ "timeoutInMinutesOverride": 5 })).await;
    let build = setup.end(&id).await;
    assert_eq!(build["buildStatus"], "TIMED_OUT");
    assert_eq!(phases(&build).last().unwrap(), "BUILD TIMED_OUT");

    let id = setup
        .start(json!({ "timeoutInMinutesOverride": 2000 }))
        .await;
    let running = setup.build(&id).await;
    let line = eventually("the process ids", async || {
        setup.output(&running).first().cloned()
    })
    .await;
    let Setup {
        codebuild, scratch, ..
    } = setup;
    codebuild.shutdown().await;
    for pid in line.trim_start_matches("> ").split(' ') {
        assert!(!lives(pid), "{pid}");
    }
    assert!(is_empty(scratch.path()));
}

#[tokio::test]
async fn a_source_that_cannot_be_used_fails_the_build_by_name() {
    let setup = Setup::new().await;
    setup
        .project("version: 0.2\nphases: {build: {commands: ['true']}}\n")
        .await;
    setup.cloud.put("b", "text", b"no archive".to_vec());
    let files = [("../outside", "x", 0o644)];
    setup.cloud.put("b", "traversal.zip", archive(&files));
    for (location, word) in [
        ("b/none.zip", "does not exist"),
        ("b/text", "not an archive"),
        ("b/traversal.zip", "not an archive"),
    ] {
        let source = json!({ "sourceTypeOverride": "S3", "sourceLocationOverride": location });
        let id = setup.start(source).await;
        let build = setup.end(&id).await;
        assert_eq!(phases(&build), ["DOWNLOAD_SOURCE FAILED"], "{location}");
        let message = build["phases"][3]["contexts"][0]["message"]
            .as_str()
            .unwrap();
        assert!(message.contains(word), "{location}: {message}");
    }
    let id = setup
        .start(json!({ "buildspecOverride": "version: 0.2\nphases: [\n" }))
        .await;
    let build = setup.end(&id).await;
    assert_eq!(
        build["phases"][3]["contexts"][0]["statusCode"],
        "YAML_FILE_ERROR"
    );
    assert!(is_empty(setup.scratch.path()));
}

#[tokio::test]
async fn what_aws_refuses_is_refused_and_a_token_starts_one_build() {
    let setup = Setup::new().await;
    let unknown = json!({ "projectName": "nothing" });
    assert_eq!(
        setup.refused("StartBuild", unknown).await,
        "ResourceNotFoundException"
    );
    setup
        .project("version: 0.2\nphases: {build: {commands: ['sleep 60']}}\n")
        .await;
    let secret = json!({ "projectName": "images", "environmentVariablesOverride": [
        { "name": "A", "value": "b", "type": "SECRETS_MANAGER" },
    ]});
    assert_eq!(
        setup.refused("StartBuild", secret).await,
        "InvalidInputException"
    );
    assert_eq!(
        setup.refused("Nonsense", json!({})).await,
        "InvalidInputException"
    );

    let one = setup.start(json!({ "idempotencyToken": "t" })).await;
    assert_eq!(setup.start(json!({ "idempotencyToken": "t" })).await, one);
    let other = json!({ "projectName": "images", "idempotencyToken": "t", "sourceVersion": "2" });
    assert_eq!(
        setup.refused("StartBuild", other).await,
        "InvalidInputException"
    );

    setup
        .ok(
            "UpdateProject",
            json!({ "name": "images", "concurrentBuildLimit": 1 }),
        )
        .await;
    let more = json!({ "projectName": "images" });
    assert_eq!(
        setup.refused("StartBuild", more).await,
        "AccountLimitExceededException"
    );
    setup.codebuild.shutdown().await;
}
