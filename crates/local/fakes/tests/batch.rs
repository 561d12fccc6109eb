//! The behavior of the fake Batch server, and the state that it leaves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fakes::Cloud as _;
use fakes::batch::{self, Config, Handle, Image, Runs, Timing};
use serde_json::{Value, json};
use tempfile::TempDir;

use support::{MemoryCloud, call, eventually, host, is_empty, lives};

struct Setup {
    batch: Handle,
    cloud: Arc<MemoryCloud>,
    scratch: TempDir,
}

impl Setup {
    /// Creates a fake with one queue `q` of 1 vCPU. The image `shell` runs `sh -c`.
    async fn new() -> Self {
        let scratch = TempDir::new().unwrap();
        let cloud = Arc::new(MemoryCloud::default());
        let shell = Image {
            name: "registry/shell:*".to_owned(),
            runs: Runs::Process {
                program: "/bin/sh".to_owned(),
                args: vec!["-c".to_owned()],
            },
            env: BTreeMap::from([
                ("FROM_IMAGE".to_owned(), "image".to_owned()),
                ("WHO".to_owned(), "image".to_owned()),
            ]),
        };
        let timing = Timing {
            grace: Duration::from_millis(500),
            least_timeout: Duration::from_secs(1),
            step: Duration::from_millis(1),
            shutdown_grace: Duration::from_millis(200),
        };
        let config = Config {
            host: host(scratch.path()),
            images: vec![shell],
            timing,
        };
        let batch = batch::start(0, config, Arc::clone(&cloud) as _)
            .await
            .unwrap();
        let setup = Self {
            batch,
            cloud,
            scratch,
        };
        setup
            .ok(
                "createcomputeenvironment",
                json!({
                    "computeEnvironmentName": "ce", "type": "MANAGED",
                    "computeResources": {
                        "type": "FARGATE", "maxvCpus": 1,
                        "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"],
                    },
                }),
            )
            .await;
        setup
            .ok(
                "createjobqueue",
                json!({
                    "jobQueueName": "q", "priority": 1, "state": "ENABLED",
                    "computeEnvironmentOrder": [{ "order": 1, "computeEnvironment": "ce" }],
                }),
            )
            .await;
        setup
    }

    async fn call(&self, operation: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/v1/{operation}", self.batch.url());
        call("POST", url, vec![], Some(body)).await
    }

    async fn ok(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    async fn refused(&self, operation: &str, body: Value) -> String {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 400, "{operation}: {answer}");
        answer["message"].as_str().unwrap().to_owned()
    }

    async fn define(&self, name: &str, more: Value) {
        let mut definition = json!({
            "jobDefinitionName": name, "type": "container",
            "platformCapabilities": ["FARGATE"],
            "containerProperties": {
                "image": "registry/shell:1",
                "executionRoleArn": "arn:aws:iam::123456789012:role/x",
                "resourceRequirements": [
                    { "type": "VCPU", "value": "1" }, { "type": "MEMORY", "value": "2048" },
                ],
            },
        });
        for (member, value) in more.as_object().unwrap() {
            match definition["containerProperties"].as_object_mut() {
                Some(container) if member == "image" || member == "logConfiguration" => {
                    container.insert(member.clone(), value.clone());
                }
                _ => definition[member] = value.clone(),
            }
        }
        self.ok("registerjobdefinition", definition).await;
    }

    async fn submit(&self, definition: &str, script: &str) -> String {
        let job = json!({
            "jobName": "job", "jobQueue": "q", "jobDefinition": definition,
            "containerOverrides": { "command": [script] },
        });
        self.ok("submitjob", job).await["jobId"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn job(&self, id: &str) -> Value {
        self.ok("describejobs", json!({ "jobs": [id] })).await["jobs"][0].clone()
    }

    async fn reach(&self, id: &str, wanted: &str) -> Value {
        eventually(&format!("{id} to be {wanted}"), async || {
            let job = self.job(id).await;
            let status = job["status"].as_str().unwrap();
            let over = status == "SUCCEEDED" || status == "FAILED";
            assert!(!over || status == wanted, "{job:#}");
            (status == wanted).then_some(job)
        })
        .await
    }

    fn log(&self, job: &Value) -> Vec<String> {
        let stream = job["container"]["logStreamName"].as_str().unwrap();
        self.cloud.log("/aws/batch/job", stream)
    }

    fn states(&self, id: &str) -> Vec<String> {
        let events = self.cloud.events();
        let own = events.iter().filter(|event| event.detail["jobId"] == id);
        own.map(|event| event.detail["status"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_job_that_succeeds_leaves_its_log_its_events_and_no_file() {
    let setup = Setup::new().await;
    setup
        .define("plan", json!({ "parameters": { "greeting": "hello" } }))
        .await;
    let script = r#"echo "Ref::greeting $WHO $FROM_IMAGE"; echo " "; touch "$HOME/file"
        mkdir "$TMPDIR/ro"; touch "$TMPDIR/ro/x"; chmod 500 "$TMPDIR/ro"; env | sort >&2"#;
    let submitted = setup
        .ok(
            "submitjob",
            json!({
                "jobName": "job", "jobQueue": "q", "jobDefinition": "plan",
                "parameters": { "greeting": "good morning" },
                "containerOverrides": {
                    "command": [script],
                    "environment": [{ "name": "WHO", "value": "override" }],
                },
            }),
        )
        .await;
    let id = submitted["jobId"].as_str().unwrap();
    let job = setup.reach(id, "SUCCEEDED").await;

    assert_eq!(job["container"]["exitCode"], 0);
    assert_eq!(job["statusReason"], "Essential container in task exited");
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    let stream = job["container"]["logStreamName"].as_str().unwrap();
    assert!(stream.starts_with("plan/default/"), "{stream}");
    let log = setup.log(&job);
    assert_eq!(log[0], "good morning override image");
    let names: Vec<&str> = log[2..]
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
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
        "FROM_IMAGE",
        "HOME",
        "LANG",
        "PATH",
        "PWD",
        "TMPDIR",
        "WHO",
    ];
    assert_eq!(
        names, expected,
        "the job sees nothing of this process's environment"
    );
    assert!(log.contains(&format!("AWS_BATCH_JOB_ID={id}")));
    assert!(is_empty(setup.scratch.path()));
    let states = [
        "SUBMITTED",
        "PENDING",
        "RUNNABLE",
        "STARTING",
        "RUNNING",
        "SUCCEEDED",
    ];
    eventually("all events", async || {
        (setup.states(id) == states).then_some(())
    })
    .await;
    let event = setup.cloud.events().pop().unwrap();
    assert_eq!(event.source, "aws.batch");
    assert_eq!(event.detail_type, "Batch Job State Change");
    assert_eq!(event.resources, [job["jobArn"].as_str().unwrap()]);
}

#[tokio::test]
async fn a_job_that_fails_is_tried_again_as_often_as_it_may() {
    let setup = Setup::new().await;
    setup
        .define("twice", json!({ "retryStrategy": { "attempts": 3 } }))
        .await;
    let id = setup
        .submit("twice", r#"test "$AWS_BATCH_JOB_ATTEMPT" = 2 || exit 7"#)
        .await;
    let job = setup.reach(&id, "SUCCEEDED").await;
    assert_eq!(job["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(job["attempts"][0]["container"]["exitCode"], 7);
    let streams: Vec<&Value> = job["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["container"]["logStreamName"])
        .collect();
    assert_ne!(streams[0], streams[1]);

    let id = setup.submit("twice", "exit 9").await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(job["container"]["exitCode"], 9);
    assert_eq!(job["statusReason"], "Essential container in task exited");
}

/// Returns the retry rules of plan jobs. Their order matters.
fn plan_rules() -> Value {
    json!([
        { "action": "RETRY", "onExitCode": "143" },
        { "action": "RETRY", "onStatusReason": "Your Spot Task was interrupted*" },
        { "action": "EXIT", "onReason": "*" },
    ])
}

#[tokio::test]
async fn the_exit_decides_whether_a_job_is_tried_again() {
    let setup = Setup::new().await;
    let strategy = json!({ "attempts": 3, "evaluateOnExit": plan_rules() });
    setup
        .define("plan", json!({ "retryStrategy": strategy }))
        .await;
    let described = setup
        .ok(
            "describejobdefinitions",
            json!({ "jobDefinitions": ["plan"] }),
        )
        .await;
    assert_eq!(described["jobDefinitions"][0]["retryStrategy"], strategy);

    // Interrupted twice, then failed: the failure is final.
    let script = r#"test "$AWS_BATCH_JOB_ATTEMPT" = 3 && exit 1; exit 143"#;
    let id = setup.submit("plan", script).await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["retryStrategy"], strategy);
    let codes: Vec<&Value> = job["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| &attempt["container"]["exitCode"])
        .collect();
    assert_eq!(codes, [143, 143, 1]);
    let id = setup.submit("plan", "exit 1").await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);

    // The submission's strategy overrides the definition's.
    let own =
        json!({ "attempts": 2, "evaluateOnExit": [{ "action": "EXIT", "onExitCode": "14*" }] });
    let submitted = setup
        .ok(
            "submitjob",
            json!({
                "jobName": "job", "jobQueue": "q", "jobDefinition": "plan", "retryStrategy": own,
                "containerOverrides": { "command": ["exit 143"] },
            }),
        )
        .await;
    let job = setup
        .reach(submitted["jobId"].as_str().unwrap(), "FAILED")
        .await;
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(job["retryStrategy"], own);

    let bad = json!({ "attempts": 2, "evaluateOnExit": [{ "action": "AGAIN" }] });
    let mut submission = json!({ "jobName": "job", "jobQueue": "q", "jobDefinition": "plan" });
    submission["retryStrategy"] = bad;
    let refused = setup.refused("submitjob", submission).await;
    assert!(refused.contains("RETRY or EXIT"), "{refused}");
}

#[tokio::test]
async fn a_job_that_spot_interrupts_is_tried_again_and_one_that_is_terminated_is_not() {
    let setup = Setup::new().await;
    let strategy = json!({ "attempts": 2, "evaluateOnExit": plan_rules() });
    setup
        .define("plan", json!({ "retryStrategy": strategy }))
        .await;
    // Ignores SIGTERM: only the status reason shows the interruption.
    let script = r#"test "$AWS_BATCH_JOB_ATTEMPT" = 2 && exit 0
        trap '' TERM; echo started; while :; do sleep 1; done"#;
    let id = setup.submit("plan", script).await;
    let job = setup.reach(&id, "RUNNING").await;
    eventually("the first line", async || setup.log(&job).first().cloned()).await;
    setup.batch.interrupt(&id);
    let job = setup.reach(&id, "SUCCEEDED").await;
    let first = &job["attempts"][0];
    assert_eq!(first["statusReason"], "Your Spot Task was interrupted.");
    assert_eq!(first["container"]["exitCode"], 137);
    assert_eq!(job["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(job["statusReason"], "Essential container in task exited");

    let script = "trap 'exit 143' TERM; echo started; while :; do sleep 0.05; done";
    let id = setup.submit("plan", script).await;
    let job = setup.reach(&id, "RUNNING").await;
    eventually("the first line", async || setup.log(&job).first().cloned()).await;
    setup
        .ok("terminatejob", json!({ "jobId": id, "reason": "aborted" }))
        .await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["container"]["exitCode"], 143);
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(job["statusReason"], "aborted");
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_killed_with_its_children_and_not_tried_again() {
    let setup = Setup::new().await;
    let more = json!({
        "timeout": { "attemptDurationSeconds": 1 }, "retryStrategy": { "attempts": 3 },
    });
    setup.define("slow", more).await;
    let deaf = "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $$; echo $!; wait; sleep 60";
    let start = Instant::now();
    let id = setup.submit("slow", deaf).await;
    let job = setup.reach(&id, "FAILED").await;
    assert!(
        start.elapsed() >= Duration::from_millis(1500),
        "it had its time and its grace"
    );
    assert_eq!(job["statusReason"], "Job attempt duration exceeded timeout");
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(job["container"]["exitCode"], 137);
    let log = setup.log(&job);
    assert_eq!(log.len(), 2);
    for pid in log {
        assert!(!lives(&pid), "{pid}");
    }
    assert!(is_empty(setup.scratch.path()));
}

#[tokio::test]
async fn terminate_asks_first_keeps_the_reason_and_always_fails_the_job() {
    let setup = Setup::new().await;
    setup
        .define("long", json!({ "retryStrategy": { "attempts": 3 } }))
        .await;
    let script = "trap 'echo cleaned up; exit 0' TERM; sleep 60 & echo $!; wait";
    let id = setup.submit("long", script).await;
    let job = setup.reach(&id, "RUNNING").await;
    let child = eventually("the child's id", async || setup.log(&job).first().cloned()).await;
    setup
        .ok(
            "terminatejob",
            json!({ "jobId": id, "reason": "superseded by r-2" }),
        )
        .await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["statusReason"], "superseded by r-2");
    assert_eq!(job["isTerminated"], true);
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(setup.log(&job).last().unwrap(), "cleaned up");
    assert!(!lives(&child));
    setup
        .ok("terminatejob", json!({ "jobId": id, "reason": "again" }))
        .await;
    assert_eq!(setup.job(&id).await["statusReason"], "superseded by r-2");
}

#[tokio::test]
async fn jobs_wait_for_room_in_order_and_a_waiting_one_can_be_cancelled() {
    let setup = Setup::new().await;
    setup.define("d", json!({})).await;
    let first = setup.submit("d", "sleep 60").await;
    setup.reach(&first, "RUNNING").await;
    let second = setup.submit("d", "true").await;
    let third = setup.submit("d", "true").await;
    setup.reach(&third, "RUNNABLE").await;
    setup.reach(&second, "RUNNABLE").await;
    setup
        .ok(
            "canceljob",
            json!({ "jobId": second, "reason": "not needed" }),
        )
        .await;
    let job = setup.reach(&second, "FAILED").await;
    assert_eq!(
        (&job["statusReason"], &job["isCancelled"]),
        (&json!("not needed"), &json!(true))
    );
    assert_eq!(setup.states(&second).last().unwrap(), "FAILED");
    assert!(!setup.states(&second).contains(&"STARTING".to_owned()));

    setup
        .ok("canceljob", json!({ "jobId": first, "reason": "too late" }))
        .await;
    assert_eq!(
        setup.job(&first).await["status"],
        "RUNNING",
        "cancel does not touch it"
    );
    setup.reach(&third, "RUNNABLE").await;
    let list = json!({ "jobQueue": "q", "jobStatus": "RUNNABLE" });
    let list = setup.ok("listjobs", list).await;
    assert_eq!(list["jobSummaryList"][0]["jobId"], third.as_str());
    setup
        .ok(
            "terminatejob",
            json!({ "jobId": first, "reason": "enough" }),
        )
        .await;
    setup.reach(&third, "SUCCEEDED").await;
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let setup = Setup::new().await;
    setup.define("d", json!({})).await;
    let submit = |queue: &str, definition: &str| json!({ "jobName": "j", "jobQueue": queue, "jobDefinition": definition });
    let no_queue = setup.refused("submitjob", submit("nowhere", "d")).await;
    assert!(no_queue.contains("nowhere"), "{no_queue}");
    let no_definition = setup.refused("submitjob", submit("q", "d:7")).await;
    assert!(no_definition.contains("d:7"), "{no_definition}");
    setup
        .ok(
            "updatejobqueue",
            json!({ "jobQueue": "q", "state": "DISABLED" }),
        )
        .await;
    let disabled = setup.refused("submitjob", submit("q", "d")).await;
    assert!(disabled.contains("DISABLED"), "{disabled}");
    let in_use = json!({ "computeEnvironment": "ce", "state": "DISABLED" });
    setup.ok("updatecomputeenvironment", in_use).await;
    let in_use = json!({ "computeEnvironment": "ce" });
    let in_use = setup.refused("deletecomputeenvironment", in_use).await;
    assert!(in_use.contains("JobQueue"), "{in_use}");
    setup.ok("deletejobqueue", json!({ "jobQueue": "q" })).await;
    setup
        .ok(
            "deletecomputeenvironment",
            json!({ "computeEnvironment": "ce" }),
        )
        .await;
    let left = setup.ok("describecomputeenvironments", json!({})).await;
    assert_eq!(left["computeEnvironments"], json!([]));
    let unknown = setup.refused("nonsense", json!({})).await;
    assert!(unknown.contains("POST /v1/nonsense"), "{unknown}");
}

#[tokio::test]
async fn a_job_that_cannot_start_says_why() {
    let setup = Setup::new().await;
    setup
        .define("unknown", json!({ "image": "registry/other:1" }))
        .await;
    let id = setup.submit("unknown", "true").await;
    let job = setup.reach(&id, "FAILED").await;
    assert_eq!(job["statusReason"], "Task failed to start");
    let reason = job["container"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("CannotPullContainerError"), "{reason}");

    let log = json!({ "logDriver": "awslogs", "options": {
        "awslogs-group": "/own", "awslogs-stream-prefix": "p",
    }});
    setup
        .define("own-log", json!({ "logConfiguration": log }))
        .await;
    let id = setup.submit("own-log", "true").await;
    let job = setup.reach(&id, "FAILED").await;
    let reason = job["container"]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("ResourceInitializationError"),
        "{reason}"
    );
    setup.cloud.create_log_group("/own").await.unwrap();
    let id = setup.submit("own-log", "echo there").await;
    let job = setup.reach(&id, "SUCCEEDED").await;
    let stream = job["container"]["logStreamName"].as_str().unwrap();
    assert!(stream.starts_with("p/default/"), "{stream}");
    assert_eq!(setup.cloud.log("/own", stream), ["there"]);
}

#[tokio::test]
async fn a_shutdown_ends_every_job_and_leaves_nothing() {
    let setup = Setup::new().await;
    setup.define("d", json!({})).await;
    let id = setup
        .submit("d", "trap '' TERM; echo $$; while :; do sleep 1; done")
        .await;
    let waiting = setup.submit("d", "true").await;
    let job = setup.reach(&id, "RUNNING").await;
    let pid = eventually("the process id", async || setup.log(&job).first().cloned()).await;
    let Setup {
        batch,
        cloud,
        scratch,
    } = setup;
    let start = Instant::now();
    batch.shutdown().await;
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(!lives(&pid));
    assert!(is_empty(scratch.path()));
    let last = |id: &str| {
        let events = cloud.events();
        let own = events
            .iter()
            .rfind(|event| event.detail["jobId"] == id)
            .cloned();
        own.unwrap().detail["status"].clone()
    };
    assert_eq!(
        (last(&id), last(&waiting)),
        (json!("FAILED"), json!("FAILED"))
    );
}

#[tokio::test]
async fn tags_are_kept_by_arn() {
    let setup = Setup::new().await;
    let arn = "arn:aws:batch:eu-central-1:123456789012:job-queue/q";
    let base = setup.batch.url();
    let tags = format!("{base}/v1/tags/{}", arn.replace('/', "%2F"));
    let body = json!({ "tags": { "team": "shop", "a": "b" } });
    assert_eq!(call("POST", tags.clone(), vec![], Some(body)).await.0, 200);
    assert_eq!(
        call("DELETE", format!("{tags}?tagKeys=a"), vec![], None)
            .await
            .0,
        200
    );
    let (_, answer) = call("GET", tags, vec![], None).await;
    assert_eq!(answer, json!({ "tags": { "team": "shop" } }));
    let (status, _) = call("GET", format!("{base}/v1/tags/arn:x"), vec![], None).await;
    assert_eq!(status, 400);
}
