//! Jobs whose shared provider ends before the first command. With a scripted Terraform and a scripted
//! provider.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod common;

use common::{Bench, CONFIG, LOCK, MAIN, failure, lock_of, platform};
use domain::config::CONFIG_FILE;
use domain::error::ErrorName;
use domain::job::{JobOutcome, Verb};

/// What the scripted Terraform shows.
const SHOWN: &str = r#"{"format_version":"1.2","terraform_version":"1.11.4"}"#;
/// Sends the handshake and ends when the file `end` exists.
const PROVIDER: &str = r#"echo "1|5|unix|$TMPDIR/plugin1|grpc|"
echo $$ > TEMP/pid.new
mv TEMP/pid.new TEMP/pid
while [ ! -e TEMP/end ]; do sleep 0.01; done"#;
/// Writes a line to `calls` for each command. `init` returns when the provider has ended, and fails from
/// the second time on if the file `refuse` exists.
const TERRAFORM: &str = r#"echo "$1" >> $TEMP/calls
case "$1" in
version) echo '{"terraform_version":"1.11.4","platform":"PLATFORM"}' ;;
init)
  if [ -e $TEMP/end ] && [ -e $TEMP/refuse ]; then exit 1; fi
  installed=.terraform/providers/registry.terraform.io/hashicorp/aws/5.100.0
  mkdir -p $installed
  ln -sfn $TEMP/mirror/registry.terraform.io/hashicorp/aws/5.100.0/PLATFORM $installed/PLATFORM
  echo '{"backend":{"type":"local","config":{"path":"'$TEMP'/app.tfstate"}}}' > .terraform/terraform.tfstate
  while [ ! -e $TEMP/pid ]; do sleep 0.01; done
  touch $TEMP/end
  while kill -0 "$(cat $TEMP/pid)" 2>/dev/null; do sleep 0.01; done ;;
show) echo 'SHOWN' ;;
output) echo '{}' ;;
esac"#;

/// Runs an apply job of a stack with this version constraint. Returns its outcome and the commands.
async fn apply(bench: &mut Bench, constraint: &str) -> (JobOutcome, String) {
    let temp = bench.temp.path().to_str().unwrap().to_owned();
    let package = bench.plant(&PROVIDER.replace("TEMP", &temp));
    let lock = lock_of(&package);
    let main = format!(
        "terraform {{\n  required_providers {{\n    aws = {{\n      source  = \"hashicorp/aws\"\n      version = \"{constraint}\"\n    }}\n  }}\n}}\n"
    );
    let files = [(CONFIG_FILE, CONFIG), (LOCK, &*lock), (MAIN, &*main)];
    let mut spec = bench.spec(Verb::Apply, &files);
    spec.plan = Some(bench.plan(SHOWN));
    let outcome = bench.end_of(&spec).await;
    let ended = "each command starts the AWS provider: the one that was started has ended";
    let text = bench.printed.text();
    assert_eq!(text.matches(ended).count(), 1, "{text}");
    let calls = std::fs::read_to_string(bench.temp.path().join("calls")).unwrap();
    (outcome, calls.replace('\n', " ").trim().to_owned())
}

fn bench() -> Bench {
    let script = TERRAFORM.replace("PLATFORM", &platform());
    Bench::scripted(&script.replace("SHOWN", SHOWN))
}

#[tokio::test]
async fn init_installs_the_provider_once_for_all_later_commands() {
    let mut bench = bench();
    let (outcome, calls) = apply(&mut bench, "5.100.0").await;
    assert!(matches!(outcome, JobOutcome::Applied { .. }), "{outcome:?}");
    assert_eq!(calls, "version init init show apply output");
}

#[tokio::test]
async fn a_provider_that_init_has_installed_is_not_installed_again() {
    let mut bench = bench();
    // The runner leaves a constraint of one number to `init`.
    let (outcome, calls) = apply(&mut bench, "~> 5").await;
    assert!(matches!(outcome, JobOutcome::Applied { .. }), "{outcome:?}");
    assert_eq!(calls, "version init show apply output");
}

#[tokio::test]
async fn a_second_init_that_fails_in_an_apply_job_is_a_failed_apply() {
    let mut bench = bench();
    std::fs::write(bench.temp.path().join("refuse"), "").unwrap();
    let (outcome, calls) = apply(&mut bench, "5.100.0").await;
    assert_eq!(failure(&outcome).0, ErrorName::ApplyFailed, "{outcome:?}");
    assert_eq!(calls, "version init init");
}
