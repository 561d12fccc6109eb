//! Tests the driver with the real Terraform and its built-in resources. Without Terraform on the
//! PATH, each test prints why it is skipped.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and looks for terraform on the PATH"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::plan::{Action, OutputsChange};
use terraform_cli::{
    CancelHandle, Environment, Error, InitOptions, PlanOptions, Terraform, cli_config,
    state_version,
};

const TWO: &str = r#"
variable "word" {
  type      = string
  sensitive = true
}

resource "terraform_data" "one" {
  input = "x"
}

output "word" {
  value     = var.word
  sensitive = true
}

output "one" {
  value = terraform_data.one.output
}
"#;

struct Stack {
    dir: tempfile::TempDir,
    terraform: Terraform,
}

impl Stack {
    /// Returns `None`, and prints the reason, if the machine has no Terraform.
    fn new(main: &str) -> Option<Self> {
        let Some(binary) = on_path("terraform") else {
            eprintln!("skipped: no terraform on the PATH");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let stack = dir.path().join("stack");
        std::fs::create_dir(&stack).unwrap();
        std::fs::write(stack.join("main.tf"), main.trim_start()).unwrap();
        let rc = dir.path().join("terraform.rc");
        std::fs::write(&rc, cli_config(None).unwrap()).unwrap();
        let ambient = std::env::vars().filter(|(key, _)| key == "PATH");
        let environment = Environment::scrubbed(ambient, dir.path(), &rc);
        let terraform = Terraform::new(binary, stack, environment);
        Some(Self { dir, terraform })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn plan(&self, file: &str) -> PlanOptions {
        let vars = self.path("vars.tfvars.json");
        std::fs::write(&vars, r#"{"word":"canary"}"#).unwrap();
        PlanOptions {
            out: self.path(file),
            var_files: vec![vars],
            destroy: false,
        }
    }

    async fn init(&self) {
        self.terraform.version().await.unwrap();
        let options = InitOptions {
            backend: true,
            ..InitOptions::default()
        };
        self.terraform.init(&options).await.unwrap();
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

#[tokio::test]
async fn plan_apply_and_a_second_plan_without_changes() {
    let Some(stack) = Stack::new(TWO) else { return };
    stack.init().await;
    assert!(stack.terraform.fmt_check().await.unwrap().is_empty());
    stack.terraform.validate().await.unwrap();

    let first = stack.plan("first.tfplan");
    let report = stack.terraform.plan(&first).await.unwrap();
    assert!(report.has_changes);
    assert_eq!(report.transcript.counts.unwrap().add, 1);
    assert!(report.transcript.outputs["word"]);
    assert!(domain::plan_file::is_content(
        &std::fs::read(&first.out).unwrap()
    ));
    let (json, shown) = stack.terraform.show(&first.out).await.unwrap();
    assert!(String::from_utf8(json).unwrap().contains("canary"));
    assert_eq!(shown.summary.count(Action::Create), 1);
    assert_eq!(shown.summary.outputs_change, OutputsChange::Some);
    let version = state_version(&first.out).unwrap();
    assert_eq!((version.serial, version.lineage.as_str()), (0, ""));

    let applied = stack.terraform.apply(&first.out, None).await.unwrap();
    applied.end.unwrap();
    assert_eq!(
        applied.transcript.completed[0].address,
        "terraform_data.one"
    );
    let outputs = stack.terraform.output().await.unwrap();
    assert_eq!(outputs["word"].value.json(), "\"canary\"");
    assert!(!format!("{outputs:?}").contains("canary"));

    let second = stack.plan("second.tfplan");
    assert!(!stack.terraform.plan(&second).await.unwrap().has_changes);
    let (_, shown) = stack.terraform.show(&second.out).await.unwrap();
    assert!(shown.summary.is_empty());
    assert_eq!(shown.prior_outputs["one"].value.json(), "\"x\"");
    let version = state_version(&second.out).unwrap();
    assert!(version.serial > 0 && !version.lineage.is_empty());

    let again = stack.terraform.apply(&first.out, None).await.unwrap();
    assert!(
        matches!(again.end, Err(Error::StalePlan { .. })),
        "{:?}",
        again.end
    );

    let destroy = PlanOptions {
        destroy: true,
        ..stack.plan("destroy.tfplan")
    };
    assert!(stack.terraform.plan(&destroy).await.unwrap().has_changes);
    let (_, shown) = stack.terraform.show(&destroy.out).await.unwrap();
    assert_eq!(shown.summary.count(Action::Delete), 1);
}

#[tokio::test]
async fn a_mistake_is_reported_with_file_and_line() {
    let Some(stack) = Stack::new("resource \"terraform_data\" \"x\" { nope = 1 }\n") else {
        return;
    };
    stack.init().await;
    let error = stack.terraform.validate().await.unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.starts_with("terraform validate failed: main.tf:1:33: Unsupported argument"),
        "{shown}"
    );
    let error = stack.terraform.plan(&stack.plan("p")).await.unwrap_err();
    assert!(error.to_string().contains("main.tf:1:33"), "{error}");
}

#[tokio::test]
async fn unformatted_files_are_listed() {
    let Some(stack) = Stack::new("locals {\n    a=1\n}\n") else {
        return;
    };
    assert_eq!(stack.terraform.fmt_check().await.unwrap(), ["main.tf"]);
}

#[tokio::test]
async fn without_a_mirror_no_provider_is_installed_and_a_planted_one_is_not_run() {
    let Some(stack) = Stack::new(
        "terraform {\n  required_providers {\n    evil = { source = \"example.com/x/evil\" }\n  }\n}\n",
    ) else {
        return;
    };
    let marker = stack.path("marker");
    let planted = stack.path("stack/terraform.d/plugins/example.com/x/evil/1.0.0/linux_amd64");
    std::fs::create_dir_all(&planted).unwrap();
    let binary = planted.join("terraform-provider-evil");
    std::fs::write(&binary, format!("#!/bin/sh\ntouch {}\n", marker.display())).unwrap();
    make_executable(&binary);
    let error = stack
        .terraform
        .init(&InitOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("example.com/x/evil"), "{error}");
    assert!(stack.terraform.validate().await.is_err());
    assert!(!marker.exists(), "the planted provider ran");
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn an_apply_keeps_others_out_and_a_stop_leaves_no_lock_and_a_tainted_resource() {
    let Some(stack) = Stack::new(
        r#"
resource "terraform_data" "quick" {}

resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {
    command = "sleep 60"
  }
}
"#,
    ) else {
        return;
    };
    stack.init().await;
    let plan = PlanOptions {
        out: stack.path("p"),
        ..PlanOptions::default()
    };
    stack.terraform.plan(&plan).await.unwrap();

    let (handle, cancel) = CancelHandle::new();
    let (sender, mut slow) = tokio::sync::mpsc::unbounded_channel();
    let terraform = stack
        .terraform
        .clone()
        .cancelled_by(cancel, Duration::from_secs(25))
        .on_line(move |line| {
            if line.text.contains("provision_start") {
                let _sent = sender.send(());
            }
        });
    let other = stack.terraform.clone();
    let second = PlanOptions {
        out: stack.path("p2"),
        ..PlanOptions::default()
    };
    let (report, (planned, concurrent)) = tokio::join!(terraform.apply(&plan.out, None), async {
        slow.recv().await;
        let planned = other.plan(&second).await;
        let concurrent = other.apply(&second.out, None).await;
        handle.cancel();
        (planned, concurrent)
    });
    assert!(planned.unwrap().has_changes, "a plan needs no lock");
    let concurrent = concurrent.unwrap().end;
    let Err(Error::StateLocked { lock }) = concurrent else {
        panic!("{concurrent:?}")
    };
    assert_eq!(lock.operation, "OperationTypeApply");
    assert!(!lock.id.is_empty() && lock.who.contains('@'));

    let report = report.unwrap();
    let Err(Error::Interrupted(interruption)) = report.end else {
        panic!("{:?}", report.end)
    };
    assert!(interruption.asked && !interruption.killed);
    assert_eq!(
        report.transcript.completed[0].address,
        "terraform_data.quick"
    );
    assert_eq!(report.transcript.errored[0].address, "terraform_data.slow");

    stack.terraform.plan(&second).await.unwrap();
    let (_, shown) = stack.terraform.show(&second.out).await.unwrap();
    assert_eq!(shown.summary.tainted, ["terraform_data.slow"]);
}

#[tokio::test]
async fn a_file_that_is_not_a_plan_has_no_state_version() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p");
    std::fs::write(&file, "no zip").unwrap();
    assert!(matches!(
        state_version(&file),
        Err(Error::Unreadable { .. })
    ));
    assert!(matches!(
        state_version(&dir.path().join("none")),
        Err(Error::Io { .. })
    ));
}
