//! The real terraform and the real AWS provider manage the stand-ins' resources.
//!
//! Needs `terraform` in `PATH` and a provider mirror: a directory with
//! `registry.terraform.io/hashicorp/aws` under one of the usual places.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and reads where its tools are"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use local::standin::MemoryCloud;
use local::standin::batch;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use support::{call, host, listener, url};

/// A directory that holds `registry.terraform.io/hashicorp/aws`.
fn mirror() -> PathBuf {
    let home = PathBuf::from(std::env::var("HOME").unwrap_or_default());
    let roots = [
        PathBuf::from("/usr/share"),
        "/usr/local/share".into(),
        "/opt".into(),
        home,
    ];
    let mut places = Vec::new();
    for root in roots {
        for name in [".terraform.d/plugins", ".terraform.d/plugin-cache"] {
            places.push(root.join(name));
        }
        let inside = std::fs::read_dir(&root).into_iter().flatten().flatten();
        places.extend(inside.map(|entry| entry.path()));
        places.push(root);
    }
    let holds = |place: &PathBuf| place.join("registry.terraform.io/hashicorp/aws").is_dir();
    places.into_iter().find(holds).expect(
        "no provider mirror found; make one with `terraform providers mirror ~/.terraform.d/plugins`",
    )
}

/// A directory with a configuration, and the variables that point terraform at the stand-ins.
struct Terraform {
    dir: TempDir,
    env: BTreeMap<&'static str, String>,
}

impl Terraform {
    fn new(config: &str) -> Self {
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

    /// Applies, checks that a second plan has nothing to do, applies the variable's other value,
    /// checks again, destroys.
    async fn live(&self) {
        self.ok(&["init", "-no-color", "-input=false"]).await;
        for value in ["1", "2"] {
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
        self.ok(&["destroy", "-no-color", "-auto-approve", "-var=size=2"])
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
resource "aws_batch_job_queue" "q" {
  name     = "q"
  state    = "ENABLED"
  priority = var.size
  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.c["FARGATE_SPOT"].arn
  }
  compute_environment_order {
    order               = 2
    compute_environment = aws_batch_compute_environment.c["FARGATE"].arn
  }
  tags = { size = var.size }
}
resource "aws_batch_job_definition" "d" {
  name                  = "d"
  type                  = "container"
  platform_capabilities = ["FARGATE"]
  propagate_tags        = true
  retry_strategy { attempts = var.size }
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

#[tokio::test]
async fn terraform_manages_batch() {
    let scratch = TempDir::new().unwrap();
    let config = batch::Config {
        host: host(scratch.path()),
        images: Vec::new(),
        timing: batch::Timing::default(),
    };
    let cloud = Arc::new(MemoryCloud::default());
    let batch = batch::start(listener().await, config, cloud).unwrap();
    let mut terraform = Terraform::new(BATCH);
    terraform
        .env
        .insert("AWS_ENDPOINT_URL_BATCH", url(batch.address(), ""));
    terraform.live().await;
    let left = url(batch.address(), "/v1/describejobdefinitions");
    let (_, left) = call("POST", left, vec![], Some(json!({ "status": "ACTIVE" }))).await;
    assert_eq!(left, json!({ "jobDefinitions": [] }));
    batch.shutdown().await;
}
