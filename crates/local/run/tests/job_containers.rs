//! Jobs of the fake Batch server as containers, and what is left on the engine. Without a Docker
//! engine, each test prints that it was skipped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

#[path = "../../fakes/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fakes::Host;
use fakes::batch::{self, Config, Container, Handle, Image, Runs, Timing};
use local_run::containers::{self, LABEL};
use local_run::engine::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

use support::{MemoryCloud, call, eventually, host, is_empty};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The whole image: prints its environment, tries to write, waits for SIGTERM, or allocates memory.
const PROBE: &str = r#"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;
static volatile sig_atomic_t signaled;
static void on_signal(int signal) { signaled = signal; }

static void write_to(const char *path) {
    FILE *file = fopen(path, "w");
    printf("%s %s\n", path, file ? "written" : "refused");
    if (file) fclose(file);
}

int main(int count, char **words) {
    setvbuf(stdout, 0, _IOLBF, 0);
    const char *verb = count > 1 ? words[1] : "";
    if (!strcmp(verb, "show")) {
        for (char **one = environ; *one; one++) puts(*one);
        fprintf(stderr, "uid %d gid %d\n", getuid(), getgid());
        write_to("/file");
        write_to("/tmp/file");
        write_to("/seen/file");
        struct stat seen;
        printf("/seen/here %s\n", stat("/seen/here", &seen) ? "missing" : "there");
        char line[256];
        FILE *status = fopen("/proc/self/status", "r");
        while (fgets(line, sizeof line, status))
            if (!strncmp(line, "CapBnd", 6) || !strncmp(line, "NoNewPrivs", 10)) fputs(line, stdout);
        return 0;
    }
    if (!strcmp(verb, "exit")) return atoi(words[2]);
    if (!strcmp(verb, "wait")) {
        signal(SIGTERM, on_signal);
        puts("waiting");
        while (!signaled) pause();
        puts("cleaned up");
        return 0;
    }
    if (!strcmp(verb, "deaf")) {
        signal(SIGTERM, SIG_IGN);
        puts("deaf");
        for (;;) pause();
    }
    if (!strcmp(verb, "eat")) {
        for (;;) {
            char *block = malloc(16 << 20);
            if (!block) return 4;
            memset(block, 1, 16 << 20);
        }
    }
    return 5;
}
"#;

struct Setup {
    engine: Engine,
    batch: Handle,
    cloud: Arc<MemoryCloud>,
    scratch: TempDir,
    seen: TempDir,
    image: String,
    instance: String,
}

impl Setup {
    /// Creates a fake whose image `probe` is a container. Returns none if no engine answers.
    async fn new() -> Option<Self> {
        let instance = format!("test-{}", uuid::Uuid::new_v4().simple());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let Some(engine) = Engine::find(&root, PATH).unwrap() else {
            // scripts/test.sh sets it exactly when an engine answered.
            let expected = std::env::var_os("EXPECTED_ENGINE");
            assert!(expected.is_none(), "no engine answers at {expected:?}");
            eprintln!("NOT RUN, no Docker engine answers");
            return None;
        };
        let (scratch, seen) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        fs::write(seen.path().join("here"), "").unwrap();
        let image = format!("sluicegate-probe:{instance}");
        build(&image);
        let probe = Image {
            name: "registry/probe:*".to_owned(),
            runs: Runs::Container(Container {
                image: image.clone(),
                mounts: vec![(seen.path().to_owned(), "/seen".to_owned())],
                label: (LABEL.to_owned(), instance.clone()),
            }),
            env: BTreeMap::from([("WHO".to_owned(), "image".to_owned())]),
        };
        let missing = Image {
            name: "registry/missing:*".to_owned(),
            runs: Runs::Container(Container {
                image: format!("sluicegate-missing:{instance}"),
                mounts: vec![],
                label: (LABEL.to_owned(), instance.clone()),
            }),
            env: BTreeMap::new(),
        };
        let config = Config {
            host: Host {
                docker_host: Some(engine.address.clone()),
                ..host(scratch.path())
            },
            images: vec![probe, missing],
            timing: Timing {
                grace: Duration::from_secs(2),
                least_timeout: Duration::from_secs(1),
                step: Duration::from_millis(1),
                shutdown_grace: Duration::from_millis(500),
            },
        };
        let cloud = Arc::new(MemoryCloud::default());
        let batch = batch::start(0, config, Arc::clone(&cloud) as _)
            .await
            .unwrap();
        let setup = Self {
            engine,
            batch,
            cloud,
            scratch,
            seen,
            image,
            instance,
        };
        let environment = json!({
            "computeEnvironmentName": "ce", "type": "MANAGED",
            "computeResources": {
                "type": "FARGATE", "maxvCpus": 1,
                "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"],
            },
        });
        setup.ok("createcomputeenvironment", environment).await;
        let queue = json!({
            "jobQueueName": "q", "priority": 1, "state": "ENABLED",
            "computeEnvironmentOrder": [{ "order": 1, "computeEnvironment": "ce" }],
        });
        setup.ok("createjobqueue", queue).await;
        setup.define("probe", "registry/probe:1", json!({})).await;
        Some(setup)
    }

    async fn ok(&self, operation: &str, body: Value) -> Value {
        let url = format!("{}/v1/{operation}", self.batch.url());
        let (status, answer) = call("POST", url, vec![], Some(body)).await;
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    async fn define(&self, name: &str, image: &str, more: Value) {
        let mut definition = json!({
            "jobDefinitionName": name, "type": "container",
            "platformCapabilities": ["FARGATE"],
            "containerProperties": {
                "image": image,
                "user": "65532:65532",
                "executionRoleArn": "arn:aws:iam::123456789012:role/x",
                "environment": [{ "name": "WHO", "value": "definition" }],
                "resourceRequirements": [
                    { "type": "VCPU", "value": "0.25" }, { "type": "MEMORY", "value": "512" },
                ],
            },
        });
        for (member, value) in more.as_object().unwrap() {
            definition[member] = value.clone();
        }
        self.ok("registerjobdefinition", definition).await;
    }

    async fn submit(&self, definition: &str, command: &[&str]) -> String {
        let job = json!({
            "jobName": "job", "jobQueue": "q", "jobDefinition": definition,
            "containerOverrides": { "command": command },
        });
        let answer = self.ok("submitjob", job).await;
        answer["jobId"].as_str().unwrap().to_owned()
    }

    async fn reach(&self, id: &str, wanted: &str) -> Value {
        eventually(&format!("{id} to be {wanted}"), async || {
            let answer = self.ok("describejobs", json!({ "jobs": [id] })).await;
            let job = answer["jobs"][0].clone();
            let status = job["status"].as_str().unwrap();
            let over = status == "SUCCEEDED" || status == "FAILED";
            assert!(!over || status == wanted, "{job:#}");
            (status == wanted).then_some(job)
        })
        .await
    }

    /// Waits for a job's first line, which shows that its container runs.
    async fn says(&self, id: &str, line: &str) {
        let job = self.reach(id, "RUNNING").await;
        eventually(line, async || {
            self.log(&job).contains(&line.to_owned()).then_some(())
        })
        .await;
        assert_eq!(self.left().await.len(), 1, "the container has the label");
    }

    fn log(&self, job: &Value) -> Vec<String> {
        let stream = job["container"]["logStreamName"].as_str().unwrap();
        self.cloud.log("/aws/batch/job", stream)
    }

    async fn left(&self) -> Vec<String> {
        left(&self.engine, &self.instance).await
    }

    /// Shuts down, and checks that nothing of the instance is left on disk or on the engine.
    async fn end(self) {
        self.batch.shutdown().await;
        let left = left(&self.engine, &self.instance).await;
        docker(&["image", "rm", &self.image]);
        assert_eq!(left, [""; 0]);
        assert!(is_empty(self.scratch.path()));
        assert_eq!(fs::read_dir(self.seen.path()).unwrap().count(), 1);
    }
}

fn build(image: &str) {
    let context = TempDir::new().unwrap();
    let at = |name: &str| context.path().join(name);
    fs::write(at("probe.c"), PROBE).unwrap();
    fs::create_dir(at("tmp")).unwrap();
    fs::write(
        at("Dockerfile"),
        "FROM scratch\nCOPY --chown=65532:65532 tmp/ /tmp/\nCOPY probe /probe\nUSER 65532:65532\n\
         ENTRYPOINT [\"/probe\"]\n",
    )
    .unwrap();
    let compiled = Command::new("cc")
        .args(["-static", "-O1", "-o"])
        .args([at("probe"), at("probe.c")])
        .status();
    assert!(compiled.unwrap().success(), "cc -static; is libc.a there?");
    docker(&[
        "build",
        "--quiet",
        "--tag",
        image,
        context.path().to_str().unwrap(),
    ]);
}

/// Returns the ids of an instance's containers.
async fn left(engine: &Engine, instance: &str) -> Vec<String> {
    let filter = format!("--filter=label={LABEL}={instance}");
    let ids = engine.docker(&["ps", "--all", "--quiet", &filter]).await;
    let ids = ids.unwrap();
    ids.split_whitespace().map(str::to_owned).collect()
}

fn docker(args: &[&str]) {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {output:?}");
}

#[tokio::test]
async fn a_job_sees_its_own_environment_and_little_else() {
    let Some(setup) = Setup::new().await else {
        return;
    };
    let id = setup.submit("probe", &["show"]).await;
    let job = setup.reach(&id, "SUCCEEDED").await;
    assert_eq!(job["container"]["exitCode"], 0);
    assert_eq!(job["statusReason"], "Essential container in task exited");
    let log = setup.log(&job);
    let mut names: Vec<&str> = log
        .iter()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    names.sort_unstable();
    let expected = [
        "AWS_ACCESS_KEY_ID",
        "AWS_BATCH_JOB_ATTEMPT",
        "AWS_BATCH_JOB_ID",
        "AWS_BATCH_JQ_NAME",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "HOME",
        "HOSTNAME",
        "LANG",
        "PATH",
        "TMPDIR",
        "WHO",
    ];
    assert_eq!(names, expected);
    for line in [
        "WHO=definition",
        "HOME=/tmp",
        "TMPDIR=/tmp",
        "AWS_ENDPOINT_URL=http://127.0.0.1:1",
        "uid 65532 gid 65532",
        "/file refused",
        "/tmp/file written",
        "/seen/file refused",
        "/seen/here there",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(
            log.contains(&line.to_owned()),
            "{line:?} is missing: {log:#?}"
        );
    }
    assert!(log.contains(&format!("AWS_BATCH_JOB_ID={id}")));
    let path = log.iter().find(|line| line.starts_with("PATH=")).unwrap();
    assert_ne!(path, &format!("PATH={}", host(setup.scratch.path()).path));
    setup.end().await;
}

#[tokio::test]
async fn an_exit_code_is_the_jobs_own_and_each_attempt_has_a_container() {
    let Some(setup) = Setup::new().await else {
        return;
    };
    let twice = json!({ "retryStrategy": { "attempts": 2 } });
    setup.define("twice", "registry/probe:1", twice).await;
    // 125 is also the exit code of `docker run` when it fails itself.
    let id = setup.submit("twice", &["exit", "125"]).await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["container"]["exitCode"], 125);
    assert_eq!(job["statusReason"], "Essential container in task exited");
    assert_eq!(job["attempts"].as_array().unwrap().len(), 2);

    let image = "registry/missing:1";
    setup.define("missing", image, json!({})).await;
    let id = setup.submit("missing", &["exit", "0"]).await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["statusReason"], "Task failed to start");
    let reason = job["container"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("CannotCreateContainerError"), "{reason}");
    assert!(reason.contains("No such image"), "{reason}");
    setup.end().await;
}

#[tokio::test]
async fn terminate_asks_first_and_a_job_that_takes_too_long_is_killed() {
    let Some(setup) = Setup::new().await else {
        return;
    };
    let id = setup.submit("probe", &["wait"]).await;
    setup.says(&id, "waiting").await;
    let reason = json!({ "jobId": id, "reason": "superseded by r-2" });
    setup.ok("terminatejob", reason).await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["statusReason"], "superseded by r-2");
    assert_eq!(job["container"]["exitCode"], 0);
    assert_eq!(setup.log(&job), ["waiting", "cleaned up"]);

    let limit = json!({ "timeout": { "attemptDurationSeconds": 3 } });
    setup.define("slow", "registry/probe:1", limit).await;
    let start = Instant::now();
    let id = setup.submit("slow", &["deaf"]).await;
    setup.says(&id, "deaf").await;
    let job = setup.reach(&id, "FAILED").await;
    assert!(
        start.elapsed() >= Duration::from_secs(5),
        "its time and its grace"
    );
    assert_eq!(job["statusReason"], "Job attempt duration exceeded timeout");
    assert_eq!(job["container"]["exitCode"], 137);
    setup.end().await;
}

#[tokio::test]
async fn a_job_has_the_memory_that_it_asked_for() {
    let Some(setup) = Setup::new().await else {
        return;
    };
    let id = setup.submit("probe", &["eat"]).await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["container"]["exitCode"], 137);
    assert_eq!(job["statusReason"], "Essential container in task exited");
    let reason = job["container"]["reason"].as_str().unwrap();
    assert_eq!(
        reason,
        "OutOfMemoryError: Container killed due to memory usage"
    );
    setup.end().await;
}

#[tokio::test]
async fn a_stop_that_comes_while_a_container_starts_is_not_lost() {
    let Some(setup) = Setup::new().await else {
        return;
    };
    let id = setup.submit("probe", &["wait"]).await;
    setup.reach(&id, "RUNNING").await;
    setup
        .ok("terminatejob", json!({ "jobId": id, "reason": "at once" }))
        .await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["statusReason"], "at once");
    setup.end().await;
}

#[tokio::test]
async fn a_shutdown_and_whoever_cleans_up_find_every_container() {
    let Some(setup) = Setup::new().await else {
        return;
    };
    let id = setup.submit("probe", &["deaf"]).await;
    setup.says(&id, "deaf").await;
    // As `sluicegate-local down` does for a local run that was killed.
    containers::remove(&setup.engine, &setup.instance)
        .await
        .unwrap();
    assert_eq!(setup.left().await, [""; 0]);
    let job = setup.reach(&id, "FAILED").await;
    let reason = job["container"]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("CannotInspectContainerError"),
        "{reason}"
    );

    let id = setup.submit("probe", &["deaf"]).await;
    setup.says(&id, "deaf").await;
    setup.end().await;
}
