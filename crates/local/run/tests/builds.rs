//! The two buildspecs of `terraform/modules/build`, run by the fake CodeBuild.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and reads where its tools are"
)]

#[path = "../../fakes/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use domain::build::BuildKind;
use domain::step::CaughtError;
use fakes::codebuild::{self, Config, Image, Timing};
use fakes::tools::{self, Builder};
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use support::{MemoryCloud, call, eventually, host};

/// A build image that has Rust.
const WITH_RUST: &str = "an/image-with-rust";

/// The registry: `aws` knows no image, and `docker` prints what it gets.
const AWS: &str = "#!/bin/sh\n[ \"$2\" = get-login-password ] && echo secret\n";
const DOCKER: &str = r#"#!/bin/sh
case $1 in
  login) cat > "$DOCKER_CONFIG/config.json" ;;
  build)
    echo "> docker $*"
    for last; do :; done
    (cd "$last" && find . -type f | sort | while read -r file; do echo "> $file: $(cat "$file")"; done)
    [ -z "$(find "$last/.." -maxdepth 1 -mindepth 1 ! -name context)" ] && echo "> nothing beside the context"
    ;;
  *) echo "> docker $*" ;;
esac
"#;

/// A fake CodeBuild on a machine with Rust, and the archive of a monorepo.
struct Machine {
    codebuild: codebuild::Handle,
    cloud: Arc<MemoryCloud>,
    _directory: TempDir,
}

impl Machine {
    async fn new(test: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let own = directory.path().join("own");
        std::fs::create_dir(&own).unwrap();
        script(&own.join("cargo"), "#!/bin/sh\necho \"> cargo $*\"\n");
        let tools = directory.path().join("tools");
        let path = format!("{}:/usr/bin:/bin", own.display());
        tools::install(&tools, Builder::Docker, &[], &path).unwrap();
        for (name, text) in [("aws", AWS), ("docker", DOCKER)] {
            std::fs::remove_file(tools.join(name)).unwrap();
            script(&tools.join(name), text);
        }
        let scratch = directory.path().join("scratch");
        std::fs::create_dir(&scratch).unwrap();
        let mut host = host(&scratch);
        host.path = format!("{path}:{}", host.path);
        let cloud = Arc::new(MemoryCloud::default());
        let config = Config {
            host,
            tools: Some(tools),
            images: vec![Image {
                name: WITH_RUST.to_owned(),
                programs: own,
                env: BTreeMap::new(),
            }],
            env: BTreeMap::new(),
            timing: Timing::default(),
        };
        let codebuild = codebuild::start(0, config, Arc::clone(&cloud) as _).await;
        cloud.put("artifacts", "sources/1.zip", archive(test));
        Self {
            codebuild: codebuild.unwrap(),
            cloud,
            _directory: directory,
        }
    }

    async fn call(&self, operation: &str, body: Value) -> Value {
        let target = format!("CodeBuild_20161006.{operation}");
        let headers = vec![("x-amz-target".to_owned(), target)];
        let (status, answer) = call("POST", self.codebuild.url(), headers, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Runs the build of a kind in an image. Returns the build, and the lines that begin with `>`.
    async fn run(&self, kind: BuildKind, image: &str) -> (Value, Vec<String>) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let file = root.join(format!("terraform/modules/build/{kind}.yml"));
        let name = format!("build-github-1-{kind}");
        let project = json!({
            "name": name,
            "serviceRole": "arn:aws:iam::123456789012:role/x",
            "artifacts": { "type": "NO_ARTIFACTS" },
            "source": { "type": "NO_SOURCE", "buildspec": std::fs::read_to_string(file).unwrap() },
            "environment": {
                "type": "LINUX_CONTAINER", "image": image, "computeType": "BUILD_GENERAL1_SMALL",
            },
        });
        self.call("CreateProject", project).await;
        let variables = [
            ("SLUICEGATE_RUN", "run-1"),
            ("SLUICEGATE_COMMIT", "abc"),
            ("SLUICEGATE_CONTEXT", "app"),
        ];
        let own: &[(&str, &str)] = match kind {
            BuildKind::Test => &[("SLUICEGATE_TEST", "./test.sh")],
            BuildKind::Image => &[
                ("SLUICEGATE_DOCKERFILE", "Dockerfile"),
                ("SLUICEGATE_IMAGE", "registry.test/shop"),
                ("SLUICEGATE_TAG", "inputs-1"),
            ],
        };
        let variables = variables.iter().chain(own);
        let variables = variables.map(|(name, value)| json!({ "name": name, "value": value }));
        let start = json!({
            "projectName": name,
            "sourceTypeOverride": "S3",
            "sourceLocationOverride": "artifacts/sources/1.zip",
            "environmentVariablesOverride": variables.collect::<Vec<_>>(),
        });
        let started = self.call("StartBuild", start).await;
        let ids = json!({ "ids": [started["build"]["id"]] });
        let build = eventually("the build's end", async || {
            let found = self.call("BatchGetBuilds", ids.clone()).await["builds"][0].clone();
            Some(found).filter(|build| build["buildComplete"] == true)
        })
        .await;
        let logs = &build["logs"];
        let (group, stream) = (&logs["groupName"], &logs["streamName"]);
        let log = self
            .cloud
            .log(group.as_str().unwrap(), stream.as_str().unwrap());
        let printed = log.into_iter().filter(|line| line.starts_with("> "));
        (build, printed.collect())
    }
}

fn script(place: &Path, text: &str) {
    std::fs::write(place, text).unwrap();
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn archive(test: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text, mode) in [
        ("app/Dockerfile", "FROM scratch", 0o644),
        ("app/src/main.rs", "honest", 0o644),
        ("app/test.sh", test, 0o755),
        ("proto/api.proto", "beside the context", 0o644),
    ] {
        let options = SimpleFileOptions::default().unix_permissions(mode);
        zip.start_file(name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Returns what failed, as the state machine would report it.
fn failed_part(build: &Value) -> &'static str {
    let phases = build["phases"].as_array().unwrap().iter();
    let phases: Vec<Value> = phases
        .map(|phase| json!({"PhaseType": phase["phaseType"], "PhaseStatus": phase["phaseStatus"]}))
        .collect();
    let cause = json!({"Build": {"Id": build["id"], "BuildStatus": "FAILED", "Phases": phases}});
    let error = CaughtError {
        error: "States.TaskFailed".to_owned(),
        cause: cause.to_string(),
    };
    error.failed_build().unwrap().part
}

#[tokio::test]
async fn a_test_that_needs_rust_fails_as_on_codebuild_unless_the_image_has_it() {
    let machine = Machine::new("#!/bin/sh\nset -e\ncargo test --locked\n").await;
    let (build, printed) = machine.run(BuildKind::Test, "aws/codebuild/standard").await;
    assert_eq!(build["buildStatus"], "FAILED");
    assert_eq!(failed_part(&build), "the tests");
    assert_eq!(printed, Vec::<String>::new());

    let machine = Machine::new("#!/bin/sh\nset -e\ncargo test --locked\n").await;
    let (build, printed) = machine.run(BuildKind::Test, WITH_RUST).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    assert_eq!(printed, ["> cargo test --locked"]);
}

#[tokio::test]
async fn a_test_sees_the_whole_source_and_no_credentials_in_its_environment() {
    let test = "#!/bin/bash\ncat ../proto/api.proto | sed 's/^/> /'\necho\n\
        compgen -e | grep -E '^(AWS|CODEBUILD|DOCKER|ECS|REGISTRY)_' | sed 's/^/> /'\n\
        [ \"$CI\" = true ] && echo '> in CI'\n";
    let machine = Machine::new(test).await;
    let (build, printed) = machine.run(BuildKind::Test, "aws/codebuild/standard").await;
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    assert_eq!(printed, ["> beside the context", "> in CI"]);
}

/// The test changes every file that it reaches, and leaves others.
#[tokio::test]
async fn what_a_test_leaves_does_not_reach_the_image() {
    let test = "#!/bin/sh\necho changed > src/main.rs\necho FROM other > Dockerfile\n\
        mkdir -p dist ../docker\necho left > dist/left\necho left > ../docker/left\n";
    let machine = Machine::new(test).await;
    let (build, _) = machine.run(BuildKind::Test, WITH_RUST).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    let (build, printed) = machine.run(BuildKind::Image, WITH_RUST).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    let (first, last) = (printed.first().unwrap(), printed.last().unwrap());
    assert_eq!(
        first,
        "> docker build --tag registry.test/shop:inputs-1 --label \
         org.opencontainers.image.revision=abc --file context/Dockerfile context"
    );
    assert_eq!(last, "> docker push registry.test/shop:inputs-1");
    let files = &printed[1..printed.len() - 2];
    assert_eq!(
        files[..2],
        ["> ./Dockerfile: FROM scratch", "> ./src/main.rs: honest"]
    );
    // Its lines are those of the test itself.
    assert!(files[2].starts_with("> ./test.sh: "), "{files:#?}");
    assert!(
        !printed.iter().any(|line| line.contains("proto")),
        "{printed:#?}"
    );
    assert!(printed.contains(&"> nothing beside the context".to_owned()));
}
