//! Jobs with the real Terraform and its built-in resources.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod common;

use common::{Bench, failure, repository, sealed};
use domain::error::ErrorName;
use domain::ids::StackName;
use domain::job::{JobOutcome, Verb};
use domain::keys::JobFile;
use domain::plan::{Action, PlanKind, SideEffects};
use runner::job::Ended;
use terraform_cli::CancelHandle;

const SHOP: &str = r#"terraform {
  backend "s3" {}
}

variable "environment" {
  type = string
}

resource "terraform_data" "name" {
  input = var.environment
}

output "name" {
  value = terraform_data.name.output
}
"#;

/// The check fails once the resource exists.
const CHECKED: &str = r#"terraform {
  backend "s3" {}
}

resource "terraform_data" "name" {
  input = "first"
}

check "name" {
  assert {
    condition     = terraform_data.name.output == "second"
    error_message = "The name is ${terraform_data.name.output}, expected second."
  }
}
"#;

const SLOW: &str = r#"resource "terraform_data" "quick" {}

resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {
    command = "sleep 60"
  }
}
"#;

#[tokio::test]
async fn a_check_that_fails_is_a_warning_of_the_apply_and_of_the_next_plan() {
    let Some(bench) = Bench::real() else { return };
    let files = repository(CHECKED);
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let JobOutcome::Planned { warnings, .. } = &planned else {
        panic!("{planned:?}")
    };
    assert_eq!(warnings.count(), 0, "the value is known after the apply");

    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&planned));
    let applied = bench.end_of(&apply).await;
    let JobOutcome::Applied { warnings, .. } = &applied else {
        panic!("{applied:?}")
    };
    assert_eq!((warnings.failed_checks, warnings.others), (1, 0));
    let text = &warnings.first[0].text;
    assert!(text.starts_with("main.tf:"), "{text}");
    assert!(
        text.contains("The name is first, expected second."),
        "{text}"
    );

    let again = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let JobOutcome::Planned { warnings, .. } = &again else {
        panic!("{again:?}")
    };
    assert!(bench.summary(&again).is_empty());
    assert_eq!(warnings.failed_checks, 1);
}

#[tokio::test]
async fn plan_apply_no_changes_stale_and_destroy() {
    let Some(bench) = Bench::real() else { return };
    let files = repository(SHOP);
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let JobOutcome::Planned {
        state,
        outputs,
        json,
        ..
    } = &planned
    else {
        panic!("{planned:?}")
    };
    let summary = bench.summary(&planned);
    assert_eq!(summary.count(Action::Create), 1);
    assert_eq!(summary.changes[0].address, "terraform_data.name");
    assert_eq!((state.serial, state.lineage.as_str()), (0, ""));
    assert!(outputs.is_none());
    assert!(
        bench
            .objects
            .peek(&json.key)
            .unwrap()
            .starts_with(b"{\"format_version\"")
    );
    let other = bench.end_of(&bench.spec(Verb::Plan, &files)).await;

    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&planned));
    let applied = bench.end_of(&apply).await;
    let JobOutcome::Applied { outputs, .. } = &applied else {
        panic!("{applied:?}")
    };
    assert_eq!(
        bench.outputs(outputs)["name"].value.json(),
        "\"production\""
    );

    let second = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let JobOutcome::Planned { state, outputs, .. } = &second else {
        panic!("{second:?}")
    };
    assert!(bench.summary(&second).is_empty() && state.serial > 0);
    let outputs = outputs.as_ref().unwrap();
    assert_eq!(
        bench.outputs(outputs)["name"].value.json(),
        "\"production\""
    );

    let mut stale = bench.spec(Verb::Apply, &files);
    stale.plan = Some(sealed(&other));
    let outcome = bench.end_of(&stale).await;
    let JobOutcome::Failed {
        error,
        side_effects,
        ..
    } = &outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (error.name, *side_effects),
        (ErrorName::StalePlan, SideEffects::None)
    );

    let mut removal = bench.spec(Verb::Plan, &files);
    removal.plan_kind = PlanKind::Destroy;
    let outcome = bench.end_of(&removal).await;
    assert_eq!(bench.summary(&outcome).count(Action::Delete), 1);

    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan_kind = PlanKind::Destroy;
    apply.plan = Some(sealed(&outcome));
    let outcome = bench.end_of(&apply).await;
    let JobOutcome::Applied { outputs, .. } = &outcome else {
        panic!("{outcome:?}")
    };
    assert!(bench.outputs(outputs).is_empty());
}

#[tokio::test]
async fn a_plan_that_was_changed_or_made_from_another_state_is_not_applied() {
    let Some(bench) = Bench::real() else { return };
    let files = repository(SHOP);
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let good = sealed(&planned);

    let mut moved = bench.spec(Verb::Apply, &files);
    let mut other_state = good.clone();
    other_state.state.serial += 1;
    moved.plan = Some(other_state);
    let outcome = bench.end_of(&moved).await;
    assert_eq!(failure(&outcome).0, ErrorName::PlanTampered);
    assert!(
        failure(&outcome).1.contains("state serial 0"),
        "{outcome:?}"
    );

    let mut misjudged = bench.spec(Verb::Apply, &files);
    let mut other_json = good.clone();
    other_json.json.sha256 = domain::ids::Sha256Digest::of(b"another plan");
    misjudged.plan = Some(other_json);
    let outcome = bench.end_of(&misjudged).await;
    assert_eq!(failure(&outcome).0, ErrorName::PlanTampered);
    assert!(
        failure(&outcome).1.contains("does not render as"),
        "{outcome:?}"
    );

    let mut bytes = bench.objects.peek(&good.file.key).unwrap();
    bytes[100] ^= 1;
    bench.objects.set(&good.file.key, bytes);
    let mut tampered = bench.spec(Verb::Apply, &files);
    tampered.plan = Some(good);
    let outcome = bench.end_of(&tampered).await;
    assert_eq!(failure(&outcome).0, ErrorName::PlanTampered);
    assert!(
        failure(&outcome).1.contains("has the digest"),
        "{outcome:?}"
    );
    assert!(!bench.state_path().exists());
}

#[tokio::test]
async fn a_sigterm_in_the_middle_of_an_apply_leaves_a_result_and_no_lock() {
    let Some(bench) = Bench::real() else { return };
    let files = repository(SLOW);
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&planned));
    let request = bench.seal(&apply);
    let (handle, cancel) = CancelHandle::new();
    let (ended, ()) = tokio::join!(bench.run_until(&request, cancel), async {
        bench.printed.wait_for("provision_start").await;
        handle.cancel();
    });
    let Ended::Written(result) = ended.unwrap() else {
        panic!("no result")
    };
    let JobOutcome::Failed {
        error,
        side_effects,
        ..
    } = &result.outcome
    else {
        panic!("{result:?}")
    };
    assert_eq!(
        (error.name, *side_effects),
        (ErrorName::Interrupted, SideEffects::Possible)
    );
    assert!(
        error
            .message
            .contains("done: terraform_data.quick (create)"),
        "{error}"
    );
    assert!(
        error
            .message
            .contains("failed: terraform_data.slow (create)"),
        "{error}"
    );

    let after = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    assert_eq!(
        bench.summary(&after).count(Action::Replace),
        1,
        "the interrupted resource is tainted"
    );
}

#[tokio::test]
async fn a_job_that_is_out_of_time_is_stopped_as_by_sigterm() {
    let Some(bench) = Bench::real() else { return };
    let files = repository(SLOW);
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&planned));
    apply.timeout_seconds = 3;
    let outcome = bench.end_of(&apply).await;
    assert_eq!(failure(&outcome).0, ErrorName::Interrupted);
    assert!(
        failure(&outcome)
            .1
            .starts_with("the job ran longer than its 3 s"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_resource_that_fails_is_named_with_file_and_line() {
    let Some(bench) = Bench::real() else { return };
    let files = repository(
        "resource \"terraform_data\" \"bad\" {\n  provisioner \"local-exec\" {\n    command = \
         \"exit 3\"\n  }\n}\n",
    );
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&planned));
    let outcome = bench.end_of(&apply).await;
    let JobOutcome::Failed {
        error,
        side_effects,
        diagnostics,
    } = &outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (error.name, *side_effects),
        (ErrorName::ApplyFailed, SideEffects::Possible)
    );
    assert!(
        error
            .message
            .contains("failed: terraform_data.bad (create)"),
        "{error}"
    );
    assert!(
        diagnostics[0].starts_with("main.tf:2:28: terraform_data.bad: "),
        "{diagnostics:?}"
    );
}

#[tokio::test]
async fn mistakes_and_unformatted_files_fail_the_plan_and_the_validation() {
    let Some(bench) = Bench::real() else { return };
    let nope = "resource \"terraform_data\" \"x\" { nope = 1 }\n";
    let unformatted = "locals {\n    a=1\n}\n";
    for verb in [Verb::Plan, Verb::Validate] {
        for (code, expected) in [
            (nope, "main.tf:1:33: Unsupported argument"),
            (unformatted, "a file is not formatted"),
        ] {
            let outcome = bench.end_of(&bench.spec(verb, &repository(code))).await;
            let (name, message) = failure(&outcome);
            assert_eq!(name, ErrorName::PlanFailed);
            assert!(message.contains(expected), "{outcome:?}");
        }
    }
    assert!(!bench.state_path().exists());
}

/// A variable whose value comes from a stack that is not applied yet is not needed.
#[tokio::test]
async fn a_valid_configuration_needs_no_values_and_changes_nothing() {
    let Some(bench) = Bench::real() else { return };
    let code = "variable \"data\" {\n  type = object({ table = string })\n}\n\nresource \"terraform_data\" \"x\" {\n  input = var.data.table\n}\n";
    let outcome = bench
        .end_of(&bench.spec(Verb::Validate, &repository(code)))
        .await;
    let valid = JobOutcome::Validated { dependencies: None };
    assert_eq!(outcome, valid);
    assert!(!bench.state_path().exists());
}

#[tokio::test]
async fn outputs_of_a_needed_stack_arrive_and_its_secrets_are_not_printed() {
    let Some(bench) = Bench::real() else { return };
    let files = repository(
        r#"variable "data" {
  type = object({ table = string, password = string })
}

output "table" {
  value = "${var.data.table} ${nonsensitive(var.data.password)}"
}

output "spy" {
  value = file("/proc/self/environ")
}
"#,
    );
    let outputs = br#"{"table":{"sensitive":false,"type":"string","value":"orders"},
        "password":{"sensitive":true,"type":"string","value":"canary-password"}}"#;
    let mut spec = bench.spec(Verb::Plan, &files);
    spec.inputs.insert(
        StackName::parse("data").unwrap(),
        bench.put("runs/x/outputs.json", outputs),
    );
    let planned = bench.end_of(&spec).await;
    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(sealed(&planned));
    apply.inputs = spec.inputs.clone();
    let request = bench.seal(&apply);
    let Ended::Written(result) = bench.run(&request).await.unwrap() else {
        panic!("no result")
    };
    let JobOutcome::Applied { outputs, .. } = &result.outcome else {
        panic!("{result:?}")
    };
    assert_eq!(
        bench.outputs(outputs)["table"].value.json(),
        "\"orders canary-password\""
    );
    let spied = bench.outputs(outputs)["spy"].value.json().to_owned();
    assert!(
        spied.contains("AWS_SECRET_ACCESS_KEY") && !spied.contains("SLUICEGATE"),
        "{spied}"
    );

    let printed = bench.printed.text();
    assert!(printed.contains("orders [redacted]"), "{printed}");
    assert!(!printed.contains("canary"), "a secret was printed");
    let log = bench.peek(&request, JobFile::Log).unwrap();
    assert!(!String::from_utf8(log.clone()).unwrap().contains("canary"));
    for line in String::from_utf8(log).unwrap().lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            message["@message"].is_string() && message["type"].is_string(),
            "{line}"
        );
    }
}
