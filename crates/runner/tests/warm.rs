//! Jobs that start the AWS provider once, and jobs that must not. With the real Terraform, and with
//! the real provider if the machine has a provider mirror.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod common;

use std::path::{Path, PathBuf};

use common::{Bench, CONFIG, LOCK, MAIN, failure, lock_of, sealed};
use domain::config::CONFIG_FILE;
use domain::error::ErrorName;
use domain::job::{JobOutcome, Undo, Verb};
use domain::plan::{Extent, PlanKind};
use terraform_cli::CancelHandle;

/// The lock file of a sample, which pins the AWS provider.
const PINNED: &str = include_str!("../../../examples/shop/infra/data/.terraform.lock.hcl");
const STACK: &str = r#"terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region                      = "eu-central-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}

data "aws_iam_policy_document" "x" {
  statement {
    actions   = ["s3:*"]
    resources = ["*"]
  }
}

resource "terraform_data" "x" {
  input = data.aws_iam_policy_document.x.json
}
"#;
const ALIAS: &str = r#"
provider "aws" {
  alias                       = "other"
  region                      = "eu-west-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}
"#;
const SLOW: &str = r#"
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "sleep 60"
  }
}
"#;

fn repository(main: &str) -> Vec<(&str, &str)> {
    vec![(CONFIG_FILE, CONFIG), (LOCK, PINNED), (MAIN, main)]
}

/// Returns the processes that work below a directory.
fn processes_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let works_there = |process: &PathBuf| {
        std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
    };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(works_there)
        .collect()
}

fn assert_nothing_is_left(bench: &Bench) {
    let dir = bench.temp.path().canonicalize().unwrap();
    assert_eq!(processes_in(&dir), Vec::<PathBuf>::new());
}

/// Returns the number of jobs that started the provider for all commands.
fn started(bench: &Bench) -> usize {
    let line = "the AWS provider 5.100.0 runs for all commands";
    bench.printed.text().matches(line).count()
}

#[tokio::test]
async fn plan_and_apply_start_the_provider_once_each_and_leave_none() {
    let Some(bench) = Bench::with_providers() else {
        return;
    };
    let files = repository(STACK);
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    assert_nothing_is_left(&bench);
    assert_eq!(started(&bench), 1);

    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&planned));
    let applied = bench.end_of(&apply).await;
    assert!(matches!(applied, JobOutcome::Applied { .. }), "{applied:?}");
    assert_nothing_is_left(&bench);
    assert_eq!(started(&bench), 2);
    let installed = "Installing provider version: hashicorp/aws";
    assert_eq!(bench.printed.text().matches(installed).count(), 0);

    let mut destroy = bench.spec(Verb::Plan, &files);
    destroy.plan_kind = PlanKind::Destroy;
    let planned = bench.end_of(&destroy).await;
    assert!(matches!(planned, JobOutcome::Planned { .. }), "{planned:?}");
    assert_eq!(started(&bench), 2);
    let why = "each command starts the AWS provider: a destroy configures it more than once";
    assert!(bench.printed.text().contains(why));
    assert_eq!(bench.printed.text().matches(installed).count(), 1);
}

#[tokio::test]
async fn a_rollback_reads_the_state_with_the_provider_that_runs() {
    let Some(bench) = Bench::with_providers() else {
        return;
    };
    let files = repository(STACK);
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&planned));
    let applied = bench.end_of(&apply).await;
    assert!(matches!(applied, JobOutcome::Applied { .. }), "{applied:?}");

    let mut back = bench.spec(Verb::Plan, &files);
    back.undo = Some(Undo {
        applied: sealed(&planned),
        extent: Extent::Unknown,
        source: back.source.clone(),
        dir: back.dir.clone(),
    });
    let planned = bench.end_of(&back).await;
    assert!(matches!(planned, JobOutcome::Planned { .. }), "{planned:?}");
    assert_eq!(started(&bench), 3);
}

#[tokio::test]
async fn a_lock_file_that_does_not_fit_the_required_version_is_refused_by_init() {
    let Some(bench) = Bench::with_providers() else {
        return;
    };
    let main = STACK.replace("5.100.0", "~> 6.0");
    let outcome = bench
        .end_of(&bench.spec(Verb::Plan, &repository(&main)))
        .await;
    let (name, message) = failure(&outcome);
    assert_eq!(name, ErrorName::PlanFailed);
    assert!(
        message.contains("does not match configured version constraint"),
        "{message}"
    );
}

#[tokio::test]
async fn a_stack_with_an_alias_is_planned_in_the_ordinary_way() {
    let Some(bench) = Bench::with_providers() else {
        return;
    };
    let main = format!("{STACK}{ALIAS}");
    let outcome = bench
        .end_of(&bench.spec(Verb::Plan, &repository(&main)))
        .await;
    assert!(matches!(outcome, JobOutcome::Planned { .. }), "{outcome:?}");
    let text = bench.printed.text();
    assert!(
        text.contains("each command starts the AWS provider: the stack may configure it more than once: main.tf: provider \\\"aws\\\" has an alias"),
        "{text}"
    );
}

#[tokio::test]
async fn a_configuration_in_a_module_is_found_after_init() {
    let Some(bench) = Bench::with_providers() else {
        return;
    };
    let main = STACK.replace(
        "provider \"aws\" {",
        "module \"m\" {\n  source = \"../m\"\n}\n\nprovider \"aws\" {",
    );
    let nested = "provider \"aws\" {\n  region = \"eu-west-1\"\n}\n";
    let mut files = repository(&main);
    files.push(("infra/m/main.tf", nested));
    let outcome = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    assert!(matches!(outcome, JobOutcome::Planned { .. }), "{outcome:?}");
    assert_nothing_is_left(&bench);
    let text = bench.printed.text();
    assert!(
        text.contains("../m/main.tf: a module configures provider \\\"aws\\\""),
        "{text}"
    );

    // An apply job finds it after an `init` that has not installed the provider.
    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&outcome));
    let applied = bench.end_of(&apply).await;
    assert!(matches!(applied, JobOutcome::Applied { .. }), "{applied:?}");
    assert_nothing_is_left(&bench);
}

#[tokio::test]
async fn another_version_that_a_module_requires_is_refused_by_a_second_init() {
    let Some(bench) = Bench::with_providers() else {
        return;
    };
    let main = format!("{STACK}\nmodule \"m\" {{\n  source = \"../m\"\n}}\n");
    let nested = "terraform {\n  required_providers {\n    aws = {\n      source  = \"hashicorp/aws\"\n      version = \"~> 6.0\"\n    }\n  }\n}\n";
    let mut files = repository(&main);
    files.push(("infra/m/main.tf", nested));
    let outcome = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let (name, message) = failure(&outcome);
    assert_eq!(name, ErrorName::PlanFailed);
    assert!(
        message.contains("does not match configured version constraint"),
        "{message}"
    );
    let text = bench.printed.text();
    let why =
        "each command starts the AWS provider: a module may require another version than 5.100.0";
    assert!(text.contains(why), "{text}");
    assert_nothing_is_left(&bench);
}

#[tokio::test]
async fn a_stop_in_the_middle_of_an_apply_leaves_no_provider() {
    let Some(bench) = Bench::with_providers() else {
        return;
    };
    let main = format!("{STACK}{SLOW}");
    let files = repository(&main);
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&planned));
    let request = bench.seal(&apply);
    let (handle, cancel) = CancelHandle::new();
    let (ended, ()) = tokio::join!(bench.run_until(&request, cancel), async {
        bench.printed.wait_for("provision_start").await;
        handle.cancel();
    });
    ended.unwrap();
    assert_eq!(started(&bench), 2, "one by the plan, one by the apply");
    assert_eq!(
        failure(&bench.stored(&request).outcome).0,
        ErrorName::Interrupted
    );
    assert_nothing_is_left(&bench);
}

#[tokio::test]
async fn a_tampered_provider_is_not_started_and_terraform_refuses_it() {
    let Some(mut bench) = Bench::real() else {
        return;
    };
    bench.plant("exec sleep 600");
    let outcome = bench
        .end_of(&bench.spec(Verb::Plan, &repository(STACK)))
        .await;
    let (name, message) = failure(&outcome);
    assert_eq!(name, ErrorName::PlanFailed);
    assert!(message.contains("checksums"), "{message}");
    assert!(
        !bench.temp.path().join("marker").exists(),
        "the provider ran"
    );
}

#[tokio::test]
async fn a_job_that_is_out_of_time_while_the_provider_starts_leaves_none() {
    let Some(mut bench) = Bench::real() else {
        return;
    };
    let package = bench.plant("exec sleep 600");
    let lock = lock_of(&package);
    let mut job = bench.spec(
        Verb::Plan,
        &[(CONFIG_FILE, CONFIG), (LOCK, lock.as_str()), (MAIN, STACK)],
    );
    job.timeout_seconds = 3;
    let outcome = bench.end_of(&job).await;
    assert_eq!(failure(&outcome).0, ErrorName::Interrupted);
    assert!(bench.temp.path().join("marker").exists(), "it was started");
    assert_nothing_is_left(&bench);
}

#[tokio::test]
async fn a_provider_without_a_handshake_is_left_to_terraform() {
    let Some(mut bench) = Bench::real() else {
        return;
    };
    let package = bench.plant("echo hello");
    let lock = lock_of(&package);
    let files = [(CONFIG_FILE, CONFIG), (LOCK, lock.as_str()), (MAIN, STACK)];
    let outcome = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    assert_eq!(failure(&outcome).0, ErrorName::PlanFailed);
    let text = bench.printed.text();
    assert!(
        text.contains("each command starts the AWS provider: its handshake has not six parts"),
        "{text}"
    );
    assert!(text.contains("Failed to load plugin schemas"), "{text}");
    assert_nothing_is_left(&bench);
}
