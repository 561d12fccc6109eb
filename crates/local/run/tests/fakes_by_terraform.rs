//! Terraform with the AWS provider manages the resources of the fakes.
//!
//! Needs `terraform` in `PATH` and a provider mirror. `scripts/setup.sh` provides the mirror.
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
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fakes::{batch, codebuild};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use support::{MemoryCloud, call, host};

/// Returns a directory that contains `registry.terraform.io/hashicorp/aws`.
fn mirror() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let target = variable("CARGO_TARGET_DIR").unwrap_or_else(|| root.join("target"));
    let home = variable("HOME").unwrap_or_default();
    match local_run::machine::find_mirror(&root, &target, &home) {
        Ok(mirror) => mirror,
        Err(error) => panic!("these tests need terraform and the AWS provider: {error:#}"),
    }
}

/// A directory with a configuration, and the variables that direct terraform to the fakes.
struct Terraform {
    dir: TempDir,
    env: BTreeMap<&'static str, String>,
}

impl Terraform {
    fn new(config: &str, variable: &'static str, endpoint: String) -> Self {
        let dir = TempDir::new().unwrap();
        let provider = r#"
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  region                      = "eu-central-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  skip_region_validation      = true
}
"#;
        write(dir.path(), "main.tf", &format!("{provider}{config}"));
        let installation = format!(
            "provider_installation {{\n  filesystem_mirror {{ path = {:?} }}\n}}\n",
            mirror()
        );
        write(dir.path(), "cli.tfrc", &installation);
        let here = dir.path().display().to_string();
        let env = BTreeMap::from([
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", here.clone()),
            ("TF_CLI_CONFIG_FILE", format!("{here}/cli.tfrc")),
            ("TF_IN_AUTOMATION", "1".to_owned()),
            ("CHECKPOINT_DISABLE", "1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            (variable, endpoint),
        ]);
        Self { dir, env }
    }

    async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = Command::new("terraform")
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(&self.env)
            .output()
            .await
            .expect("terraform is in PATH");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    async fn ok(&self, args: &[&str]) {
        let (code, text) = self.run(args).await;
        assert_eq!(code, Some(0), "terraform {args:?}:\n{text}");
    }

    /// Applies with two values of the variable, one after the other, and destroys.
    async fn live(&self) {
        self.init().await;
        self.apply("1").await;
        self.apply("2").await;
        self.destroy().await;
    }

    async fn init(&self) {
        self.ok(&["init", "-no-color", "-input=false"]).await;
    }

    /// Applies, and checks that a second plan has no changes.
    async fn apply(&self, value: &str) {
        let var = format!("-var=size={value}");
        self.ok(&["apply", "-no-color", "-auto-approve", &var])
            .await;
        let plan = self
            .run(&["plan", "-no-color", "-detailed-exitcode", &var])
            .await;
        assert_eq!(
            plan.0,
            Some(0),
            "a second plan wants to change something:\n{}",
            plan.1
        );
    }

    async fn destroy(&self) {
        self.ok(&["destroy", "-no-color", "-auto-approve", "-var=size=1"])
            .await;
    }
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

const BATCH: &str = r#"
variable "size" { type = number }
resource "aws_batch_compute_environment" "c" {
  for_each                 = toset(["FARGATE", "FARGATE_SPOT"])
  compute_environment_name = "c-${each.key}"
  type                     = "MANAGED"
  service_role             = "arn:aws:iam::123456789012:role/batch"
  compute_resources {
    type               = each.key
    max_vcpus          = var.size
    subnets            = ["subnet-1", "subnet-2"]
    security_group_ids = ["sg-1"]
  }
  tags = { size = var.size }
}
resource "aws_batch_job_definition" "d" {
  name                  = "d"
  type                  = "container"
  platform_capabilities = ["FARGATE"]
  propagate_tags        = true
  retry_strategy {
    attempts = var.size
    evaluate_on_exit {
      action       = "RETRY"
      on_exit_code = "143"
    }
    evaluate_on_exit {
      action    = "EXIT"
      on_reason = "*"
    }
  }
  timeout { attempt_duration_seconds = 600 }
  parameters = { verb = "plan" }
  container_properties = jsonencode({
    image                      = "registry/runner:1"
    command                    = ["Ref::verb"]
    executionRoleArn           = "arn:aws:iam::123456789012:role/x"
    jobRoleArn                 = "arn:aws:iam::123456789012:role/y"
    readonlyRootFilesystem     = true
    fargatePlatformConfiguration = { platformVersion = "LATEST" }
    networkConfiguration       = { assignPublicIp = "DISABLED" }
    runtimePlatform            = { cpuArchitecture = "ARM64", operatingSystemFamily = "LINUX" }
    ephemeralStorage           = { sizeInGiB = 21 }
    environment                = [{ name = "B", value = "2" }, { name = "A", value = "1" }]
    resourceRequirements       = [
      { type = "VCPU", value = "1" },
      { type = "MEMORY", value = "2048" },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options   = { "awslogs-group" = "/sluicegate/runner", "awslogs-region" = "eu-central-1" }
    }
  })
  tags = { size = var.size }
}
"#;

const QUEUE: &str = r#"
variable "size" { type = number }
resource "aws_batch_job_queue" "q" {
  name     = "NAME"
  state    = "ENABLED"
  priority = var.size
  compute_environment_order {
    order               = 1
    compute_environment = "arn:aws:batch:eu-central-1:123456789012:compute-environment/one"
  }
  compute_environment_order {
    order               = 2
    compute_environment = "arn:aws:batch:eu-central-1:123456789012:compute-environment/two"
  }
  tags = { size = var.size }
}
"#;

const CODEBUILD: &str = r#"
variable "size" { type = number }
resource "aws_codebuild_project" "p" {
  name                   = "images"
  description            = "size ${var.size}"
  service_role           = "arn:aws:iam::123456789012:role/x"
  build_timeout          = 10 * var.size
  queued_timeout         = 30
  concurrent_build_limit = var.size
  source {
    type      = "NO_SOURCE"
    buildspec = "version: 0.2\nphases:\n  build:\n    commands: [\"true\"]\n"
  }
  artifacts { type = "NO_ARTIFACTS" }
  environment {
    type            = "LINUX_CONTAINER"
    image           = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
    compute_type    = "BUILD_GENERAL1_SMALL"
    privileged_mode = true
    environment_variable {
      name  = "SIZE"
      value = var.size
    }
  }
  logs_config {
    cloudwatch_logs {
      status     = "ENABLED"
      group_name = "/aws/codebuild/images"
    }
  }
  tags = { size = var.size }
}
resource "aws_codebuild_project" "least" {
  name         = "least"
  service_role = "arn:aws:iam::123456789012:role/x"
  source {
    type      = "NO_SOURCE"
    buildspec = "version: 0.2\nphases: {}\n"
  }
  artifacts { type = "NO_ARTIFACTS" }
  environment {
    type         = "LINUX_CONTAINER"
    image        = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
    compute_type = "BUILD_GENERAL1_SMALL"
  }
}
"#;

async fn start_batch(scratch: &Path) -> batch::Handle {
    let (host, timing) = (host(scratch), batch::Timing::default());
    let config = batch::Config {
        host,
        images: Vec::new(),
        timing,
    };
    let cloud = Arc::new(MemoryCloud::default());
    batch::start(0, config, cloud).await.unwrap()
}

#[tokio::test]
async fn terraform_manages_batch() {
    let scratch = TempDir::new().unwrap();
    let batch = start_batch(scratch.path()).await;
    let terraform = Terraform::new(BATCH, "AWS_ENDPOINT_URL_BATCH", batch.url());
    terraform.live().await;
    for kind in ["jobdefinition", "computeenvironment"] {
        let path = format!("{}/v1/describe{kind}s", batch.url());
        let (_, left) = call("POST", path, vec![], Some(json!({ "status": "ACTIVE" }))).await;
        let left = left.as_object().unwrap().values().next().unwrap();
        assert_eq!(left, &json!([]), "{kind}");
    }
    batch.shutdown().await;
}

/// Three queues run concurrently, because the provider waits half a minute after each change of a queue.
#[tokio::test]
async fn terraform_manages_batch_queues() {
    let scratch = TempDir::new().unwrap();
    let batch = start_batch(scratch.path()).await;
    let post = async |operation: &str, body: Value| {
        let path = format!("{}/v1/{operation}", batch.url());
        let (status, answer) = call("POST", path, vec![], Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    for name in ["one", "two"] {
        let resources = json!({
            "type": "FARGATE", "maxvCpus": 1, "subnets": ["s"], "securityGroupIds": ["g"],
        });
        let environment = json!({
            "computeEnvironmentName": name, "type": "MANAGED", "computeResources": resources,
        });
        post("createcomputeenvironment", environment).await;
    }
    for name in ["changed", "removed"] {
        let order = json!([
            { "order": 1, "computeEnvironment": "one" },
            { "order": 2, "computeEnvironment": "two" },
        ]);
        let queue = json!({
            "jobQueueName": name, "priority": 1, "computeEnvironmentOrder": order,
            "tags": { "size": "1" },
        });
        post("createjobqueue", queue).await;
    }
    let manage = async |name: &str| {
        let endpoint = batch.url();
        let config = QUEUE.replace("NAME", name);
        let terraform = Terraform::new(&config, "AWS_ENDPOINT_URL_BATCH", endpoint);
        terraform.init().await;
        if name != "made" {
            let arn = format!("arn:aws:batch:eu-central-1:123456789012:job-queue/{name}");
            let import = [
                "import",
                "-no-color",
                "-var=size=1",
                "aws_batch_job_queue.q",
                &arn,
            ];
            terraform.ok(&import).await;
        }
        terraform
    };
    tokio::join!(
        async { manage("made").await.apply("1").await },
        async { manage("changed").await.apply("2").await },
        async { manage("removed").await.destroy().await },
    );
    let left = post("describejobqueues", json!({})).await;
    let name_and_priority =
        |queue: &Value| (queue["jobQueueName"].clone(), queue["priority"].clone());
    let left: Vec<_> = left["jobQueues"]
        .as_array()
        .unwrap()
        .iter()
        .map(name_and_priority)
        .collect();
    assert_eq!(
        left,
        [(json!("changed"), json!(2)), (json!("made"), json!(1))]
    );
    batch.shutdown().await;
}

#[tokio::test]
async fn terraform_manages_codebuild() {
    let scratch = TempDir::new().unwrap();
    let config = codebuild::Config {
        host: host(scratch.path()),
        tools: None,
        images: Vec::new(),
        env: BTreeMap::new(),
        timing: codebuild::Timing::default(),
    };
    let cloud = Arc::new(MemoryCloud::default());
    let codebuild = codebuild::start(0, config, cloud).await.unwrap();
    let endpoint = codebuild.url();
    let terraform = Terraform::new(CODEBUILD, "AWS_ENDPOINT_URL_CODEBUILD", endpoint.clone());
    terraform.live().await;
    let list = (
        "x-amz-target".to_owned(),
        "CodeBuild_20161006.ListProjects".to_owned(),
    );
    let (_, left) = call("POST", endpoint, vec![list], None).await;
    assert_eq!(left, json!({ "projects": [] }));
    codebuild.shutdown().await;
}
