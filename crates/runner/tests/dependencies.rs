//! Modules from outside the repository, with the real Terraform and a git repository: they are fetched
//! once, by the plan job.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{Bench, CONFIG, LOCK, MAIN, failure, repository, sealed};
use domain::config::CONFIG_FILE;
use domain::error::ErrorName;
use domain::job::{JobOutcome, Undo, Verb};
use domain::keys::JobFile;
use domain::plan::{Extent, ObjectRef, SideEffects};

/// The module is in a folder of its repository and uses another one. It reads a file when it is
/// applied: a plan holds the code of modules, but not their files.
const MODULE: &str = r#"module "name" {
  source = "../name"
}

resource "terraform_data" "this" {
  input = module.name.name
  provisioner "local-exec" {
    command = "cat ${path.module}/text"
  }
}

output "name" {
  value = terraform_data.this.output
}
"#;

/// A stack with a module from a git repository, and the repository.
struct Story {
    bench: Bench,
    module: PathBuf,
}

impl Story {
    fn new() -> Option<Self> {
        let bench = Bench::real()?;
        let module = bench.temp.path().join("net");
        let story = Self { bench, module };
        std::fs::create_dir(&story.module).unwrap();
        story.git(&["init", "--quiet"]);
        story.publish("first");
        Some(story)
    }

    fn git(&self, args: &[&str]) {
        let status = Command::new("git")
            .args(["-c", "user.name=mona", "-c", "user.email=mona@example.com"])
            .args(args)
            .current_dir(&self.module)
            .status()
            .unwrap();
        assert!(status.success(), "{args:?}");
    }

    /// Changes the module.
    fn publish(&self, name: &str) {
        let output = format!("output \"name\" {{\n  value = \"{name}\"\n}}\n");
        for (path, text) in [
            ("modules/net/main.tf", MODULE),
            (
                "modules/net/text",
                &format!("the text of the {name} module\n"),
            ),
            ("modules/name/main.tf", &output),
        ] {
            let file = self.module.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", name]);
    }

    fn take_away(&self) {
        std::fs::remove_dir_all(&self.module).unwrap();
    }

    /// Returns the stack's code, with more of it.
    fn main(&self, more: &str) -> String {
        let path = self.module.display();
        format!(
            "terraform {{\n  backend \"s3\" {{}}\n}}\n\nmodule \"net\" {{\n  source = \"git::file://{path}//modules/net\"\n}}\n\n\
             output \"name\" {{\n  value = module.net.name\n}}\n{more}"
        )
    }

    async fn plan(&self, main: &str) -> JobOutcome {
        let spec = self.bench.spec(Verb::Plan, &repository(main));
        self.bench.end_of(&spec).await
    }

    async fn apply(&self, main: &str, planned: &JobOutcome) -> JobOutcome {
        let mut spec = self.bench.spec(Verb::Apply, &repository(main));
        spec.plan = Some(sealed(planned));
        self.bench.end_of(&spec).await
    }

    /// Returns the output of the module.
    fn name(&self, applied: &JobOutcome) -> String {
        let JobOutcome::Applied { outputs, .. } = applied else {
            panic!("{applied:?}")
        };
        let outputs = self.bench.outputs(outputs);
        outputs.get("name").unwrap().value.text().unwrap()
    }

    /// Plans a commit that fails, applies it, and plans its rollback to `main` with the dependencies
    /// of the last good run.
    async fn plan_back(&self, main: &str, dependencies: Option<ObjectRef>) -> JobOutcome {
        let failing = self.main(
            "\nresource \"terraform_data\" \"fails\" {\n  depends_on = [module.net]\n  provisioner \"local-exec\" {\n    command = \"exit 3\"\n  }\n}\n",
        );
        let planned = self.plan(&failing).await;
        let failed = self.apply(&failing, &planned).await;
        assert_eq!(failure(&failed).0, ErrorName::ApplyFailed);
        let files = repository(&failing);
        let source = self.bench.spec(Verb::Plan, &files).source;
        self.take_away();
        let mut back = self.bench.spec(Verb::Plan, &repository(main));
        back.dependencies = dependencies;
        back.undo = Some(Undo {
            applied: sealed(&planned),
            extent: Extent::Unknown,
            source,
            dir: back.dir.clone(),
        });
        self.bench.end_of(&back).await
    }
}

#[tokio::test]
async fn a_module_that_changes_between_plan_and_apply_is_not_fetched_again() {
    for changes in [Story::take_away, |story: &Story| story.publish("second")] {
        let Some(story) = Story::new() else { return };
        let main = story.main("");
        let planned = story.plan(&main).await;
        assert!(sealed(&planned).dependencies.is_some());
        changes(&story);
        let applied = story.apply(&main, &planned).await;
        assert_eq!(story.name(&applied), "first");
        let printed = story.bench.printed.text();
        assert!(
            printed.contains("the text of the first module"),
            "{printed}"
        );
    }
}

#[tokio::test]
async fn a_plan_uses_the_modules_that_its_validation_sealed() {
    let Some(story) = Story::new() else { return };
    let main = story.main("");
    let spec = story.bench.spec(Verb::Validate, &repository(&main));
    let JobOutcome::Validated { dependencies } = story.bench.end_of(&spec).await else {
        panic!("not valid")
    };
    assert!(dependencies.is_some());
    story.take_away();
    let mut spec = story.bench.spec(Verb::Plan, &repository(&main));
    spec.dependencies.clone_from(&dependencies);
    let planned = story.bench.end_of(&spec).await;
    assert_eq!(sealed(&planned).dependencies, dependencies, "sealed once");
    let applied = story.apply(&main, &planned).await;
    assert_eq!(story.name(&applied), "first");
}

#[tokio::test]
async fn a_rollback_uses_the_modules_that_the_last_good_run_sealed() {
    let Some(story) = Story::new() else { return };
    let main = story.main("");
    let good = story.plan(&main).await;
    let applied = story.apply(&main, &good).await;
    assert_eq!(story.name(&applied), "first");

    story.publish("second");
    let dependencies = sealed(&good).dependencies;
    let back = story.plan_back(&main, dependencies.clone()).await;
    assert_eq!(sealed(&back).dependencies, dependencies, "sealed once");
    let applied = story.apply(&main, &back).await;
    assert_eq!(story.name(&applied), "first");
}

#[tokio::test]
async fn a_rollback_whose_sealed_modules_have_expired_fetches_them() {
    let Some(story) = Story::new() else { return };
    let main = story.main("");
    let good = story.plan(&main).await;
    story.apply(&main, &good).await;
    let expired = sealed(&good).dependencies.unwrap();
    story.bench.objects.remove(&expired.key);
    let back = story.plan_back(&main, Some(expired)).await;
    // The repository is gone too.
    assert_eq!(failure(&back).0, ErrorName::PlanFailed);
    let printed = story.bench.printed.text();
    assert!(printed.contains("have expired: init fetches"), "{printed}");
}

#[tokio::test]
async fn a_sealed_archive_that_was_changed_or_removed_refuses_the_apply() {
    let Some(story) = Story::new() else { return };
    let main = story.main("");
    let planned = story.plan(&main).await;
    let archive = sealed(&planned).dependencies.unwrap();
    story.bench.objects.set(&archive.key, b"other".to_vec());
    let refused = story.apply(&main, &planned).await;
    let (name, text) = failure(&refused);
    assert_eq!(name, ErrorName::PlanTampered);
    assert!(text.contains("the archive of the sealed modules"), "{text}");
    let JobOutcome::Failed { side_effects, .. } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(*side_effects, SideEffects::None);

    story.bench.objects.remove(&archive.key);
    let refused = story.apply(&main, &planned).await;
    assert_eq!(failure(&refused).0, ErrorName::ContractViolation);
}

#[tokio::test]
async fn the_same_modules_have_the_same_archive_and_local_modules_have_none() {
    let Some(story) = Story::new() else { return };
    let main = story.main("");
    let (one, two) = (story.plan(&main).await, story.plan(&main).await);
    let digest = |planned: &JobOutcome| sealed(planned).dependencies.unwrap().sha256;
    assert_eq!(digest(&one), digest(&two));

    let local = "module \"own\" {\n  source = \"./own\"\n}\n";
    let mut files = repository(local);
    files.push(("infra/app/own/main.tf", "locals {}\n"));
    let spec = story.bench.spec(Verb::Plan, &files);
    let request = story.bench.seal(&spec);
    story.bench.run(&request).await.unwrap();
    let result = story.bench.stored(&request);
    assert_eq!(sealed(&result.outcome).dependencies, None);
    assert_eq!(story.bench.peek(&request, JobFile::Dependencies), None);
}

/// The lock file of a sample, which pins the AWS provider.
const PINNED: &str = include_str!("../../../examples/shop/infra/data/.terraform.lock.hcl");

const AWS: &str = r#"terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {
  region                      = "eu-central-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}

data "aws_iam_policy_document" "x" {}

resource "terraform_data" "x" {
  input = data.aws_iam_policy_document.x.json
}
"#;

#[tokio::test]
async fn a_stack_without_a_lock_file_is_planned_warned_of_and_applied_with_the_sealed_one() {
    let Some(bench) = Bench::with_providers() else {
        return;
    };
    for lock in [None, Some("# no provider\n")] {
        let mut files = vec![(CONFIG_FILE, CONFIG), (MAIN, AWS)];
        files.extend(lock.map(|text| (LOCK, text)));
        let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
        let JobOutcome::Planned { warnings, .. } = &planned else {
            panic!("{planned:?}")
        };
        let warning = warnings.first.first().unwrap().to_string();
        assert!(
            warning
                .contains("`terraform providers lock -platform=linux_amd64 -platform=linux_arm64`")
                && warning.ends_with("commit it: hashicorp/aws 5.100.0"),
            "{warning}"
        );
        let mut apply = bench.spec(Verb::Apply, &files);
        apply.plan = Some(sealed(&planned));
        let applied = bench.end_of(&apply).await;
        assert!(matches!(applied, JobOutcome::Applied { .. }), "{applied:?}");
        let printed = bench.printed.text();
        // The sealed lock file has the hash of the package.
        assert!(printed.contains("the AWS provider 5.100.0 runs for all commands"));
        std::fs::remove_file(bench.state_path()).unwrap();
    }
}

#[tokio::test]
async fn a_complete_lock_file_is_not_sealed_again() {
    let Some(bench) = Bench::with_providers() else {
        return;
    };
    let files = [(CONFIG_FILE, CONFIG), (LOCK, PINNED), (MAIN, AWS)];
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    assert_eq!(sealed(&planned).dependencies, None);
    let JobOutcome::Planned { warnings, .. } = &planned else {
        panic!("{planned:?}")
    };
    assert_eq!(warnings.count(), 0);
}
